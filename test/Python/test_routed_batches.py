"""Routed models in integers: batches, chunks, threads and CPU levels change no bit.

And what is decided is what the schemes' definition decides, where no rounding is in the way.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pytest

import qtale
from goldens import checkpoint
from qtale.exporter import export
from qtale.reference import Reference, Scheme
from qtale.testing import separating_thresholds
from routed_artifacts import compile_step, relative_error, require_compiler

#: The first is what the others are compared with.
LEVELS = {
    "x86_64": ["x86-64-v3", "x86-64-v3+avxvnni", "x86-64-v4", "x86-64-v4+vnni"],
    "aarch64": ["armv8-a", "armv8.2-a+dotprod", "armv8.6-a+i8mm"],
}[platform.machine()]
#: (model, weights, caches): keys that are forgotten, and keys that all rows leave.
MODELS = [
    ("tiny", "int4", "f16"),
    ("tiny", "int8", "int8"),
    ("gate", "int4", "int8"),
    ("gate", "int8", "f16"),
]
THRESHOLDS = (0.0, 0.3, 0.5, 0.7, 1.1)


@dataclass
class Model:
    reference: Reference
    #: load(level) -> artifact, made once. Skips where this machine can't run it.
    load: Callable[[str], qtale.Artifact]


@dataclass
class Result:
    """What a session made of a text."""

    logits: np.ndarray
    kept: np.ndarray
    probability: np.ndarray


@pytest.fixture(scope="module", params=MODELS, ids="-".join)
def model(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Model]:
    require_compiler()
    name, weights, kv = request.param
    folder = tmp_path_factory.mktemp(name)
    onnx = export(checkpoint(name), folder / "model.onnx")
    reference = Reference(checkpoint(name), Scheme(weights, activations="int8", kv=kv))
    loaded: dict[str, qtale.Artifact] = {}

    def load(level: str) -> qtale.Artifact:
        if level not in loaded:
            output = folder / f"{level}.so"
            compile_step(onnx, output, weights=weights, kv=kv, cpu=level)
            try:
                loaded[level] = qtale.load(output)
            except qtale.Error as error:
                if f"{level} needs " not in str(error):
                    raise
                pytest.skip(f"this machine can't run {level}")
        return loaded[level]

    yield Model(reference, load)
    for artifact in loaded.values():
        artifact.close()


def text_of(seed: int, count: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, count)


def read(session: qtale.Session, ids: np.ndarray, sizes: list[int]) -> Result:
    """In steps of these sizes, again and again."""
    logits, at = [], 0
    while at < len(ids):
        size = sizes[len(logits) % len(sizes)]
        logits.append(session.step(ids[at : at + size], logits="all"))
        at += size
    return Result(np.concatenate(logits), session.kept, session.probability)


def assert_same_bits(got: Result, expected: Result) -> None:
    np.testing.assert_array_equal(got.kept, expected.kept)
    for name in ("probability", "logits"):
        one, two = getattr(got, name), getattr(expected, name)
        np.testing.assert_array_equal(one.view(np.uint32), two.view(np.uint32))


def alone(artifact: qtale.Artifact, ids: np.ndarray, threshold: float) -> Result:
    s = artifact.session(threads=1, threshold=threshold, record=True)
    return read(s, ids, [len(ids)])


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.7])
@pytest.mark.parametrize("level", LEVELS)
def test_chunks_and_threads(model: Model, level: str, threshold: float):
    ids = text_of(1, 75)
    expected = alone(model.load(LEVELS[0]), ids, threshold)
    assert not expected.kept.all()
    artifact = model.load(level)
    for threads, max_rows, sizes in (
        (1, 512, [75]),
        (1, 512, [1]),
        (1, 7, [75]),
        (2, 512, [3, 1, 20, 2]),
        (3, 5, [40, 1]),
        (8, 512, [75]),
        (8, 1, [16]),
    ):
        s = artifact.session(threads, threshold, record=True, max_rows=max_rows)
        assert_same_bits(read(s, ids, sizes), expected)


@pytest.mark.parametrize("level", LEVELS)
def test_batches(model: Model, level: str):
    """Five sequences with a threshold each: a prefill beside others that decode, or all at once."""
    texts = [text_of(index, count) for index, count in enumerate((60, 9, 33, 5, 48))]
    base, artifact = model.load(LEVELS[0]), model.load(level)
    expected = [alone(base, *pair) for pair in zip(texts, THRESHOLDS, strict=True)]
    assert len({result.kept.mean() for result in expected}) >= 4
    for threads, max_rows, sizes in (
        (1, 512, (60, 9, 33, 5, 48)),
        (2, 512, (60, 1, 1, 1, 1)),
        (3, 16, (7, 3, 11, 1, 2)),
        (8, 512, (1, 1, 1, 1, 1)),
    ):
        sessions = [artifact.session(threads, t, None, True, max_rows) for t in THRESHOLDS]
        logits: list[list[np.ndarray]] = [[] for _ in texts]
        while any(s.position < len(ids) for s, ids in zip(sessions, texts, strict=True)):
            step = [
                (index, (s, ids[s.position : s.position + size]))
                for index, (s, ids, size) in enumerate(zip(sessions, texts, sizes, strict=True))
                if s.position < len(ids)
            ]
            results = artifact.step([item for _, item in step], logits="all")
            for (index, _), rows in zip(step, results, strict=True):
                logits[index].append(rows)
        for s, rows, result in zip(sessions, logits, expected, strict=True):
            assert_same_bits(Result(np.concatenate(rows), s.kept, s.probability), result)


def test_decisions_of_the_definition(model: Model):
    """int8 activations may round the other way now and then, which moves p by less than a gap."""
    artifact = model.load(LEVELS[0])
    ids = text_of(2, 40)
    thresholds = separating_thresholds(model.reference, [ids])
    expected = model.reference.run(ids, thresholds)
    s = artifact.session(threshold=thresholds, record=True)
    logits = s.step(ids, logits="all")
    np.testing.assert_array_equal(s.kept, expected.kept)
    np.testing.assert_allclose(s.probability, expected.probability, atol=1e-2)
    assert relative_error(logits, expected.logits) < 2e-2
