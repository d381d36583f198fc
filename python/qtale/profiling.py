"""What each operation of a model takes.

s.profile = p = artifact.profile()      from the next step on; None: no longer
artifact.run(inputs, profile=p)         likewise
for operation in p.operations: ...      sums over all calls so far
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from qtale import capi
from qtale.errors import Error
from qtale.handle import Handle

if TYPE_CHECKING:
    from qtale.artifact import Artifact


@dataclass(frozen=True)
class Operation:
    """An operation of the compiled model, and what it took over all calls."""

    #: "matmul", "attention", …; "loop" where it is elementwise.
    operation: str
    #: The model's name for it; empty where there is none.
    node: str
    #: By the node's name.
    layer: int | None
    calls: int
    seconds: float
    #: Of weights: whole matrices; rows, where they are looked up.
    bytes: int
    #: Multiplications and additions of rows and weights.
    macs: int


@dataclass(frozen=True)
class Event:
    """One call of an operation."""

    #: Index in `operations`.
    operation: int
    #: Seconds of time.monotonic().
    begin: float
    seconds: float
    bytes: int
    macs: int


class Profile:
    """Made by Artifact.profile(). For one call at a time; a second one gets BUSY."""

    def __init__(self, artifact: Artifact, pointer: ctypes.c_void_p):
        self.artifact = artifact
        self.handle = Handle(
            "profile", pointer, artifact.api.profile_destroy, parent=artifact.handle
        )

    @property
    def operations(self) -> list[Operation]:
        """All operations of the model, also those without calls, in the order of its code."""
        return [
            Operation(
                item.operation.decode(),
                item.node.decode("utf-8", "replace"),
                None if item.layer < 0 else item.layer,
                item.calls,
                item.nanoseconds * 1e-9,
                item.bytes,
                item.macs,
            )
            for item in self._read(self.artifact.api.profile_operations, capi.Operation)
        ]

    @property
    def events(self) -> list[Event]:
        """The last calls of operations, as many as Artifact.profile(events=…) keeps."""
        return [
            Event(item.operation, item.begin * 1e-9, item.nanoseconds * 1e-9, item.bytes, item.macs)
            for item in self._read(self.artifact.api.profile_events, capi.Event)
        ]

    def _read(self, call, struct: type[ctypes.Structure]) -> ctypes.Array:
        with self.handle.use() as profile:
            items = (struct * call(profile, None, 0))()
            call(profile, items, len(items))
        return items

    @contextmanager
    def use(self, artifact: Artifact) -> Iterator[int]:
        """The pointer, for a call of its own model."""
        if self.artifact is not artifact:
            raise Error("INVALID_ARGUMENT", "the profile belongs to another artifact")
        with self.handle.use() as profile:
            yield profile

    def close(self) -> None:
        """Frees it. Profiles still open are closed with their artifact."""
        self.handle.close()

    def __del__(self) -> None:
        if "handle" in self.__dict__:
            self.handle.close()
