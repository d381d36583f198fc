"""Runs fuzz targets, a given time each, and says what they found.

test/Fuzz/corpus/TARGET   found before      ─┐
build/fuzz/seeds/TARGET   lib/seeds.py      ─┼─▶ build-fuzz/bin/qtale-fuzz-TARGET
build/fuzz/corpus/TARGET  of former runs    ─┘        │
                                                      ├─▶ build/fuzz/corpus/TARGET
                                                      └─▶ build/fuzz/crashes/TARGET
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import sanitizers
import seeds

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build"
FUZZ = BUILD / "fuzz"
KEPT = ROOT / "test/Fuzz/corpus"
#: What is expected of any input: seconds, and MiB in all and at once.
LIMITS = ["-timeout=10", "-rss_limit_mb=2560", "-malloc_limit_mb=1024"]
TARGETS = re.findall(
    r"^qtale_fuzz_(?:target|compiler)\(([\w-]+)",
    (ROOT / "test/Fuzz/CMakeLists.txt").read_text(),
    re.M,
)


@dataclass
class Found:
    """What the runs of one target gave."""

    executions: int = 0
    coverage: int = 0
    seconds: float = 0
    inputs: list[Path] = field(default_factory=list)
    failure: str = ""


@contextmanager
def memory_folder() -> Iterator[str]:
    """A folder for temporary files, in memory where there is such a place."""
    shared = Path("/dev/shm")
    place = shared if os.access(shared, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="qtale-fuzz-", dir=place) as folder:
        yield folder


def corpora(target: str) -> list[Path]:
    """Inputs to begin with, besides those of former runs."""
    return [folder for folder in (FUZZ / "seeds" / target, KEPT / target) if folder.is_dir()]


def dictionary(target: str) -> list[str]:
    path = FUZZ / "seeds" / f"{target}.dict"
    return [f"-dict={path}"] if path.exists() else []


def run(program: Path, target: str, cpu_seconds: float, jobs: int) -> Found:
    """Fuzzes until the program and its children have taken so much time of CPUs."""
    found = Found()
    corpus, crashes = FUZZ / "corpus" / target, FUZZ / "crashes" / target
    for folder in (corpus, crashes):
        folder.mkdir(parents=True, exist_ok=True)
    known = set(crashes.iterdir())
    environment = os.environ | sanitizers.environment("fuzzer")
    with (FUZZ / f"{target}.log").open("w") as log, memory_folder() as temporary:
        while found.seconds < cpu_seconds:
            left = max(10, int((cpu_seconds - found.seconds) / jobs))
            before = children_seconds()
            # In processes of its own, so that what is found does not end the run.
            command = [program, f"-fork={jobs}", "-ignore_crashes=1", "-ignore_timeouts=1"]
            command += ["-ignore_ooms=1", f"-max_total_time={left}", *LIMITS]
            command += [f"-artifact_prefix={crashes}/", *dictionary(target)]
            done = subprocess.run(
                [*command, corpus, *corpora(target)],
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment | {"TMPDIR": temporary},
                check=False,
            )
            took = children_seconds() - before
            found.seconds += took
            if done.returncode or not took:
                found.failure = f"ended with {done.returncode}"
                break
    rounds = re.findall(
        r"^#(\d+): cov: (\d+)", (FUZZ / f"{target}.log").read_text(errors="replace"), re.M
    )
    # Counts begin anew with each round.
    counts = [int(count) for count, _ in rounds]
    found.executions = sum(
        count for i, count in enumerate(counts) if i + 1 == len(counts) or counts[i + 1] < count
    )
    found.coverage = max((int(coverage) for _, coverage in rounds), default=0)
    found.inputs = sorted(set(crashes.iterdir()) - known)
    return found


def children_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="utils/fuzz",
        description=f"Fuzzes what reads input. Targets: {', '.join(TARGETS)}.",
        epilog="Exit code 1: an input crashed, hung, leaked or took too much memory. Corpora "
        "grow in build/fuzz/corpus and are gone on with; such inputs are in build/fuzz/crashes.",
    )
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="default: all of them")
    parser.add_argument(
        "--minutes", type=float, default=1, metavar="N", help="CPU minutes for each (1)"
    )
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="processes at once (1)")
    options = parser.parse_args(arguments)
    for target in options.targets:
        if target not in TARGETS:
            parser.error(f"no target '{target}'; targets are {', '.join(TARGETS)}")
    if options.minutes <= 0 or options.jobs < 1:
        parser.error("--minutes and --jobs must be positive")
    targets = options.targets or TARGETS

    names = [f"qtale-fuzz-{target}" for target in targets]
    for command in (["utils/setup"], ["utils/setup", "--sanitize=fuzzer", *names]):
        if code := subprocess.run(command, cwd=ROOT, check=False).returncode:
            return code
    seeds.ensure(FUZZ / "seeds", BUILD)
    failed = False
    for target, name in zip(targets, names, strict=True):
        began = time.monotonic()
        program = sanitizers.FOLDERS["fuzzer"] / "bin" / name
        found = run(program, target, options.minutes * 60, options.jobs)
        print(
            f"{target}: {found.executions} executions, {found.coverage} edges covered, "
            f"{len(found.inputs)} found ({found.seconds / 60:.1f} CPU minutes, "
            f"{time.monotonic() - began:.0f} s)",
            flush=True,
        )
        if found.failure:
            print(f"  {found.failure}: see {FUZZ / f'{target}.log'}")
        for path in found.inputs[:10]:
            print(f"  {reproduce(program, path)}")
        failed |= bool(found.inputs or found.failure)
    return int(failed)


def reproduce(program: Path, path: Path) -> str:
    """The command that shows what an input does."""
    variables = " ".join(f"{k}={v}" for k, v in sanitizers.environment("fuzzer").items())
    return f"{variables} {program} {' '.join(LIMITS)} {path}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
