"""The machine while it is measured: its name, its memory, and what else ran on it.

    processors' time = ours + others' + idle

Others' work is no noise that a median removes: an engine whose threads wait for each other at every
operation loses far more time to it than one that hands out work as threads ask for it.
"""

from __future__ import annotations

import os
import platform
import time
from pathlib import Path


def cpu_name() -> str:
    lines = _read("/proc/cpuinfo").splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def memory_available() -> int | None:
    """Bytes that could be taken without paging; None where the system does not say."""
    for line in _read("/proc/meminfo").splitlines():
        if line.startswith("MemAvailable:"):
            free = 1024 * int(line.split()[1])
            # In a container its own limit may be the nearer one.
            limit = _read("/sys/fs/cgroup/memory.max").strip()
            used = _read("/sys/fs/cgroup/memory.current").strip()
            inside = limit.isdecimal() and used.isdecimal()
            return min(free, max(0, int(limit) - int(used))) if inside else free
    return None


class OthersShare:
    """`OthersShare().so_far()`: the part of all processors' time that others took since; or None.

    Where this is a virtual machine, the time that its host gave to others is others', too. What
    children took that have ended is ours.
    """

    def __init__(self) -> None:
        self._begin = self._times()

    def so_far(self) -> float | None:
        if not self._begin:
            return None
        wall, busy, own = (
            end - begin for end, begin in zip(self._times(), self._begin, strict=True)
        )
        return min(1.0, max(0.0, (busy - own) / (wall * (os.cpu_count() or 1))))

    @staticmethod
    def _times() -> tuple[float, float, float] | None:
        """Seconds: on the clock, of all processors at work, of this process and its children."""
        fields = _read("/proc/stat").partition("\n")[0].split()
        if len(fields) < 9 or fields[0] != "cpu":
            return None
        user, nice, system, _, _, irq, softirq, steal = map(int, fields[1:9])
        busy = (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")
        own = os.times()
        return time.monotonic(), busy, sum(own[:4])


def _read(path: str) -> str:
    """Empty where the system has no such file."""
    try:
        return Path(path).read_text()
    except OSError:
        return ""
