"""Inputs of which no result can be made are refused when the model runs, by onnxruntime as well."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

import qtale

HEAD = '<ir_version: 10, opset_import: ["" : 21]>'
HUGE = 2**63 - 1
ROW, NOTHING = np.ones((2, 3), np.float32), np.zeros((0, 3), np.float32)
FOUR = np.arange(4, dtype=np.float32)


def ints(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


# What a graph does, an input that fits, those that don't, and what they are told.
RESHAPE = (
    "(float[N] x, int64[2] to) => (float[A, B] y) { y = Reshape (x, to) }",
    {"x": FOUR, "to": ints(2, -1)},
    [
        # Products of 4 and 0 elements in 64 bits.
        {"x": FOUR, "to": ints(2**62 + 1, 4)},
        {"x": FOUR[:0], "to": ints(2**32, 2**32)},
        {"x": FOUR, "to": ints(3, 2)},
    ],
    "a reshape must keep the number of elements",
)
RESHAPE_SCALAR = (
    "(float x, int64[2] to) => (float[A, B] y) { y = Reshape (x, to) }",
    {"x": np.array(3, np.float32), "to": ints(1, 1)},
    [{"x": np.array(3, np.float32), "to": ints(7, pow(7, -1, 2**64))}],
    "a tensor of one element has another shape",
)
RESHAPE_SHAPE = (
    "(float[N, 3, 4] x, int64[1] to) => (int64[A] y) { s = Shape (x) y = Reshape (s, to) }",
    {"x": np.ones((2, 3, 4), np.float32), "to": ints(3)},
    [{"x": np.ones((2, 3, 4), np.float32), "to": ints(2)}],
    "a reshape must keep the number of elements",
)
EMPTY = "reads from an axis without elements"
GATHER = (
    "(float[N, M] x, int64[2] i) => (float[2, M] y) { y = Gather (x, i) }",
    {"x": ROW, "i": ints(1, -1)},
    [{"x": NOTHING, "i": ints(0, 0)}, {"x": np.zeros((0, 2**25), np.float32), "i": ints(0, 0)}],
    f"Gather: {EMPTY}",
)
GATHER_ND = (
    "(float[N, 3] x, int64[1, 1] i) => (float[1, 3] y) { y = GatherND (x, i) }",
    {"x": ROW, "i": ints(1)[None]},
    [{"x": NOTHING, "i": ints(0)[None]}],
    f"GatherND: {EMPTY}",
)
GATHER_ELEMENTS = (
    "(float[N, M] x, int64[K, 3] i) => (float[K, 3] y) { y = GatherElements (x, i) }",
    {"x": ROW, "i": ints(0, 1, 0)[None]},
    [{"x": NOTHING, "i": ints(0, 0, 0)[None]}],
    f"GatherElements: {EMPTY}",
)
GATHER_ELEMENTS_BEYOND = (
    "(float[N, M] x, int64[K, L] i) => (float[K, L] y)"
    " { y = GatherElements <axis: int = 1> (x, i) }",
    {"x": ROW, "i": ints(0, 1)[None]},
    [{"x": ROW, "i": np.zeros((3, 3), np.int64)}],
    "the indices are more than the data along axis 0",
)
PAD_EDGE = (
    "(float[N] x) => (float[A] y) <int64[2] by = {1, 2}>"
    ' { y = Pad <mode: string = "edge"> (x, by) }',
    {"x": FOUR},
    [{"x": FOUR[:0]}],
    f"Pad: {EMPTY}",
)
PAD = (
    "(float[N] x, int64[2] by) => (float[A] y) { y = Pad (x, by) }",
    {"x": FOUR, "by": ints(-1, 2)},
    [{"x": FOUR, "by": ints(HUGE, HUGE)}],
    "a pad is larger than any tensor",
)
SPLIT = (
    "(float[N] x, int64[3] by) => (float[A] y, float[B] z, float[C] w) { y, z, w = Split (x, by) }",
    {"x": FOUR, "by": ints(1, 0, 3)},
    [{"x": FOUR, "by": ints(HUGE, HUGE, 6)}],
    "a size is larger than the dimension",
)
EXPAND = (
    "(float[1] x, int64[1] to) => (float[A] y) { y = Expand (x, to) }",
    {"x": FOUR[1:2], "to": ints(3)},
    [{"x": FOUR[1:2], "to": ints(-2)}],
    "Expand: a size is negative",
)
TILE = (
    "(float[N] x, int64[1] by) => (float[A] y) { y = Tile (x, by) }",
    {"x": FOUR, "by": ints(2)},
    [{"x": FOUR, "by": ints(-2)}],
    "Tile: a size is negative",
)
ZEROS = (
    "(int64[1] to) => (float[A] y) { y = ConstantOfShape (to) }",
    {"to": ints(3)},
    [{"to": ints(-2)}],
    "ConstantOfShape: a size is negative",
)
GEMM = (
    "(float[M, 2] a, float[2, N] b, float[P, N] c) => (float[M, N] y) { y = Gemm (a, b, c) }",
    {"a": ROW[:1, :2], "b": ROW, "c": ROW[:1]},
    [{"a": ROW[:1, :2], "b": ROW, "c": ROW}],
    "the shape of C doesn't fit the product",
)
DEQUANTIZE = (
    "(int8[M, N] x, float[K] s, int8[L] z) => (float[M, N] y) { y = DequantizeLinear (x, s, z) }",
    {"x": ROW.astype(np.int8), "s": FOUR[1:], "z": np.array([1, 2, 3], np.int8)},
    [
        {"x": ROW.astype(np.int8), "s": FOUR[1:], "z": np.array([1, 2], np.int8)},
        {"x": ROW.astype(np.int8), "s": FOUR[:2], "z": np.array([1, 2], np.int8)},
    ],
    "the shapes of scale and zero point differ|needs a scale for each element of axis 1",
)
CASES = {name.lower(): case for name, case in list(globals().items()) if isinstance(case, tuple)}


@pytest.mark.parametrize(("graph", "fits", "unfit", "told"), CASES.values(), ids=CASES)
def test_is_refused(
    compiled: Callable, tmp_path: Path, graph: str, fits: dict, unfit: list[dict], told: str
):
    path = tmp_path / "m.onnxtxt"
    path.write_text(f"{HEAD} m {graph}")
    model = onnx.parser.parse_model(path.read_text())
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    judge = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    artifact = qtale.load(compiled(path))
    names = [output.name for output in judge.get_outputs()]
    got = artifact.run(fits)
    for name, wanted in zip(names, judge.run(None, fits), strict=True):
        np.testing.assert_array_equal(got[name], wanted)
        assert got[name].shape == wanted.shape
    for feed in unfit:
        with pytest.raises(Exception, match="ONNXRuntimeError"):
            judge.run(None, feed)
        with pytest.raises(qtale.Error, match=told):
            artifact.run(feed)
