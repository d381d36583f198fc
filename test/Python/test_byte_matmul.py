"""Products of bytes with constant matrices, compiled, against NumPy in 64 bits.

(onnxruntime saturates u8 x s8 on CPUs without VNNI.) Sums reach far beyond 16 bits: rows and
columns hold the extremes of their type all along k.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import qtale

RNG = np.random.default_rng(31)
BYTES = [np.uint8, np.int8]

Feeds = dict[str, np.ndarray]
Run = Callable[[Feeds], dict[str, np.ndarray]]


def full(dtype, shape) -> np.ndarray:
    """Anything; of a matrix, rows at one extreme, at the other and at both."""
    low, top = np.iinfo(dtype).min, np.iinfo(dtype).max
    values = RNG.integers(low, top + 1, shape).astype(dtype)
    if len(shape) > 1:
        for i, row in enumerate((top, low, RNG.choice([low, top], shape[-1]))):
            values[..., i % shape[-2], :] = row
    return values


def matrix(dtype, k: int, n: int) -> np.ndarray:
    """[k, n]: its columns are what `full` makes of rows."""
    return np.ascontiguousarray(full(dtype, (n, k)).T)


def zeros(dtype, shape) -> np.ndarray:
    """Zero points at both ends."""
    info = np.iinfo(dtype)
    return RNG.choice([info.min, info.max], shape).astype(dtype)


def compiled(folder: Path, nodes: list, inputs: Feeds, constants: Feeds, outputs: dict) -> Run:
    """Inputs' dimensions, but for the last one, are symbols."""
    ports = [
        helper.make_tensor_value_info(
            name,
            helper.np_dtype_to_tensor_dtype(value.dtype),
            [f"{name}_{i}" for i in range(value.ndim - 1)] + list(value.shape[-1:]),
        )
        for name, value in inputs.items()
    ]
    results = [
        helper.make_tensor_value_info(name, type_, [f"{name}_{i}" for i in range(rank)])
        for name, (type_, rank) in outputs.items()
    ]
    initializers = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "g", ports, results, initializers)
    model = folder / "m.onnx"
    onnx.save(
        helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 21)]), model
    )
    return qtale.load(qtale.compile(model, folder / "m.so", cpu="native")).run


@pytest.mark.parametrize("right", BYTES, ids=lambda t: t.__name__)
@pytest.mark.parametrize("left", BYTES, ids=lambda t: t.__name__)
def test_mat_mul_integer(tmp_path: Path, left, right):
    """Batches, a vector, tails of k and n, zero points of all shapes; as many rows as there are."""
    cases = [
        # leading dimensions of a, k, n, zero points (None: absent)
        ((5,), 37, 50, None, None),
        ((5,), 1030, 16, (), ()),
        ((5,), 66, 1, (5,), (1,)),
        ((2, 3), 3, 130, (2, 3, 1), (130,)),
        ((2, 3), 64, 67, (3, 1), (1, 67)),
        ((), 70, 33, (), (33,)),
    ]
    nodes, inputs, constants, outputs = [], {}, {}, {}
    for i, (rows, k, n, za, zc) in enumerate(cases):
        inputs[f"a{i}"] = full(left, (*rows, k))
        constants[f"c{i}"] = matrix(right, k, n)
        names = [f"a{i}", f"c{i}", "", ""]
        if za is not None:
            inputs[f"za{i}"] = zeros(left, za)
            constants[f"zc{i}"] = zeros(right, zc)
            names[2:] = [f"za{i}", f"zc{i}"]
        nodes.append(helper.make_node("MatMulInteger", names, [f"y{i}"]))
        outputs[f"y{i}"] = (TensorProto.INT32, len(rows) + 1)
    run = compiled(tmp_path, nodes, inputs, constants, outputs)
    got = run(inputs)
    for i, (rows, _, _, za, _) in enumerate(cases):
        a, c = inputs[f"a{i}"].astype(np.int64), constants[f"c{i}"].astype(np.int64)
        if za is not None:
            zero = inputs[f"za{i}"].astype(np.int64)
            a = a - (zero[:, None] if za == rows and len(rows) == 1 else zero)
            c = c - constants[f"zc{i}"].astype(np.int64)
        np.testing.assert_array_equal(got[f"y{i}"], a @ c, err_msg=str(cases[i]))
        assert got[f"y{i}"].dtype == np.int32


