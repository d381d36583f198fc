"""Graphs with weights, compiled and compared with onnxruntime on the same file.

Weights that are dequantized, transposed, sliced or cast in the graph become recipes of the weights
file: what they give shows in the results.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper, parser

import qtale

RNG = np.random.default_rng(7)


def normal(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


def integers(kind: int, low: int, high: int, *shape: int) -> onnx.TensorProto:
    values = RNG.integers(low, high, shape)
    return helper.make_tensor("", kind, shape, values.flatten().tolist())


def write(text: str, weights: dict[str, np.ndarray | onnx.TensorProto], folder: Path) -> Path:
    """The model of ONNX text, with these initializers as raw data, in a file of their own."""
    model = parser.parse_model(text)
    for name, value in weights.items():
        if isinstance(value, onnx.TensorProto):
            value = numpy_helper.to_array(value)
        model.graph.initializer.append(numpy_helper.from_array(value, name))
    onnx.checker.check_model(model)
    path = folder / "m.onnx"
    onnx.save(model, path, save_as_external_data=True, location="m.data", size_threshold=0)
    return path


def expected(path: Path, inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
    options = onnxruntime.SessionOptions()
    # Optimized, onnxruntime quantizes activations before int4 weights.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return session.run(None, inputs)


@pytest.fixture
def check(compiled: Callable, tmp_path: Path) -> Callable:
    def check(text: str, weights: dict, inputs: dict[str, np.ndarray], rtol: float = 1e-4) -> None:
        path = write(text, weights, tmp_path)
        artifact = qtale.load(compiled(path))
        got = artifact.run(inputs)
        for wanted, (name, _, _) in zip(expected(path, inputs), artifact.outputs, strict=True):
            assert got[name].dtype == wanted.dtype
            scale = np.abs(wanted).max()
            np.testing.assert_allclose(got[name], wanted, rtol=rtol, atol=rtol * scale)

    return check


HEAD = '<ir_version: 11, opset_import: ["" : 23]>'


@pytest.mark.parametrize("kind", ["INT4", "UINT4", "INT8", "UINT8"])
@pytest.mark.parametrize("zero", [False, True])
@pytest.mark.parametrize("axis", [0, 1])
def test_blocked_weights(check: Callable, kind: str, zero: bool, axis: int):
    dtype = TensorProto.DataType.Value(kind)
    span = {"INT4": (-8, 8), "UINT4": (0, 16), "INT8": (-128, 128), "UINT8": (0, 256)}[kind]
    shape, scales = ((96, 40), (3, 40)) if axis == 0 else ((40, 96), (40, 3))
    weights = {"w": integers(dtype, *span, *shape), "s": np.abs(normal(*scales)) + 0.1}
    if zero:
        weights["z"] = integers(dtype, *span, *scales)
    text = f"""{HEAD} m (float[N, 96] x) => (float[N, 40] y) {{
        f = DequantizeLinear <axis: int = {axis}, block_size: int = 32> ({", ".join(weights)})
        {"g = Identity (f)" if axis == 0 else "g = Transpose <perm: ints = [1, 0]> (f)"}
        y = MatMul (x, g)
    }}"""
    check(text, weights, {"x": normal(5, 96)})


@pytest.mark.parametrize("granularity", ["tensor", "axis"])
def test_int8_weights(check: Callable, granularity: str):
    scale = np.float32(0.03) if granularity == "tensor" else np.abs(normal(40)) + 0.01
    text = f"""{HEAD} m (float[N, 64] x) => (float[N, 40] y) {{
        f = DequantizeLinear <axis: int = 1> (w, s)
        y = MatMul (x, f)
    }}"""
    weights = {"w": integers(TensorProto.INT8, -128, 128, 64, 40), "s": np.asarray(scale)}
    check(text, weights, {"x": normal(3, 64)})


def test_views_of_weights(check: Callable):
    """Parts, joined and turned, of float16 weights: computed in float32, stored as they are."""
    text = f"""{HEAD} m (float[B, S, 48] x) => (float[B, S, 64] y, float[B, S, 24] z)
    <int64[2] sizes = {{40, 24}}, int64[2] shape = {{48, 64}}, int64[1] zero = {{0}},
     int64[1] half = {{24}}, int64[1] last = {{1}}>
    {{
        left, right = Split <axis: int = 0> (w, sizes)
        joined = Concat <axis: int = 0> (right, left)
        wide = Cast <to: int = 1> (joined)
        turned = Transpose <perm: ints = [1, 0]> (wide)
        y = MatMul (x, turned)
        part = Slice (turned, zero, half, last)
        z = MatMul (x, part)
    }}"""
    check(text, {"w": normal(64, 48).astype(np.float16)}, {"x": normal(2, 3, 48)})


def test_gemm(check: Callable):
    text = f"""{HEAD} m (float[N, 48] x, float[N, 32] r)
        => (float[N, 32] a, float[N, 32] b, float[N, 32] c)
    {{
        a = Gemm <transB: int = 1> (x, w, bias)
        b = Gemm <transB: int = 1, alpha: float = 0.5, beta: float = 2.0> (x, w, bias)
        c = Gemm <transB: int = 1> (x, w, r)
    }}"""
    inputs = {"x": normal(7, 48), "r": normal(7, 32)}
    check(text, {"w": normal(32, 48), "bias": normal(32)}, inputs)


def test_embedding_and_tied_head(check: Callable):
    """Negative ids count from the end; the head is the table, turned."""
    text = f"""{HEAD} m (int64[B, S] ids) => (float[B, S, 50] y)
    {{
        x = Gather (table, ids)
        head = Transpose <perm: ints = [1, 0]> (table)
        y = MatMul (x, head)
    }}"""
    check(text, {"table": normal(50, 32)}, {"ids": np.array([[0, 49, -1], [-50, 7, 3]])})


def test_shape_arithmetic(check: Callable):
    """Heads split by sizes computed from the input, as exporters write it; any batch and length."""
    text = f"""{HEAD} m (float[B, S, 32] x) => (float[B, 4, S, 8] heads, float[B, 4, S, S] mask)
    <int64 zero = {{0}}, int64 one = {{1}}, int64[1] axis = {{0}}, int64[2] rest = {{4, -1}},
     int64[1] head = {{4}}, float low = {{-10.0}}, float[1] none = {{0}}>
    {{
        dims = Shape (x)
        b = Gather (dims, zero)
        s = Gather (dims, one)
        b1 = Unsqueeze (b, axis)
        s1 = Unsqueeze (s, axis)
        to = Concat <axis: int = 0> (b1, s1, rest)
        split = Reshape (x, to)
        heads = Transpose <perm: ints = [0, 2, 1, 3]> (split)
        row = Range (zero, s, one)
        column = Unsqueeze (row, one_axis)
        later = Greater (row, column)
        square = Where (later, low, none)
        full = Concat <axis: int = 0> (b1, head, s1, s1)
        mask = Expand (square, full)
    }}""".replace("int64[1] axis", "int64[1] one_axis = {1}, int64[1] axis")
    check(text, {}, {"x": normal(2, 5, 32)})


@pytest.mark.parametrize("to", ["n, rest", "n, n", "n, three"])
@pytest.mark.parametrize("meant", [0, 1])
def test_computed_zeros(compiled: Callable, tmp_path: Path, to: str, meant: int):
    """A dimension that turns out to be 0 is meant (allowzero), or would copy another one."""
    if meant and "rest" in to:
        pytest.skip("ONNX forbids -1 beside a 0 that is meant")
    text = f"""{HEAD} m (float[3, N] x) => (float[A, B] y)
    <int64[1] one = {{1}}, int64[1] rest = {{-1}}, int64[1] three = {{3}}> {{
        sizes = Shape (x)
        n = Gather (sizes, one)
        shape = Concat <axis: int = 0> ({to})
        y = Reshape <allowzero: int = {meant}> (x, shape)
    }}"""
    path = write(text, {}, tmp_path)
    artifact = qtale.load(compiled(path))
    x = normal(3, 3)
    np.testing.assert_array_equal(artifact.run({"x": x})["y"], expected(path, {"x": x})[0])
    nothing = {"x": normal(3, 0)}
    if meant or "three" in to:  # (3, 3) would not hold nothing: the judge refuses it
        assert artifact.run(nothing)["y"].shape == (0, 3 if "three" in to else 0)
        return
    assert expected(path, nothing)[0].shape == (3, 0), "what nobody expects"
    with pytest.raises(qtale.Error, match="Reshape: a computed dimension of 0"):
        artifact.run(nothing)


def test_old_opset_functions_and_order(compiled: Callable, tmp_path: Path):
    """Opset 13 is converted, a function inlined, and nodes out of order are sorted."""
    text = """<ir_version: 8, opset_import: ["" : 13, "local" : 1]>
    m (float[N, 8] x) => (float[N, 1] y)
    {
        s = Softmax <axis: int = -1> (x)
        t = local.gate (s, x)
        y = ReduceMean <axes: ints = [1]> (t)
    }
    <domain: "local", opset_import: ["" : 13]>
    gate (a, b) => (c) { d = Sigmoid (a)  c = Mul (d, b) }"""
    model = parser.parse_model(text)
    inputs = {"x": normal(4, 8)}
    session = onnxruntime.InferenceSession(model.SerializeToString())
    wanted = session.run(None, inputs)[0]
    nodes = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend(reversed(nodes))
    onnx.save(model, tmp_path / "m.onnx")
    got = qtale.load(compiled(tmp_path / "m.onnx")).run(inputs)["y"]
    np.testing.assert_allclose(got, wanted, rtol=1e-5)


def test_weights_inside_the_model(compiled: Callable, tmp_path: Path):
    """Raw data and float_data are read where they stand in the .onnx file."""
    raw, typed = normal(48, 40), normal(40, 24)
    text = f"""{HEAD} m (float[N, 48] x) => (float[N, 24] z)
        {{ y = MatMul (x, raw)  z = MatMul (y, typed) }}"""
    model = parser.parse_model(text)
    model.graph.initializer.append(numpy_helper.from_array(raw, "raw"))
    model.graph.initializer.append(
        helper.make_tensor("typed", TensorProto.FLOAT, typed.shape, typed.flatten().tolist())
    )
    assert model.graph.initializer[1].float_data
    onnx.save(model, tmp_path / "m.onnx")
    x = normal(3, 48)
    got = qtale.load(compiled(tmp_path / "m.onnx")).run({"x": x})["z"]
    np.testing.assert_allclose(got, x @ raw @ typed, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("batch", [1, 3])
def test_mismatched_inputs(compiled: Callable, tmp_path: Path, batch: int):
    """Inputs that share a symbol are compared when the model is called."""
    text = f"{HEAD} m (float[B, 4] x, float[B, 4] y) => (float[B, 4] z) {{ z = Add (x, y) }}"
    artifact = qtale.load(compiled(write(text, {}, tmp_path)))
    x = normal(batch, 4)
    np.testing.assert_array_equal(artifact.run({"x": x, "y": x})["z"], x + x)
    with pytest.raises(qtale.Error, match=r"input 'y' dimension 0 \(B\) differs"):
        artifact.run({"x": x, "y": normal(batch + 1, 4)})
