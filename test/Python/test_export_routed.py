"""Exported routed models, run by onnxruntime, against their goldens."""

from __future__ import annotations

import numpy as np
import pytest

from goldens import NAMES, THRESHOLDS, Golden, checkpoint, golden
from onnx_model import OnnxModel, Step
from qtale.exporter import export

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
