"""ai.qtale's functions: their text, run by onnxruntime, against what it says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from qtale.exporter.nodes import DOMAIN, load_function


@pytest.fixture(scope="module")
def causal_mask() -> onnxruntime.InferenceSession:
    function = load_function("CausalMask")
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("CausalMask", ["ids", "mask"], ["position", "seen"], domain=DOMAIN)],
        "mask",
        [value("ids", TensorProto.INT64, ["B", "S"]), value("mask", TensorProto.INT64, ["B", "T"])],
        [
            value("position", TensorProto.INT64, ["B", "S"]),
            value("seen", TensorProto.BOOL, ["B", 1, "S", "T"]),
        ],
    )
    model = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", 23), helper.make_opsetid(DOMAIN, 1)],
        functions=[function],
        ir_version=11,
    )
    onnx.checker.check_model(model, full_check=True)
    return onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )


@pytest.mark.parametrize(("batch", "past", "step"), [(1, 0, 1), (1, 0, 5), (3, 4, 1), (4, 3, 6)])
def test_causal_mask(causal_mask: onnxruntime.InferenceSession, batch: int, past: int, step: int):
    """Key by key, for any padding: in front, within, and all of a row."""
    mask = np.random.default_rng(past).integers(0, 2, (batch, past + step))
    mask[-1] = 0
    ids = np.zeros((batch, step), np.int64)
    position, seen = causal_mask.run(None, {"ids": ids, "mask": mask})
    for b in range(batch):
        for q in range(step):
            assert position[b, q] == max(mask[b, : past + q + 1].sum() - 1, 0)
            for k in range(past + step):
                expected = k == past + q or (k < past + q and mask[b, k] == 1)
                assert seen[b, 0, q, k] == expected


def test_exported_body_is_the_text(stories_onnx: Path):
    """The compiler knows a function by its body, so the exporter must not change it."""
    model = onnx.load(stories_onnx, load_external_data=False)
    assert [f.name for f in model.functions] == ["CausalMask"]
    assert model.functions[0] == load_function("CausalMask")