def test_quantized_layer(tmp_path: Path):
    """As quantize_dynamic writes it, twice with one input; any number of rows."""
    constants = {f"w{i}": matrix(np.int8, 200, n) for i, n in enumerate((96, 40))}
    nodes = [helper.make_node("DynamicQuantizeLinear", ["x"], ["q", "s", "z"])]
    for i in range(2):
        nodes += [
            helper.make_node("MatMulInteger", ["q", f"w{i}", "z"], [f"i{i}"]),
            helper.make_node("Cast", [f"i{i}"], [f"f{i}"], to=TensorProto.FLOAT),
            helper.make_node("Mul", [f"f{i}", "s"], [f"y{i}"]),
        ]
    like = {"x": np.zeros((2, 1, 200), np.float32)}
    outputs = {f"y{i}": (TensorProto.FLOAT, 3) for i in range(2)}
    run = compiled(tmp_path, nodes, like, constants, outputs)
    for rows in (0, 1, 2, 9, 70):
        x = RNG.standard_normal((2, rows, 200)).astype(np.float32)
        got = run({"x": x})
        low, high = x.min(initial=0), x.max(initial=0)
        scale = np.float32(high - low) / np.float32(255) if rows else np.float32(1)
        zero = np.rint(np.clip(-low / scale, 0, 255))
        q = np.clip(np.rint(x / scale) + zero, 0, 255) - zero
        for i in range(2):
            sums = q.astype(np.int64) @ constants[f"w{i}"].astype(np.int64)
            np.testing.assert_array_equal(got[f"y{i}"], sums.astype(np.float32) * scale)


@pytest.mark.parametrize("dtype", BYTES, ids=lambda t: t.__name__)
def test_q_linear_mat_mul(tmp_path: Path, dtype):
    m, k, n = 9, 121, 70
    inputs = {"a": full(dtype, (m, k))}
    constants = {
        "sa": np.float32(0.05),
        "za": np.array(100, dtype),
        "c": matrix(np.int8, k, n),
        "sc": (0.01 + RNG.random(n) * 0.05).astype(np.float32),
        "zc": zeros(np.int8, (n,)),
        "sy": np.float32(16),
        "zy": np.array(3, dtype),
    }
    names = ["a", "sa", "za", "c", "sc", "zc", "sy", "zy"]
    node = helper.make_node("QLinearMatMul", names, ["y"])
    type_ = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    constants = {name: np.asarray(value) for name, value in constants.items()}
    got = compiled(tmp_path, [node], inputs, constants, {"y": (type_, 2)})(inputs)["y"]
    sums = (inputs["a"].astype(np.int64) - 100) @ (
        constants["c"].astype(np.int64) - constants["zc"].astype(np.int64)
    )
    factor = constants["sa"] * constants["sc"] / constants["sy"]
    real = np.rint(sums.astype(np.float32) * factor) + 3
    want = np.clip(real, np.iinfo(dtype).min, np.iinfo(dtype).max).astype(dtype)
    np.testing.assert_array_equal(got, want)
    assert len(np.unique(want)) > 20  # not all saturated


def test_a_weight_read_both_ways(tmp_path: Path):
    """A matrix whose elements another node reads too stays as it is for that one."""
    x, w = full(np.uint8, (4, 66)), matrix(np.int8, 66, 34)
    nodes = [
        helper.make_node("MatMulInteger", ["x", "w"], ["y"]),
        helper.make_node("Gather", ["w", "at"], ["row"]),
    ]
    outputs = {"y": (TensorProto.INT32, 2), "row": (TensorProto.INT8, 2)}
    inputs = {"x": x, "at": np.array([5, 0])}
    got = compiled(tmp_path, nodes, inputs, {"w": w}, outputs)(inputs)
    np.testing.assert_array_equal(got["y"], x.astype(np.int64) @ w.astype(np.int64))
    np.testing.assert_array_equal(got["row"], w[[5, 0]])
