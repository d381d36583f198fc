"""Every CPU level that this machine runs gives the same bits; the others say what they need."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from programs import QTALE_RUN, STORY, TELL, execute, refuses, succeeds

import qtale

LEVELS = {
    "x86_64": ["x86-64-v2", "x86-64-v3", "x86-64-v3+avxvnni", "x86-64-v4", "x86-64-v4+vnni"],
    "aarch64": ["armv8-a", "armv8.2-a+dotprod", "armv8.6-a+i8mm"],
}[platform.machine()]
WEIGHTS = ["keep", "int8", "int4"]


def logits(artifact: Path) -> np.ndarray:
    """Of a prefill of many rows, then of single rows."""
    ids = [1, *np.random.default_rng(7).integers(3, 512, 70).tolist()]
    with qtale.load(artifact) as a:
        s = a.session()
        rows = [s.step(ids[:64], logits="all"), *(s.step(token) for token in ids[64:])]
    return np.concatenate(rows)


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("level", LEVELS[1:])
def test_level(compiled: Callable[..., Path], stories_onnx: Path, level: str, weights: str):
    """Its logits are those of the first level, which every machine runs."""
    artifact = compiled(stories_onnx, weights=weights, cpu=level)
    done = execute(QTALE_RUN, artifact, *TELL)
    if done.code:
        assert f"({level} needs " in done.err
        needs = done.err.split("needs ")[1].split(")")[0]
        pytest.skip(f"this machine can't run {level}: no {needs}")
    first = compiled(stories_onnx, weights=weights, cpu=LEVELS[0])
    np.testing.assert_array_equal(logits(artifact).view(np.uint32), logits(first).view(np.uint32))
    if weights == "keep":
        assert done.out == STORY


def test_levels_in_one_artifact(
    compiled: Callable[..., Path], stories_onnx: Path, monkeypatch: pytest.MonkeyPatch
):
    """Named in any order; the best that the machine has is taken, or the one asked for."""
    shuffled = (*LEVELS[1:], LEVELS[0], LEVELS[-1])
    artifact = compiled(stories_onnx, weights="int4", cpu=",".join(shuffled))
    monkeypatch.delenv("QTALE_CPU", raising=False)
    with qtale.load(artifact) as a:
        assert a.info["levels"] == LEVELS[::-1]
        best = a.info["cpu"]
    expected = logits(artifact)
    taken = []
    for level in LEVELS:
        monkeypatch.setenv("QTALE_CPU", level)
        try:
            a = qtale.load(artifact)
        except qtale.Error as error:
            if f"{level} needs " not in str(error):
                raise
            continue
        taken.append(a.info["cpu"])
        assert taken[-1] == level
        a.close()
        np.testing.assert_array_equal(logits(artifact).view(np.uint32), expected.view(np.uint32))
    assert taken[-1] == best


def test_usual_levels(stories_onnx: Path, tmp_path: Path):
    """Without --cpu an artifact runs on other machines too; native is this one's alone."""
    usual = qtale.compile(stories_onnx, tmp_path / "usual.so")
    native = qtale.compile(stories_onnx, tmp_path / "native.so", cpu="native")
    with qtale.load(usual) as a, qtale.load(native) as b:
        assert len(b.info["levels"]) == 1
        assert len(a.info["levels"]) == 3
        # Each stands behind a better one.
        order = [LEVELS.index(level) for level in a.info["levels"]]
        assert order == sorted(order, reverse=True)


def test_a_level_is_named_or_refused(compiled: Callable[..., Path], stories_onnx: Path):
    first, other = LEVELS[:2]
    artifact = compiled(stories_onnx, weights="keep", cpu=first)

    def with_level(level: str) -> dict[str, str]:
        return {**os.environ, "QTALE_CPU": level}

    for level in (first, ""):
        assert succeeds(QTALE_RUN, artifact, *TELL, env=with_level(level)) == STORY
    for level in (other, "no-such-level"):
        said = refuses(QTALE_RUN, artifact, *TELL, folder=artifact.parent, env=with_level(level))
        assert f"CPU level '{level}' is not in this artifact, which has: {first}" in said


def test_a_level_that_the_machine_lacks(compiled: Callable[..., Path], stories_onnx: Path):
    """Refused by the artifact's own list, named or not."""
    for level in reversed(LEVELS):
        artifact = compiled(stories_onnx, weights="keep", cpu=level)
        if execute(QTALE_RUN, artifact, "--info").code:
            break
    else:
        pytest.skip("this machine runs every level")
    for name in ("", level):
        said = refuses(
            QTALE_RUN,
            artifact,
            *TELL,
            folder=artifact.parent,
            env={**os.environ, "QTALE_CPU": name},
        )
        assert f"{level} needs " in said
        assert "this machine" in said
