"""Runs the built programs as a user does, and judges how they end.

    execute(…)            what a program said, and its exit code
    refuses(…)            … which is a clear refusal: the right code, one message
                          or more, nothing on stdout, nothing written, no crash
"""

from __future__ import annotations

import hashlib
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("QTALE_BUILD", ROOT / "build"))
QTALE_COMPILE = BUILD / "bin/qtale-compile"
QTALE_OPT = BUILD / "bin/qtale-opt"
QTALE_RUN = BUILD / "bin/qtale-run"
STORY = (ROOT / "test/models/stories260K/expected-greedy-200.txt").read_text()
#: What prints STORY.
TELL = ("--prompt", "", "--steps", "200")

#: What only a program that crashed says.
CRASHES = ("Traceback", "Stack dump", "PLEASE submit", "Assertion", "terminate called", "Sanitizer")


@dataclass
class Result:
    code: int
    out: str
    err: str


def execute(*words: object, **options: object) -> Result:
    """Runs a program, for a minute at most."""
    done = subprocess.run(
        [str(word) for word in words], capture_output=True, check=False, timeout=60, **options
    )
    return Result(
        done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
    )


def succeeds(*words: object, **options: object) -> str:
    """Its stdout."""
    done = execute(*words, **options)
    assert done.code == 0, done.err
    return done.out


def contents(folder: Path) -> dict[str, str]:
    """Every file below, with a hash of its bytes."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        if path.is_file()
        else ""
        for path in sorted(folder.rglob("*"))
    }


def did_not_crash(done: Result) -> None:
    """It ended by itself: with an answer, or with a message that says why not."""
    assert done.code in (0, 1, 2), done
    assert not any(word in done.err for word in CRASHES), done.err
    if done.code:
        assert done.err.strip(), "says nothing"


def refuses(*words: object, folder: Path, code: int = 1, **options: object) -> str:
    """What it says; `folder` is as before."""
    before = contents(folder)
    done = execute(*words, **options)
    did_not_crash(done)
    assert (done.code, done.out) == (code, ""), done
    assert contents(folder) == before
    return done.err
