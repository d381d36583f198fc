"""Artifacts of a model with marks written by hand: what their descriptor says of operations."""

from __future__ import annotations

import re
import subprocess

import pytest
from test_linked_files import GENERATE, Folder, qtale_run

MATMUL = (
    '{operation = "matmul", node = "/layers.2/\\"q\\"", layer = 2 : i64, bytes = 3000000 : i64,'
    " macs = 500000 : i64}"
)
EMBEDDING = '{operation = "embedding", row_bytes = 64000 : i64}'
# (operation, rows): 0 of one row, 1 of two, the end.
MARKS = """
      %m0 = llvm.mlir.constant(0 : i64) : i64
      %m1 = llvm.mlir.constant(1 : i64) : i64
      %m2 = llvm.mlir.constant(2 : i64) : i64
      %end = llvm.mlir.constant(-1 : i64) : i64
      llvm.call @qtale_rt_mark(%context, %m0, %m1) : (!llvm.ptr, i64, i64) -> ()
      llvm.call @qtale_rt_mark(%context, %m1, %m2) : (!llvm.ptr, i64, i64) -> ()
      llvm.call @qtale_rt_mark(%context, %end, %m0) : (!llvm.ptr, i64, i64) -> ()
"""


def mark(folder: Folder, operations: str) -> None:
    """Two operations without work, of one row and of two."""
    folder.edit('qtale.cpu = ""', f'qtale.cpu = "", qtale.operations = {operations}')
    folder.edit(
        "    llvm.func @qtale_rt_barrier(!llvm.ptr)\n",
        "    llvm.func @qtale_rt_barrier(!llvm.ptr)\n"
        "    llvm.func @qtale_rt_mark(!llvm.ptr, i64, i64)\n",
    )
    folder.edit("      %mask = llvm", f"{MARKS}      %mask = llvm")


@pytest.fixture
def folder(tmp_path) -> Folder:
    return Folder(tmp_path / "model")


def profile(*command: object) -> str:
    """The table of the decoding."""
    words = [*map(str, command), *GENERATE, "--profile"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "4,5,6,7\n"), done.stderr
    return done.stderr.split("decode: ")[1]


def cells(said: str, name: str) -> list[str]:
    """Of the last line that begins with this name."""
    return re.findall(rf"^{name} +(.*)$", said, re.MULTILINE)[-1].split()


@pytest.mark.parametrize("kind", ["lib", "exe"])
def test_operations(folder: Folder, kind: str):
    mark(folder, f"[{MATMUL}, {EMBEDDING}]")
    artifact = folder.make(kind, "m.so")
    said = profile(artifact) if kind == "exe" else profile(qtale_run(), artifact)
    assert cells(said, "matmul")[0] == "3"
    unit = 1e3 if "KB/step" in said else 1e6  # by the time of a step
    read = {
        name: float(cells(said, name)[3]) * unit for name in ("matmul", "embedding", "2", "none")
    }
    assert read == {"matmul": 3e6, "embedding": 128e3, "2": 3e6, "none": 128e3}


def test_numbers_beyond_the_table_are_not_counted(folder: Folder):
    mark(folder, f"[{MATMUL}]")
    said = profile(qtale_run(), folder.make("lib", "m.so"))
    assert cells(said, "matmul")[0] == "3"
    assert "embedding" not in said


def test_models_without_marks(folder: Folder):
    said = profile(qtale_run(), folder.make("lib", "m.so"))
    assert cells(said, "outside")[2] == "100.0"


@pytest.mark.parametrize(
    "operations",
    [
        '"matmul"',
        '["matmul"]',
        "[{}]",
        '[{operation = "matmul", node = 1}]',
        '[{operation = "matmul", bytes = "many"}]',
        '[{operation = "matmul", layer = -2 : i64}]',
    ],
)
def test_damaged_tables(folder: Folder, operations: str):
    mark(folder, operations)
    assert "qtale.operations must be" in folder.refuse()
