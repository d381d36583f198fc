"""What this machine can do with so many threads: read memory, and multiply small integers.

    512 MiB   [ thread 0 | thread 1 | … ]    each ORs its part together, again and again
    registers   thread 0   thread 1   …      each multiplies and adds bytes (integer_peak.c)

Decoding can't be faster than the first, prefill not than the second. NumPy reduces in vector
registers and without the interpreter's lock, so reading needs no C compiler; on x86-64 it reads as
fast as utils/bench/bandwidth.c, which sums with 64-byte vectors. Its arrays lie in huge pages where
the system has them, so this is what memory gives at best. Multiplying needs a C compiler.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from qtale.bench.rivals import NotMeasuredError

#: Beyond any cache.
_BYTES = 512 << 20
_SWEEPS = 5
#: Of the kernel's loop: some milliseconds.
_ITERATIONS = 1 << 20
_COMPILERS = ("cc", "gcc", "clang", "clang-22")


class Bandwidth:
    """`Bandwidth(threads).measure()` is in GB/s (10^9 bytes): the fastest of a few sweeps."""

    def __init__(self, threads: int):
        # Ones, not zeros: untouched zeros are all the same page.
        self._parts = np.array_split(np.ones(_BYTES // 8, np.int64), threads)

    def measure(self) -> float:
        work = [lambda part=part: np.bitwise_or.reduce(part) for part in self._parts]
        return sum(part.nbytes for part in self._parts) / fastest_sweep(work) / 1e9


class IntegerPeak:
    """The kernel, compiled into `folder` for this machine; NotMeasuredError where it can't be."""

    def __init__(self, folder: Path):
        source = Path(__file__).with_name("integer_peak.c")
        library = folder / "integer_peak.so"
        _compile(source, library)
        code = ctypes.CDLL(str(library))
        code.peak_instruction.restype = ctypes.c_char_p
        code.peak_run.argtypes, code.peak_run.restype = [ctypes.c_int64], None
        #: What multiplies.
        self.instruction = code.peak_instruction().decode()
        self._run = code.peak_run
        self._macs = _ITERATIONS * code.peak_macs()

    def measure(self, threads: int) -> float:
        """10^9 multiplications with an addition each, a second."""
        seconds = fastest_sweep([lambda: self._run(_ITERATIONS)] * threads)
        return threads * self._macs / seconds / 1e9


def fastest_sweep(work: Sequence[Callable[[], object]]) -> float:
    """Seconds: all at once, each on its thread; a few times, of which the fastest."""
    gate = threading.Barrier(len(work))
    # Each thread looks at the clock itself: one that only watches may be woken late, and would see
    # sweeps shorter than they are.
    clock = np.empty((2, _SWEEPS, len(work)))

    def run(index: int) -> None:
        for sweep in range(_SWEEPS):
            gate.wait()
            clock[0, sweep, index] = time.perf_counter()
            work[index]()
            clock[1, sweep, index] = time.perf_counter()

    threads = [threading.Thread(target=run, args=(i,)) for i in range(len(work))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return float((clock[1].max(axis=1) - clock[0].min(axis=1)).min())


def _compile(source: Path, library: Path) -> None:
    names = [os.environ.get("CC", ""), *_COMPILERS]
    compiler = next((path for name in names if name and (path := shutil.which(name))), None)
    if compiler is None:
        raise NotMeasuredError("no C compiler: install one, or name it in CC")
    command = [compiler, "-O3", "-march=native", "-shared", "-fPIC", "-o", library, source]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = next((line for line in done.stderr.splitlines() if "error" in line), "it failed")
        raise NotMeasuredError(f"{compiler}: {reason.partition('error: ')[2] or reason}")
