"""Other work on the machine: processes that do nothing but keep a processor busy.

    with Load(2): …        two of them spin; afterwards they are gone

While T threads of an engine and N such processes share P processors, each gets P / (T + N) of one:
an engine that loses no more than that has lost nothing by waiting.
"""

from __future__ import annotations

import subprocess
import sys
from types import TracebackType

#: Says when it begins; ends by itself where its parent is gone.
_SPIN = """
import os, sys
parent = os.getppid()
print(flush=True)
while os.getppid() == parent:
    sum(range(100000))
"""


#: More than so many for each processor show nothing new.
MOST = 8


class Load:
    def __init__(self, processes: int):
        self._count = processes
        self._running: list[subprocess.Popen] = []

    def __enter__(self) -> None:
        command = [sys.executable, "-I", "-S", "-c", _SPIN]
        try:
            for _ in range(self._count):
                self._running.append(subprocess.Popen(command, stdout=subprocess.PIPE))
            for process in self._running:
                process.stdout.readline()
        except BaseException:
            self._end()
            raise

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._end()

    def _end(self) -> None:
        for process in self._running:
            process.kill()
        while self._running:
            # Waited for, its time counts as ours.
            self._running.pop().communicate()


def fair_share(threads: int, processes: int, processors: int) -> float:
    """Of the speed without load."""
    return min(1.0, processors / (threads + processes))
