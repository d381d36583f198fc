"""Exported routed models, run by onnxruntime, against their goldens."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from goldens import NAMES, THRESHOLDS, Golden, checkpoint, golden
from onnx_model import OnnxModel, Step
from qtale.exporter import export
from qtale.reference import Reference
from qtale.testing import TINY, separating_thresholds, write_random_checkpoint

#: How a text is cut into steps; the rest is the last step.
CUTS = {"one_prefill": [], "token_by_token": [1] * 100, "uneven_chunks": [3, 1, 7, 2, 6]}


@pytest.fixture(scope="module", params=NAMES)
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory):
    """(name, the exported model)"""
    path = tmp_path_factory.mktemp(request.param) / "model.onnx"
    return request.param, OnnxModel(export(checkpoint(request.param), path))


def sizes(cut: list[int], count: int) -> list[int]:
    """Of the steps of a text of `count` tokens."""
    ends = [end for end in np.cumsum(cut) if end < count]
    return np.diff([0, *ends, count]).tolist()


def assert_equal(got: Step, expected: Golden) -> None:
    assert (got.kept == expected.kept).all()
    assert np.abs(got.probability - expected.probability).max() < 1e-5
    assert np.abs(got.logits - expected.logits).max() < 1e-4 * np.abs(expected.logits).max()


@pytest.mark.parametrize("cut", CUTS.values(), ids=CUTS)
@pytest.mark.parametrize("threshold", THRESHOLDS)
def test_golden(model: tuple[str, OnnxModel], threshold: float, cut: list[int]):
    name, onnx_model = model
    expected = golden(name, threshold)
    got = onnx_model.text(expected.ids, sizes(cut, len(expected.ids)), threshold)
    assert_equal(got, expected)


def test_thresholds_of_units(model: tuple[str, OnnxModel]):
    """Entries of layers without a router are ignored; each other one is its unit's own."""
    name, onnx_model = model
    reference, ids = Reference(checkpoint(name)), golden(name, 0.5).ids
    thresholds = separating_thresholds(reference, [ids])
    thresholds[: reference.config.routing.first_routed_layer] = 7.0
    expected = reference.run(ids, thresholds)
    got = onnx_model.text(ids, [len(ids)], thresholds)
    assert_equal(got, Golden(ids, expected.logits, expected.kept, expected.probability))


def test_kept_caches_remember(model: tuple[str, OnnxModel]):
    """Of routed layers, under evict only: who ran attention."""
    name, onnx_model = model
    expected = golden(name, 0.5)
    cache = onnx_model.text(expected.ids, [7, len(expected.ids) - 7], 0.5).cache
    remembered = {key: value for key, value in cache.items() if key.endswith(".kept")}
    layers = range(2, 6) if name in ("tiny", "split") else ()
    assert set(remembered) == {f"past_key_values.{layer}.kept" for layer in layers}
    for layer in layers:
        kept = expected.kept[layer].reshape(-1, len(expected.ids))[0]
        assert (remembered[f"past_key_values.{layer}.kept"][0] == kept).all()


def test_edges(model: tuple[str, OnnxModel]):
    """Names, types and shapes of what routing adds."""
    name, onnx_model = model
    units = [6, 2] if name == "split" else [6]
    threshold = onnx_model.inputs["threshold"]
    assert (threshold.type, threshold.shape) == ("tensor(float)", units)
    outputs = {value.name: value for value in onnx_model.session.get_outputs()}
    for output, kind in (("kept", "tensor(bool)"), ("probability", "tensor(float)")):
        shape = [*units, "batch_size", "sequence_length"]
        assert (outputs[output].type, outputs[output].shape) == (kind, shape)
    properties = onnx_model.session.get_modelmeta().custom_metadata_map
    assert properties == {"qtale.context": "512", "qtale.threshold": "0.5"}


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("router", ["mlp2", "linear", "gate"])
def test_storage_type(tmp_path: Path, dtype: str, router: str):
    """Routers and adapters in half precision stay so on disk, and are computed in float32."""
    routing = {"router": router, "router_hidden_size": 9, "router_norm_eps": 1e-5}
    routing |= {"first_routed_layer": 0, "always_execute_tokens": 1, "threshold": 1e-5}
    config = TINY | {"qtale": routing | {"adapter_size": 5}}
    folder = write_random_checkpoint(tmp_path / "checkpoint", config, dtype)
    path = export(folder, tmp_path / "model.onnx")
    graph = onnx.load(path, load_external_data=False)
    stored = {t.data_type for t in graph.graph.initializer if t.name.startswith("model.layers")}
    assert stored == {getattr(onnx.TensorProto, dtype.upper())}
    assert {p.key: p.value for p in graph.metadata_props}["qtale.threshold"] == "0.00001"

    reference, ids = Reference(folder), np.random.default_rng(0).integers(0, 97, 20)
    thresholds = separating_thresholds(reference, [ids])
    expected = reference.run(ids, thresholds)
    got = OnnxModel(path).text(ids, [20], thresholds)
    assert_equal(got, Golden(ids, expected.logits, expected.kept, expected.probability))
