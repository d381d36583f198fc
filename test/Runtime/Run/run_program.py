"""Runs the built qtale-run on the fake writer (FakeWriter.cpp)."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

BUILD = Path(os.environ.get("QTALE_BUILD", Path(__file__).resolve().parents[3] / "build"))
QTALE_RUN = BUILD / "bin/qtale-run"
FOLDER = BUILD / "test/fake-writer"
ARTIFACT = FOLDER / "writer.so"
PROGRAM = FOLDER / "writer"

# What the fake writer knows by heart; token = 3 + byte.
TEXT = b"H\xc3\xa9llo \xf0\x9f\x98\x80 \xff!\nSecond line"
CONTEXT = 40
SHOWN = TEXT.decode(errors="replace")


@dataclass
class Result:
    code: int
    out: str
    err: str


def execute(*words: object, **options: object) -> Result:
    done = subprocess.run([str(word) for word in words], capture_output=True, **options)
    return Result(done.returncode, done.stdout.decode(), done.stderr.decode())


def run(*words: object, **options: object) -> Result:
    return execute(QTALE_RUN, ARTIFACT, *words, **options)
