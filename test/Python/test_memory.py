"""Exporting takes no more memory for a larger model."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from qtale.testing import TINY, write_random_checkpoint

SCRIPT = """
import resource, sys
from qtale.exporter import export
export(sys.argv[1], sys.argv[2])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def peak_mib(folder: Path) -> float:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, folder, folder / "model.onnx"],
        capture_output=True,
        text=True,
        check=True,
    )
    return int(done.stdout) / 1024


def test_peak_memory(tmp_path: Path):
    """310 MB of weights, a transposed head of 143 MB among them, on top of almost nothing."""
    small = write_random_checkpoint(tmp_path / "small", TINY)
    large = write_random_checkpoint(
        tmp_path / "large",
        TINY | {"hidden_size": 1020, "intermediate_size": 2048, "vocab_size": 70000},
        "float16",
    )
    assert (large / "model.safetensors").stat().st_size > 300e6
    grown = peak_mib(large) - peak_mib(small)
    assert grown < 48
    assert (large / "model.onnx.data").stat().st_size > 300e6
