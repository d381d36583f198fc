"""The models that are measured, in a folder that keeps them between runs.

    WORK/SHAPE/checkpoint/             random f16 weights, always the same
    WORK/SHAPE/qtale-int4-32.so        made again when the compiler is newer
    WORK/SHAPE/onnxruntime-int4-32/    by onnxruntime_model.py
    WORK/SHAPE/llama.cpp-int4-32.gguf  by llama_cpp_model.py

Each appears whole, or not at all.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import qtale
from qtale.bench.engine import Scheme
from qtale.compiler import find_tool
from qtale.exporter import export
from qtale.random_checkpoint import write_random_checkpoint


class Models:
    """Of one shape. note: says what takes long."""

    def __init__(self, folder: Path, config: dict, note: Callable[[str], None]):
        self.folder = folder
        self._config = config
        self._note = note

    def checkpoint(self) -> Path:
        def write(path: Path) -> None:
            write_random_checkpoint(path, self._config, "float16")

        return self.made("checkpoint", write)

    def artifact(self, scheme: Scheme) -> Path:
        path = self.folder / f"qtale-int{scheme.bits}-{scheme.group}.so"
        compiler = find_tool("qtale-compile").stat().st_mtime
        if path.exists() and path.stat().st_mtime > compiler:
            return path
        checkpoint = self.checkpoint()
        self._note(f"{self.folder.name}: compiling")
        with tempfile.TemporaryDirectory(dir=self.folder) as work:
            model = export(checkpoint, Path(work) / "model.onnx")
            return qtale.compile(
                model, path, weights=f"int{scheme.bits}", group=scheme.group, cpu="native"
            )

    def made(self, name: str, write: Callable[[Path], None]) -> Path:
        """The file or folder of this name, which `write` makes where it is missing."""
        path = self.folder / name
        if not path.exists():
            self._note(f"{self.folder.name}: writing {name}")
            self.folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=self.folder) as work:
                write(Path(work) / name)
                (Path(work) / name).rename(path)
        return path
