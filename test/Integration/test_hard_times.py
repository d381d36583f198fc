"""No disk space at any write, no memory, killed at any moment: nothing half-written stays.

QTALE_KILLS   how many compiles are killed (12)
"""

from __future__ import annotations

import os
import random
import resource
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from programs import QTALE_COMPILE, QTALE_RUN, contents, did_not_crash, execute, refuses, succeeds

KILLS = int(os.environ.get("QTALE_KILLS", "12"))
MIB = 1 << 20


# -- No disk space -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def failing_writes(build: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("preload") / "failing_writes.so"
    return build(Path(__file__).parent / "failing_writes.c", output, "-shared", "-fPIC", "-ldl")


def fail_each_write(
    preload: Path,
    tmp_path: Path,
    words: list[object],
    folder: Path,
    scratch: Path,
    last: int = 1000,
) -> int:
    """Fails the first write, then the second, …, or only the last ones; returns how many the
    program does."""
    environment = {**os.environ, "LD_PRELOAD": str(preload), "TMPDIR": str(scratch)}
    environment["QTALE_CALLS"] = str(tmp_path / "calls")
    scratch.mkdir()
    succeeds(*words, env=environment)
    count = int((tmp_path / "calls").read_text())
    del environment["QTALE_CALLS"]
    for path in folder.iterdir():
        path.unlink()
    for at in range(max(1, count + 1 - last), count + 1):
        said = refuses(*words, folder=folder, env={**environment, "QTALE_FAIL_AT": str(at)})
        assert "No space left on device" in said, f"write {at} of {count}: {said}"
        assert not list(scratch.rglob("*")), f"write {at} of {count}"
    return count


@pytest.mark.parametrize(
    ("options", "last"),
    [
        (["--emit=lib"], 1000),
        (["--emit=obj"], 8),  # before them it does what the library does
        (["--emit=exe", "--bundle"], 8),
        (["--emit=llvm"], 1000),
    ],
    ids=["lib", "obj", "bundle", "llvm"],
)
def test_each_write_of_a_compile(
    failing_writes: Path, stories_onnx: Path, tmp_path: Path, options: list[str], last: int
):
    folder = tmp_path / "out"
    folder.mkdir()
    words = [QTALE_COMPILE, stories_onnx, "-o", folder / "m.so", "--cpu=native", *options]
    scratch = tmp_path / "scratch"
    count = fail_each_write(failing_writes, tmp_path, words, folder, scratch, last)
    assert count >= 3  # made, filled, named


def test_each_write_of_a_run(
    failing_writes: Path, compiled: Callable[..., Path], stories_onnx: Path, tmp_path: Path
):
    artifact, folder = compiled(stories_onnx), tmp_path / "out"
    folder.mkdir()
    words = [QTALE_RUN, artifact, "--prompt", "", "--steps", "3", f"--profile={folder / 'p.json'}"]
    environment = {**os.environ, "LD_PRELOAD": str(failing_writes)}
    done = execute(*words, env={**environment, "QTALE_FAIL_AT": "1"})
    did_not_crash(done)
    assert done.code == 1
    assert "No space left on device" in done.err
    assert not list(folder.iterdir())


def test_each_write_of_a_call(failing_writes: Path, tmp_path: Path):
    """Arrays that a function call writes: all of them, or none."""
    (tmp_path / "f.onnxtxt").write_text(
        '<ir_version: 10, opset_import: ["" : 23]>'
        "g (float[N] x) => (float[N] y, float[N] z) { y = Neg (x)\n z = Abs (x) }"
    )
    succeeds(QTALE_COMPILE, tmp_path / "f.onnxtxt", "-o", tmp_path / "f.so", "--cpu=native")
    np.save(tmp_path / "x.npy", np.ones(10_000, np.float32))
    folder = tmp_path / "out"
    folder.mkdir()
    words = [QTALE_RUN, tmp_path / "f.so", "--input", f"x={tmp_path / 'x.npy'}"]
    words += ["--output-dir", folder]
    assert fail_each_write(failing_writes, tmp_path, words, folder, tmp_path / "scratch") >= 2


# -- No memory -----------------------------------------------------------------------------------


def limit_memory(mebibytes: int) -> Callable[[], None]:
    """What `ulimit -v` does, in a process that begins."""
    return partial(resource.setrlimit, resource.RLIMIT_AS, (mebibytes * MIB, mebibytes * MIB))


def test_limits_of_memory(stories_onnx: Path, tmp_path: Path):
    """`ulimit -v`, from where the program itself can't be loaded to where it has enough."""
    answers: Counter[int] = Counter()
    for limit in range(320, 2400, 40):
        before = contents(tmp_path)
        done = execute(
            QTALE_COMPILE,
            stories_onnx,
            "-o",
            tmp_path / "m.so",
            "--weights=int4",
            "--cpu=native",
            preexec_fn=limit_memory(limit),
        )
        if done.code == 127:  # the system can't load the program
            continue
        did_not_crash(done)
        answers[done.code] += 1
        if done.code == 0:
            break
        assert "memory" in done.err or "Resource temporarily unavailable" in done.err, done.err
        assert contents(tmp_path) == before
    assert answers[0] == 1
    assert answers[1] >= 1


def test_memory_of_a_run(compiled: Callable[..., Path], stories_onnx: Path):
    artifact, answers = compiled(stories_onnx), set()
    for limit in (*range(5, 60, 5), 200, 800):
        done = execute(
            QTALE_RUN,
            artifact,
            "--prompt",
            "",
            "--steps",
            "50",
            "--threads",
            "2",
            preexec_fn=limit_memory(limit),
        )
        if done.code != 127:
            did_not_crash(done)
            answers.add(done.code)
    assert answers == {0, 1}


# -- Killed --------------------------------------------------------------------------------------


def test_killed_at_any_moment(stories_onnx: Path, tmp_path: Path):
    """Under the output's name stands what was there before, or what a whole compile writes.

    Both files of an artifact get their names one after the other: killed between the two, one is
    old and one is new, which loading tells.
    """
    words = [QTALE_COMPILE, stories_onnx, "--cpu=native", "-o"]
    (tmp_path / "older").mkdir()
    (tmp_path / "newer").mkdir()
    succeeds(*words, tmp_path / "older/m.so", "--weights=int8")
    began = time.monotonic()
    succeeds(*words, tmp_path / "newer/m.so", "--weights=int4")
    needed = time.monotonic() - began
    older, newer = contents(tmp_path / "older"), contents(tmp_path / "newer")
    assert older["m.so"] != newer["m.so"]

    source, found = random.Random(1), Counter()
    for _ in range(KILLS):
        folder = tmp_path / "out"
        folder.mkdir()
        for name in older:
            (folder / name).write_bytes((tmp_path / "older" / name).read_bytes())
        process = subprocess.Popen(
            [*words, folder / "m.so", "--weights=int4"], stderr=subprocess.DEVNULL
        )
        time.sleep(source.uniform(0, 1.05 * needed))
        process.kill()
        process.wait()
        left = {name: contents(folder)[name] for name in older}
        ages = tuple("older" if left[n] == older[n] else "newer" for n in sorted(left))
        for name in left:
            assert left[name] in (older[name], newer[name]), f"{name} is half-written"
        done = execute(QTALE_RUN, folder / "m.so", "--prompt", "", "--steps", "2")
        did_not_crash(done)
        assert done.code == (0 if len(set(ages)) == 1 else 1), (ages, done)
        found[ages] += 1
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()
    print(f"\n{KILLS} kills within {needed:.2f} s: {dict(found)}")
    assert found
