"""A progress bar on standard error, only where somebody watches."""

from __future__ import annotations

import sys
from types import TracebackType


class Progress:
    """`with Progress("Writing weights", total, "B") as bar: bar.advance(n)`."""

    def __init__(self, title: str, unit: str):
        self._title = title
        self._unit = unit
        self._done = 0
        self._shown = -1
        self._live = sys.stderr.isatty()

    def __enter__(self) -> Progress:
        return self

    def advance(self, amount: int, total: int) -> None:
        """`amount` more of `total` is done."""
        self._done += amount
        percent = 100 * self._done // max(total, 1)
        if not self._live or percent == self._shown:
            return
        self._shown = percent
        filled = percent * 30 // 100
        print(
            f"\r{self._title} [{'#' * filled}{'.' * (30 - filled)}] {percent:3d}% "
            f"of {_amount(total, self._unit)}",
            end="",
            file=sys.stderr,
            flush=True,
        )

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._shown >= 0:
            print(file=sys.stderr)


def _amount(value: int, unit: str) -> str:
    if unit != "B":
        return f"{value} {unit}"
    for scale, name in ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")):
        if value >= scale:
            return f"{value / scale:.1f} {name}"
    return f"{value} B"
