"""The routed models with golden outputs, compiled: sessions and `run` against their judges."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

import qtale
from goldens import NAMES, THRESHOLDS, checkpoint, golden
from onnx_model import Cache, OnnxModel, Step
from qtale.exporter import export
from qtale.reference import Reference
from qtale.testing import separating_thresholds
from routed_artifacts import assert_holds, kv_bytes, relative_error, require_compiler

#: How a text is cut into steps; the rest is the last step.
CUTS = {"one_prefill": [], "token_by_token": [1] * 100, "uneven_chunks": [3, 1, 7, 5, 8]}


@dataclass
class Model:
    name: str
    onnx: Path
    artifact: qtale.Artifact

    @property
    def reference(self) -> Reference:
        return Reference(checkpoint(self.name))


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Path]]:
    """Of each model its ONNX file and its artifact; made two at a time, as compiling is slow."""
    require_compiler()

    def make(name: str) -> tuple[Path, Path]:
        folder = tmp_path_factory.mktemp(name)
        onnx = export(checkpoint(name), folder / "model.onnx")
        return onnx, qtale.compile(onnx, folder / "m.so", cpu="native")

    with ThreadPoolExecutor(2) as pool:
        return dict(zip(NAMES, pool.map(make, NAMES), strict=True))


@pytest.fixture(scope="module", params=NAMES)
def model(request: pytest.FixtureRequest, artifacts: dict) -> Iterator[Model]:
    onnx, artifact = artifacts[request.param]
    with qtale.load(artifact) as loaded:
        yield Model(request.param, onnx, loaded)


def read(session: qtale.Session, ids: np.ndarray, cut: list[int]) -> np.ndarray:
    """[len(ids), vocab]"""
    parts = np.split(ids, [end for end in np.cumsum(cut) if end < len(ids)])
    return np.concatenate([session.step(part, logits="all") for part in parts])


# -- Sessions ----------------------------------------------------------------


@pytest.mark.parametrize("cut", CUTS.values(), ids=CUTS)
@pytest.mark.parametrize("threshold", THRESHOLDS)
def test_golden(model: Model, threshold: float, cut: list[int]):
    expected = golden(model.name, threshold)
    s = model.artifact.session(threshold=threshold, record=True)
    assert relative_error(read(s, expected.ids, cut), expected.logits) <= 1e-4
    np.testing.assert_array_equal(s.kept, expected.kept)
    np.testing.assert_allclose(s.probability, expected.probability, atol=1e-5)


@pytest.mark.parametrize("threshold", THRESHOLDS)
def test_last_token_only(model: Model, threshold: float):
    """Of the last layer only what the wanted row needs is computed; all its decisions are known."""
    expected = golden(model.name, threshold)
    s = model.artifact.session(threshold=threshold, record=True)
    s.step(expected.ids[:9], logits="none")
    assert relative_error(s.step(expected.ids[9:]), expected.logits[-1:]) <= 1e-4
    np.testing.assert_array_equal(s.kept, expected.kept)


def test_model_s_own_threshold(model: Model):
    expected = golden(model.name, model.reference.config.routing.threshold)
    s = model.artifact.session(record=True)
    assert relative_error(s.step(expected.ids, logits="all"), expected.logits) <= 1e-4
    np.testing.assert_array_equal(s.kept, expected.kept)


def test_caches_hold_what_ran(model: Model):
    """Token by token, and backwards again: 200 tokens fill several blocks of each cache."""
    reference = model.reference
    ids = np.random.default_rng(7).integers(0, reference.config.vocab_size, 200)
    thresholds = separating_thresholds(reference, [ids])
    expected = reference.run(ids, thresholds)
    s = model.artifact.session(threshold=thresholds, record=True)
    assert s.kv_bytes == 0
    for at, token in enumerate(ids):
        logits = s.step(token)
        assert relative_error(logits, expected.logits[at : at + 1]) <= 1e-4
        assert s.kv_bytes == kv_bytes(reference.config, expected.stored, at + 1)
    np.testing.assert_array_equal(s.kept, expected.kept)
    everything = model.artifact.session(threshold=0)
    everything.step(ids, logits="none")
    forgets = reference.config.routing.kv_policy == "evict"
    assert (s.kv_bytes < everything.kv_bytes) == forgets
    assert_holds(s, reference.config, expected.stored)


@pytest.mark.parametrize("budget", [0, 1, 3])
def test_budget(model: Model, budget: int):
    """The first units that want to run do, whatever the threshold."""
    reference = model.reference
    ids = golden(model.name, 0.0).ids
    s = model.artifact.session(threshold=0, record=True)
    s.budget = budget
    expected = reference.run(ids, 0.0, budget)
    assert relative_error(s.step(ids, logits="all"), expected.logits) <= 1e-4
    np.testing.assert_array_equal(s.kept, expected.kept)
    decided = model.artifact.routing.pairs(s.kept)
    assert (decided.sum(axis=0) == budget).all()


def test_thresholds_move_at_any_step(model: Model):
    """And only what follows is decided by them: as onnxruntime with the same caches."""
    oracle, cache = OnnxModel(model.onnx), OnnxModel(model.onnx).empty_cache()
    ids = golden(model.name, 0.5).ids
    s, done = model.artifact.session(record=True), 0
    kept = []
    for threshold, count in ((0.5, 5), (1.1, 3), (0.0, 1), (0.7, 8), (0.3, 7)):
        s.threshold = threshold
        logits = s.step(ids[done : done + count], logits="all")
        mask = np.ones((1, done + count))
        step = oracle.step(ids[None, done : done + count], mask, cache, threshold)
        assert relative_error(logits, step.logits[0]) <= 1e-4
        kept.append(step.kept[..., 0, :])
        cache, done = step.cache, done + count
    np.testing.assert_array_equal(s.kept, np.concatenate(kept, axis=-1))


# -- run ---------------------------------------------------------------------


def call(
    model: Model, ids: np.ndarray, mask: np.ndarray, cache: Cache, threshold: float | np.ndarray
) -> Step:
    """OnnxModel.step by the artifact."""
    units = model.artifact.routing.shape
    got = model.artifact.run(
        {
            "input_ids": np.asarray(ids, np.int64),
            "attention_mask": np.asarray(mask, np.int64),
            "threshold": np.broadcast_to(np.float32(threshold), units),
            **cache,
        }
    )
    after = {
        name.replace("present", "past_key_values"): value
        for name, value in got.items()
        if name.startswith("present")
    }
    return Step(got["logits"], after, got["kept"], got["probability"])


def assert_same(got: Step, expected: Step) -> None:
    np.testing.assert_array_equal(got.kept, expected.kept)
    np.testing.assert_allclose(got.probability, expected.probability, atol=1e-5)
    assert relative_error(got.logits, expected.logits) <= 1e-4
    assert got.cache.keys() == expected.cache.keys()
    for name, value in got.cache.items():
        if name.endswith("kept"):
            np.testing.assert_array_equal(value, expected.cache[name])
        else:
            assert relative_error(value, expected.cache[name]) <= 1e-4


@pytest.mark.parametrize("threshold", THRESHOLDS)
def test_run_golden(model: Model, threshold: float):
    """All at once, and in two steps with the past fed back; a session says the same."""
    expected = golden(model.name, threshold)
    count = len(expected.ids)
    s = model.artifact.session(threshold=threshold, record=True)
    logits = s.step(expected.ids, logits="all")
    for cuts in ([0, count], [0, 11, count]):
        cache = OnnxModel(model.onnx).empty_cache()
        for begin, end in itertools.pairwise(cuts):
            ids = expected.ids[None, begin:end]
            step = call(model, ids, np.ones((1, end)), cache, threshold)
            cache = step.cache
            assert relative_error(step.logits[0], expected.logits[begin:end]) <= 1e-4
            assert relative_error(step.logits[0], logits[begin:end]) <= 1e-4
            np.testing.assert_array_equal(step.kept[..., 0, :], expected.kept[..., begin:end])
            np.testing.assert_array_equal(step.kept[..., 0, :], s.kept[..., begin:end])


def test_run_equals_onnxruntime(model: Model):
    """A batch of two texts, one of them padded; every unit has a threshold of its own."""
    reference, oracle = model.reference, OnnxModel(model.onnx)
    rng = np.random.default_rng(3)
    texts = [rng.integers(0, reference.config.vocab_size, count) for count in (13, 20)]
    thresholds = separating_thresholds(reference, texts)
    padding = len(texts[1]) - len(texts[0])
    ids = np.array([np.pad(texts[0], (padding, 0)), texts[1]])
    mask = np.ones(ids.shape)
    mask[0, :padding] = 0
    cache = own = oracle.empty_cache(2)
    begin = 0
    for end in (10, 11, 12, 20):
        arguments = ids[:, begin:end], mask[:, :end]
        expected = oracle.step(*arguments, cache, thresholds)
        got = call(model, *arguments, own, thresholds)
        assert_same(got, expected)
        cache, own, begin = expected.cache, got.cache, end


# -- What an artifact tells --------------------------------------------------


def test_info(model: Model):
    artifact, config = model.artifact, model.reference.config
    raw = json.loads((checkpoint(model.name) / "config.json").read_text())
    session = artifact.info["session"]
    assert session["layers"] == raw["num_hidden_layers"]
    assert (session["vocab"], session["context"]) == (256, raw["max_position_embeddings"])
    block = raw["qtale"]
    for key in ("router", "first_routed_layer", "always_execute_tokens", "kv_policy"):
        assert session[key] == block[key]
    assert session["units"] == (2 if block.get("unit") == "attention_ffn" else 1)
    assert session["threshold"] == pytest.approx(block["threshold"])
    assert artifact.info["calibrated"] is False
    ports = [(name, tuple(shape)) for name, _, shape in artifact.inputs]
    assert ("threshold", artifact.routing.shape) in ports

    routing = artifact.routing
    assert (routing.layers, routing.units) == (session["layers"], session["units"])
    assert (routing.always_execute, routing.ratios) == (block["always_execute_tokens"], None)
    layers = np.arange(routing.layers) >= block["first_routed_layer"]
    np.testing.assert_array_equal(routing.routed.reshape(routing.layers, -1).all(axis=1), layers)
    np.testing.assert_array_equal(routing.routed.reshape(routing.layers, -1).any(axis=1), layers)
    assert config.routing.units == routing.units
