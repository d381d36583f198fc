"""Printed stages that somebody edited: compiled, or refused; never a crash.

lines of the stage ─ delete, double, swap, another number, another letter ▶ --emit=llvm
"""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest
from programs import QTALE_COMPILE, did_not_crash, execute, succeeds

NUMBERS = [0, 1, 2, 3, 7, 31, 64, 172, 512, 1 << 31, 1 << 40, (1 << 63) - 1]


def damage(lines: list[str], choose: random.Random) -> None:
    """One edit, of a line that says something."""
    at = choose.choice([i for i, line in enumerate(lines) if line.strip(" })")])
    line, kind = lines[at], choose.randrange(6)
    if kind == 0:
        del lines[at]
    elif kind == 1:
        lines.insert(at, choose.choice(lines))
    elif kind == 2:
        other = choose.randrange(len(lines))
        lines[at], lines[other] = lines[other], line
    elif kind == 3:
        letter = choose.randrange(len(line))
        lines[at] = line[:letter] + chr(choose.randrange(33, 127)) + line[letter + 1 :]
    elif numbers := list(re.finditer(r"\d+", line)):
        # What parses most often, and so reaches passes.
        number = choose.choice(numbers)
        lines[at] = line[: number.start()] + str(choose.choice(NUMBERS)) + line[number.end() :]


@pytest.mark.parametrize("weights", ["keep", "int4"])
@pytest.mark.parametrize("stage", ["imported", "quantized", "packed", "kernels", "llvm"])
def test_edited(stories_onnx: Path, tmp_path: Path, stage: str, weights: str):
    folder = stories_onnx.parent
    text = succeeds(
        QTALE_COMPILE, stories_onnx, f"--weights={weights}", f"--emit={stage}", cwd=folder
    )
    refused = 0
    for seed in range(30):
        lines, choose = text.splitlines(), random.Random(seed)
        damage(lines, choose)
        path = tmp_path / f"seed{seed}.mlir"
        path.write_text("\n".join(lines))
        done = execute(QTALE_COMPILE, path, "--emit=llvm", "-o", tmp_path / "m.mlir")
        did_not_crash(done)
        assert done.code == 0 or "error: " in done.err, done
        assert (tmp_path / "m.mlir").exists() == (done.code == 0)
        (tmp_path / "m.mlir").unlink(missing_ok=True)
        refused += done.code
        path.unlink()
    assert refused > 10, "edits do not reach what matters"
