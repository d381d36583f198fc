"""A model run in a process of its own: what kills that process is a result, too."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import numpy as np

import qtale

#: Seconds after which a run is ended.
LIMIT = 30


class Crash(Exception):
    """The process that ran the model died, or did not end."""


def work(pipe, path: Path, feed: dict[str, np.ndarray]) -> None:
    try:
        with qtale.load(path) as artifact:
            pipe.send(artifact.run(feed))
    except qtale.Error as error:
        pipe.send(f"{error.code}: {error}")
    pipe.close()


def run_isolated(path: Path, feed: dict[str, np.ndarray]) -> dict[str, np.ndarray] | str:
    """The outputs, or an error's message."""
    here, there = multiprocessing.Pipe(duplex=False)
    # Forked: nothing but the model runs in it, and a fresh interpreter takes longer than a compile.
    process = multiprocessing.get_context("fork").Process(target=work, args=(there, path, feed))
    process.start()
    there.close()
    try:
        if not here.poll(LIMIT):
            raise Crash(f"no result within {LIMIT} s")
        return here.recv()
    except EOFError:
        process.join()
        raise Crash(f"the run died with exit code {process.exitcode}") from None
    finally:
        process.kill()
        process.join()
        here.close()
