"""Objects behind a C handle: freed once, never while a call is under way, children first.

artifact  <--- session     a session keeps its artifact's code and weights alive,
          <--- session     in whatever order Python's garbage collector ends them
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from qtale.errors import Error


class Handle:
    """A pointer from C and the call that frees it."""

    def __init__(
        self,
        what: str,
        pointer: ctypes.c_void_p,
        free: Callable[[int], None],
        parent: Handle | None = None,
    ):
        self._what = what
        self._pointer = pointer.value or 0
        self._free = free
        self._parent = parent
        # Reentrant: the garbage collector may end a child while its parent's lock is held.
        self._lock = threading.RLock()
        self._calls = 0
        self._children = 0
        self.closed = False
        if parent is not None:
            with parent._lock:
                # A child is made while its parent is in use, so only a mistake gets here; the code
                # that would free it may be gone.
                if parent.closed:
                    raise Error("INVALID_ARGUMENT", f"the {parent._what} is closed")
                parent._children += 1

    @contextmanager
    def use(self) -> Iterator[int]:
        """The pointer, kept alive inside the block."""
        with self._lock:
            if self.closed:
                raise Error("INVALID_ARGUMENT", f"the {self._what} is closed")
            self._calls += 1
        try:
            yield self._pointer
        finally:
            with self._lock:
                self._calls -= 1

    def close(self) -> None:
        """Frees it, as soon as no child is left; a second time does nothing."""
        with self._lock:
            if self.closed:
                return
            if self._calls:
                raise Error("BUSY", f"the {self._what} is in use by another thread")
            self.closed = True
            if self._children:
                return
        self._end()

    def _end(self) -> None:
        self._free(self._pointer)
        parent = self._parent
        if parent is None:
            return
        with parent._lock:
            parent._children -= 1
            last = parent.closed and not parent._children
        if last:
            parent._end()
