"""Random routed models, compiled: sessions decide and answer as the reference does.

Each model reads several texts at once, each with its own thresholds or budget, in steps and passes
of random sizes; some sessions take detours: forks, and tokens that are taken back.

    QTALE_RANDOM_MODELS=300 pytest -s test/Python/test_random_routed_artifacts.py
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

import qtale
from onnx_model import OnnxModel
from qtale.exporter import export
from qtale.reference import Reference, Run
from qtale.testing import random_routed_config, separating_thresholds, write_random_checkpoint
from routed_artifacts import assert_holds, compile_step, relative_error, require_compiler

MODELS = int(os.environ.get("QTALE_RANDOM_MODELS", "12"))
#: Of so many models one is compiled whole: @main makes compiling slow.
WHOLE = 8
#: p closer to its threshold could be on either side of it by rounding.
MARGIN = 1e-4


@dataclass
class Figures:
    """What all models gave."""

    errors: list[float] = field(default_factory=list)
    ratios: list[float] = field(default_factory=list)
    margins: list[float] = field(default_factory=list)


@dataclass
class Model:
    folder: Path
    onnx: Path
    artifact: Path


@dataclass
class Text:
    """What a session reads, with what settings, and what must come of it."""

    ids: np.ndarray
    thresholds: np.ndarray | float
    budget: int | None
    expected: Run


def make(folder: Path, seed: int) -> Model:
    config = random_routed_config(np.random.default_rng(seed))
    checkpoint = write_random_checkpoint(folder / "checkpoint", config, seed=seed)
    onnx = export(checkpoint, folder / "model.onnx")
    compiler = compile_step if seed % WHOLE else qtale.compile
    return Model(checkpoint, onnx, compiler(onnx, folder / "m.so", cpu="native"))


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Future[Model]]]:
    """All models: made two at a time, while tests run."""
    require_compiler()
    folder = tmp_path_factory.mktemp("models")
    with ThreadPoolExecutor(2) as pool:
        yield [pool.submit(make, folder / str(seed), seed) for seed in range(MODELS)]
        pool.shutdown(cancel_futures=True)


@pytest.fixture(scope="module")
def figures() -> Iterator[Figures]:
    figures = Figures()
    yield figures
    if figures.errors:
        print(
            f"\n{len(figures.errors)} sessions: largest error {max(figures.errors):.1e} of the "
            f"largest logit; ratios {min(figures.ratios):.2f} to {max(figures.ratios):.2f}, mean "
            f"{np.mean(figures.ratios):.2f}; p at least {min(figures.margins):.1e} from thresholds"
        )


def margin(reference: Reference, run: Run, thresholds: np.ndarray | float) -> float:
    """How close to its threshold a p that decides is."""
    routing = reference.config.routing
    shape = run.probability.shape[:-1]
    distance = np.abs(run.probability - np.broadcast_to(thresholds, shape)[..., None])
    return float(distance[routing.first_routed_layer :, ..., routing.always_execute_tokens :].min())


def make_text(rng: np.random.Generator, reference: Reference) -> Text:
    ids = rng.integers(0, reference.config.vocab_size, rng.integers(4, 45))
    kind = rng.integers(8)
    thresholds = {0: 0.0, 1: 2.0}.get(int(kind))
    if thresholds is None:
        thresholds = separating_thresholds(reference, [ids])
    budget = int(rng.integers(0, 7)) if rng.random() < 0.3 else None
    expected = reference.run(ids, thresholds, budget)
    # A budget moves what runs, and with it p.
    if budget is not None and margin(reference, expected, thresholds) < MARGIN:
        budget, expected = None, reference.run(ids, thresholds)
    return Text(ids, thresholds, budget, expected)


class Reader:
    """A session that reads a text piece by piece, with detours."""

    def __init__(self, artifact: qtale.Artifact, text: Text, rng: np.random.Generator):
        self.text, self.rng = text, rng
        self.session = artifact.session(
            threads=int(rng.integers(1, 4)),
            threshold=text.thresholds,
            record=True,
            max_rows=int(rng.choice([1, 3, 8, 512])),
        )
        self.session.budget = text.budget
        self.logits = np.full(text.expected.logits.shape, np.nan, np.float32)
        self.longest = int(rng.choice([1, 4, 12, 50]))

    @property
    def done(self) -> bool:
        return self.session.position == len(self.text.ids)

    def piece(self) -> np.ndarray:
        begin = self.session.position
        return self.text.ids[begin : begin + self.rng.integers(1, self.longest + 1)]

    def take(self, logits: np.ndarray) -> None:
        end = self.session.position
        self.logits[end - len(logits) : end] = logits

    def detour(self) -> None:
        """Forgets some tokens, or goes on as its own fork while the original goes astray."""
        if self.rng.random() < 0.15:
            self.session.truncate(int(self.rng.integers(0, self.session.position + 1)))
        if self.rng.random() < 0.15:
            fork = self.session.fork()
            astray = self.rng.permutation(self.text.ids)[:20]
            self.session.step(astray, logits="none")
            if self.rng.random() < 0.5:
                self.session.truncate(self.session.position - len(astray))
            else:
                self.session = fork


def read(artifact: qtale.Artifact, texts: list[Text], rng: np.random.Generator) -> list[Reader]:
    """All texts, in steps of any of the sessions that have something left."""
    readers = [Reader(artifact, text, rng) for text in texts]
    while rest := [reader for reader in readers if not reader.done]:
        chosen = [rest[i] for i in rng.permutation(len(rest))[: rng.integers(1, len(rest) + 1)]]
        step = [(reader.session, reader.piece()) for reader in chosen]
        for reader, logits in zip(chosen, artifact.step(step, logits="all"), strict=True):
            reader.take(logits)
            reader.detour()
    return readers


@pytest.mark.parametrize("seed", range(MODELS))
def test_sessions_equal_reference(models: list[Future[Model]], figures: Figures, seed: int):
    model, rng = models[seed].result(), np.random.default_rng([seed, 1])
    reference = Reference(model.folder)
    texts = [make_text(rng, reference) for _ in range(rng.integers(1, 5))]
    with qtale.load(model.artifact) as artifact:
        for reader in read(artifact, texts, rng):
            text, session = reader.text, reader.session
            run = text.expected
            np.testing.assert_array_equal(session.kept, run.kept)
            np.testing.assert_allclose(session.probability, run.probability, atol=1e-4)
            error = relative_error(reader.logits, run.logits)
            assert error <= 1e-4
            figures.errors.append(error)
            figures.ratios.append(artifact.routing.ratio(session.kept))
            figures.margins.append(margin(reference, run, text.thresholds))
            assert_holds(session, reference.config, run.stored)


@pytest.mark.parametrize("seed", range(0, MODELS, WHOLE))
def test_run_equals_onnxruntime(models: list[Future[Model]], seed: int):
    """@main: masked, a batch with padding, the past fed back."""
    model, rng = models[seed].result(), np.random.default_rng([seed, 2])
    reference, oracle = Reference(model.folder), OnnxModel(model.onnx)
    texts = [rng.integers(0, reference.config.vocab_size, count) for count in (9, 14)]
    thresholds = np.float32(separating_thresholds(reference, texts))
    ids = np.array([np.pad(text, (14 - len(text), 0)) for text in texts])
    mask = np.array([[0] * (14 - len(text)) + [1] * len(text) for text in texts])
    cache, begin = oracle.empty_cache(2), 0
    own = cache
    with qtale.load(model.artifact) as artifact:
        for end in (10, 11, 14):
            step = oracle.step(ids[:, begin:end], mask[:, :end], cache, thresholds)
            inputs = {"input_ids": ids[:, begin:end], "attention_mask": mask[:, :end]}
            got = artifact.run({**inputs, "threshold": thresholds, **own})
            np.testing.assert_array_equal(got.pop("kept"), step.kept)
            assert relative_error(got.pop("probability"), step.probability) <= 1e-4
            assert relative_error(got.pop("logits"), step.logits) <= 1e-4
            cache, begin = step.cache, end
            own = {name.replace("present", "past_key_values"): got[name] for name in got}
            assert own.keys() == cache.keys()
            for name, value in own.items():
                if name.endswith("kept"):
                    np.testing.assert_array_equal(value, cache[name])
                else:
                    assert relative_error(value, cache[name]) <= 1e-4
