"""Files that appear whole, or not at all.

with OutputFiles(folder) as files:
    files.path("model.onnx.data")  ->  folder/.model.onnx.data.partial-<pid>
    ...
# at the end all are renamed, the last asked for last; after an error none is left
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from qtale.errors import UserError


def describe(error: OSError, target: Path) -> str:
    """An operating system's error as a message that says what to do."""
    if error.errno == errno.ENOSPC or error.errno == errno.EDQUOT:
        return f"{target}: not enough space on the disk; free some, or choose another folder"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"{target}: cannot be written ({error.strerror}); choose another folder"
    return f"{error.filename or target}: {error.strerror or error}"


class OutputFiles:
    """A group of files in one folder; the folder is made where it is missing."""

    def __init__(self, folder: Path):
        self.folder = folder
        self._files: dict[str, Path] = {}
        self._made: list[Path] = []

    def path(self, name: str) -> Path:
        """Where to write the file that will be `name`."""
        if (self.folder / name).is_dir():
            raise UserError(f"{self.folder / name}: is a folder; choose another name")
        self._files[name] = self.folder / f".{name}.partial-{os.getpid()}"
        return self._files[name]

    def __enter__(self) -> OutputFiles:
        missing = [p for p in (self.folder, *self.folder.parents) if not p.exists()]
        try:
            for folder in reversed(missing):
                folder.mkdir()
                self._made.append(folder)
        except OSError as error:
            self._discard()
            raise UserError(describe(error, self.folder)) from error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if error is None:
                for name, path in self._files.items():
                    path.replace(self.folder / name)
        except OSError as problem:
            error = problem
        if error is not None:
            self._discard()
        if isinstance(error, OSError):
            raise UserError(describe(error, self.folder)) from error

    def _discard(self) -> None:
        for path in self._files.values():
            with suppress(OSError):
                path.unlink(missing_ok=True)
        for folder in reversed(self._made):
            try:
                folder.rmdir()
            except OSError:
                break  # somebody else put something there
