"""Small files that ask the importer for much: they are compiled, or refused, in little memory."""

from __future__ import annotations

import resource
import subprocess
from pathlib import Path

import pytest

from qtale.compiler import find_tool

HEAD = '<ir_version: 10, opset_import: ["" : 21, "local" : 1]>'


def limit() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
    resource.setrlimit(resource.RLIMIT_CPU, (60, 60))


def imported(text: str, folder: Path) -> subprocess.CompletedProcess[str]:
    path = folder / "m.onnxtxt"
    path.write_text(text)
    command = [find_tool("qtale-compile"), path, "--emit=imported", "-o", folder / "m.mlir"]
    return subprocess.run(command, capture_output=True, text=True, preexec_fn=limit)


@pytest.mark.parametrize("length", ["1048576", "1000"])
def test_sums_of_vectors(tmp_path: Path, length: str):
    """ONNX's inference makes an entry for each element of each vector."""
    sums = "\n".join(f"v{i} = Add (v{i - 1}, v0)" for i in range(1, 101))
    text = f"{HEAD} g (int64[{length}] v0) => (int64[{length}] v100) {{ {sums} }}"
    result = imported(text, tmp_path)
    assert result.returncode == 0, result.stderr


def test_vectors_of_unknown_length(tmp_path: Path):
    """Of results whose length only their values tell, a hundred are joined, again and again."""
    slices = (
        "k = Squeeze (ends)  s = Shape (x)  end = Unsqueeze (k, zero)  v0 = Slice (s, zero, end)"
    )
    joins = "\n".join(
        f"v{i} = Concat <axis: int = 0> ({', '.join([f'v{i - 1}'] * 100)})" for i in range(1, 5)
    )
    text = f"""{HEAD} g (float[2, 3] x) => (int64[N] v4)
    <int64[1] zero = {{0}}, int64[1] ends = {{2}}> {{ {slices} {joins} }}"""
    result = imported(text, tmp_path)
    assert result.returncode == 0, result.stderr


def test_functions_within_functions(tmp_path: Path):
    """Six levels of ten calls are a million nodes."""
    text = f"{HEAD} g (float[3] x) => (float[3] y) {{ y = local.f0 (x) }}\n"
    for level in range(6):
        calls = " ".join(
            f"t{i} = {f'local.f{level + 1}' if level < 5 else 'Neg'} (t{i - 1})"
            for i in range(1, 11)
        )
        text += '<domain: "local", opset_import: ["" : 21, "local" : 1]>\n'
        text += f"f{level} (t0) => (t10) {{ {calls} }}\n"
    result = imported(text, tmp_path)
    assert result.returncode == 1
    assert "with its functions inlined, the model has more than 262144 nodes" in result.stderr
