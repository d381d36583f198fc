"""Modules of weights alone, and what `qtale-target-test` makes of them."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import ml_dtypes
import numpy as np
from safetensors.numpy import load_file

ROOT = Path(__file__).resolve().parents[2]

BFLOAT16 = ml_dtypes.bfloat16

ELEMENTS = {
    "float64": "f64",
    "float32": "f32",
    "float16": "f16",
    "bfloat16": "bf16",
    "int64": "i64",
    "int32": "i32",
    "int16": "i16",
    "int8": "i8",
    "uint8": "ui8",
    "bool": "i1",
}


def tensor_type(shape: tuple[int, ...], element: str, encoding: str = "") -> str:
    dims = "".join(f"{size}x" for size in shape)
    return f"tensor<{dims}{element}{', ' + encoding if encoding else ''}>"


def pack_nibbles(values: np.ndarray) -> np.ndarray:
    """Two elements in a byte, low half first."""
    flat = values.reshape(-1).astype(np.int16) & 15
    flat = np.pad(flat, (0, flat.size % 2))
    return (flat[0::2] | flat[1::2] << 4).astype(np.uint8)


@dataclass
class Module:
    """A folder with a source file and a module that reads it."""

    folder: Path
    data: bytearray = field(default_factory=lambda: bytearray(b"odd"))
    ops: list[str] = field(default_factory=list)
    offset: int = 0

    def source(self, array: np.ndarray, element: str | None = None) -> str:
        """The recipe of an array; `element` i4 or ui4 packs it."""
        raw = (pack_nibbles(array) if element else array).tobytes()
        kind = tensor_type(array.shape, element or ELEMENTS[str(array.dtype)])
        offset = len(self.data)
        self.data += raw
        return (
            f'#qtale.source<file = "w.data", offset = {offset}, bytes = {len(raw)}, type = {kind}>'
        )

    def weight(self, name: str, kind: str, recipe: str, size: int) -> None:
        """Declares a weight of `size` bytes."""
        self.ops.append(
            f"qtale.weight @{name} : {kind} = {recipe} "
            f'{{offset = {self.offset} : i64}} loc("{name}.onnx")'
        )
        self.offset += -(-size // 64) * 64

    def run(
        self, keep_data: bool = False, limit: int | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Runs the program; `limit`: bytes that a file may have."""
        if not keep_data:
            (self.folder / "w.data").write_bytes(self.data)
        (self.folder / "m.mlir").write_text("\n".join(self.ops))
        return subprocess.run(
            [str(program()), "weights", str(self.folder / "m.mlir"), str(self.output)],
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            preexec_fn=limit and (lambda: limit_file_size(limit)),
        )

    @property
    def output(self) -> Path:
        return self.folder / "out.safetensors"

    def write(self) -> tuple[dict[str, np.ndarray], dict]:
        """All tensors as the safetensors package reads them, and what was reported."""
        done = self.run()
        assert done.returncode == 0, done.stderr
        return load_file(self.output), json.loads(done.stdout)

    def refuse(self) -> str:
        """The diagnostics; nothing may be left behind."""
        before = set(self.folder.iterdir())
        done = self.run()
        assert done.returncode == 1, (done.returncode, done.stdout, done.stderr)
        left = {path.name for path in set(self.folder.iterdir()) - before}
        assert left <= {"w.data", "m.mlir"}
        return done.stderr


def limit_file_size(limit: int) -> None:
    """Writes beyond it fail like those to a full disk (EFBIG; the signal is ignored)."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))


def program() -> Path:
    """`QTALE_BUILD` names a build folder other than build/."""
    path = Path(os.environ.get("QTALE_BUILD", ROOT / "build")) / "bin/qtale-target-test"
    assert path.exists(), f"{path} is not built"
    return path
