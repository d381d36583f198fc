"""The limit of decoding: how fast this machine reads memory with so many threads.

    512 MiB   [ thread 0 | thread 1 | … ]    each ORs its part together, again and again

NumPy reduces in vector registers and without the interpreter's lock, so no C compiler is needed; on
x86-64 it reads as fast as utils/bench/bandwidth.c, which sums with 64-byte vectors.
"""

from __future__ import annotations

import threading
import time

import numpy as np

#: Beyond any cache.
_BYTES = 512 << 20
_SWEEPS = 5


class Bandwidth:
    """`Bandwidth(threads).measure()` is in GB/s (10^9 bytes): the fastest of a few sweeps."""

    def __init__(self, threads: int):
        # Ones, not zeros: untouched zeros are all the same page.
        self._parts = np.array_split(np.ones(_BYTES // 8, np.int64), threads)

    def measure(self) -> float:
        gate = threading.Barrier(len(self._parts))
        # Each thread looks at the clock itself: one that only watches may be woken late, and would
        # see sweeps shorter than they are.
        clock = np.empty((2, _SWEEPS, len(self._parts)))

        def read(index: int) -> None:
            for sweep in range(_SWEEPS):
                gate.wait()
                clock[0, sweep, index] = time.perf_counter()
                np.bitwise_or.reduce(self._parts[index])
                clock[1, sweep, index] = time.perf_counter()

        threads = [threading.Thread(target=read, args=(i,)) for i in range(len(self._parts))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        seconds = clock[1].max(axis=1) - clock[0].min(axis=1)
        return float(sum(part.nbytes for part in self._parts) / seconds.min() / 1e9)
