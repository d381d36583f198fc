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
