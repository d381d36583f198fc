"""TopK, ArgMax, ArgMin, the scatters and integer products, compiled, against other runtimes.

The judge is onnxruntime, or NumPy where onnxruntime lacks a type or leaves a case undefined (NaN;
and u8 x s8, which it saturates on CPUs without VNNI). A graph holds many nodes, and its dimensions
are symbols: it is compiled once and runs on many shapes.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

import qtale

RNG = np.random.default_rng(10)

INTEGERS = [np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.uint64]
FLOATS = [np.float16, np.float32, np.float64]


class Graph:
    """Nodes over inputs whose dimensions are symbols, unless they are given."""

    def __init__(self, opset: int = 24):
        self.opset = opset
        self.nodes: list[onnx.NodeProto] = []
        self.inputs: list[onnx.ValueInfoProto] = []
        self.outputs: list[onnx.ValueInfoProto] = []
        self.constants: list[onnx.TensorProto] = []

    def add_input(self, name: str, dtype, dims: list) -> str:
        kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        dims = [f"{name}_{i}" if dim is None else dim for i, dim in enumerate(dims)]
        self.inputs.append(helper.make_tensor_value_info(name, kind, dims))
        return name

    def add_constant(self, name: str, value: np.ndarray) -> str:
        self.constants.append(numpy_helper.from_array(value, name))
        return name

    def add(self, op: str, inputs: list[str], dtypes: list, rank: int, **attributes) -> list[str]:
        """The names of a node's results, which are the graph's."""
        names = [f"{op}_{len(self.nodes)}_{i}" for i in range(len(dtypes))]
        self.nodes.append(helper.make_node(op, inputs, names, **attributes))
        for name, dtype in zip(names, dtypes, strict=True):
            kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
            scalar = op == "DynamicQuantizeLinear" and name != names[0]
            dims = [] if scalar else [f"{name}_{i}" for i in range(rank)]
            self.outputs.append(helper.make_tensor_value_info(name, kind, dims))
        return names

    def model(self) -> onnx.ModelProto:
        graph = helper.make_graph(self.nodes, "g", self.inputs, self.outputs, self.constants)
        return helper.make_model(
            graph, ir_version=10, opset_imports=[helper.make_opsetid("", self.opset)]
        )


Feeds = dict[str, np.ndarray]
Run = Callable[[Feeds], dict[str, np.ndarray]]


@pytest.fixture
def build(compiled, tmp_path: Path) -> Callable[[Graph], Run]:
    names = (f"m{i}" for i in itertools.count())

    def build(graph: Graph) -> Run:
        model = tmp_path / f"{next(names)}.onnx"
        onnx.save(graph.model(), model)
        return qtale.load(qtale.compile(model, model.with_suffix(".so"), cpu="native")).run

    return build


def onnxruntime_of(graph: Graph) -> Run:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(
        graph.model().SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    names = [output.name for output in session.get_outputs()]
    return lambda feeds: dict(zip(names, session.run(None, feeds), strict=True))


def assert_same(got: dict[str, np.ndarray], wanted: dict[str, np.ndarray], **tolerance) -> None:
    assert got.keys() == wanted.keys()
    for name, value in wanted.items():
        assert got[name].shape == value.shape, name
        assert got[name].dtype == value.dtype, name
        np.testing.assert_allclose(got[name], value, err_msg=name, **{"rtol": 0} | tolerance)


def numbers(dtype, shape, low: int = -5, high: int = 6) -> np.ndarray:
    """Small whole numbers, with many ties."""
    if np.dtype(dtype) == bool:
        return RNG.integers(0, 2, shape).astype(bool)
    return RNG.integers(0 if np.dtype(dtype).kind == "u" else low, high, shape).astype(dtype)


# Selection


def best(x: np.ndarray, k: int, axis: int, largest: bool) -> tuple[np.ndarray, np.ndarray]:
    """TopK by a stable sort; NumPy sorts NaN above all."""
    if largest:  # backwards, so that of equal ones the first comes first
        order = x.shape[axis] - 1 - np.argsort(np.flip(x, axis), axis, kind="stable")
        order = np.flip(order, axis)
    else:
        order = np.argsort(x, axis, kind="stable")
    order = np.take(order, np.arange(k), axis)
    return np.take_along_axis(x, order, axis), order


@pytest.mark.parametrize("dtype", [*FLOATS, *INTEGERS], ids=lambda t: t.__name__)
def test_top_k(build, dtype):
    """Both ends, each axis, k at run time; shapes with ties, ones and nothing."""
    graph = Graph()
    graph.add_input("x", dtype, [None] * 3)
    graph.add_input("k", np.int64, [1])
    cases = list(itertools.product([-1, 0, -2] if dtype in FLOATS else [-2], [0, 1]))
    for axis, largest in cases:
        # Without sorted, any order would do, this one too.
        graph.add("TopK", ["x", "k"], [dtype, np.int64], 3, axis=axis, largest=largest, sorted=1)
    run = build(graph)
    for shape in [(3, 5, 4), (1, 1, 1), (2, 0, 3), (0, 4, 2), (33, 17, 40)]:
        x = numbers(dtype, shape)
        for k in sorted({0, 1, min(shape) // 2, min(shape)}):
            if k > min(shape):
                continue
            got = list(run({"x": x, "k": np.array([k])}).values())
            for i, (axis, largest) in enumerate(cases):
                for value, wanted in zip(got[2 * i :], best(x, k, axis, largest), strict=False):
                    np.testing.assert_array_equal(value, wanted)


def test_top_k_of_a_vocabulary(build):
    """Long rows, k of all sizes, values that ascend (the heap's worst case), NaN and infinities."""
    graph = Graph()
    graph.add_input("x", np.float32, [None, None])
    graph.add_input("k", np.int64, [1])
    for largest in (0, 1):
        graph.add("TopK", ["x", "k"], [np.float32, np.int64], 2, largest=largest, sorted=0)
    run = build(graph)
    n = 20000
    x = RNG.standard_normal((3, n)).astype(np.float32)
    x[1] = np.arange(n)
    x[2, ::7] = np.nan
    x[2, 1::70] = np.inf
    x[2, 2::70] = -np.inf
    for k in (1, 2, 50, 256, 1000, n):
        got = list(run({"x": x, "k": np.array([k])}).values())
        for largest in (0, 1):
            for value, wanted in zip(
                got[2 * largest :], best(x, k, 1, bool(largest)), strict=False
            ):
                np.testing.assert_array_equal(value, wanted)


def test_top_k_beyond_its_axis(build):
    graph = Graph()
    graph.add_input("x", np.float32, [None])
    graph.add_input("k", np.int64, [1])
    graph.add("TopK", ["x", "k"], [np.float32, np.int64], 1)
    run = build(graph)
    x = np.zeros(4, np.float32)
    for k in (5, -1, 2**62, -(2**63)):
        with pytest.raises(qtale.Error, match=r"'k'.*from 0 to the size"):
            run({"x": x, "k": np.array([k])})
    assert run({"x": x, "k": np.array([4])})["TopK_0_1"].tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("dtype", [*FLOATS, *INTEGERS], ids=lambda t: t.__name__)
def test_arg(build, dtype):
    graph = Graph()
    graph.add_input("x", dtype, [None] * 3)
    cases = list(itertools.product(["ArgMax", "ArgMin"], [-1, 0, 1], [0, 1], [0, 1]))
    if dtype not in FLOATS:  # axes do not depend on the type
        cases = cases[::5]
    for op, axis, keep, last in cases:
        graph.add(op, ["x"], [np.int64], 2 + keep, axis=axis, keepdims=keep, select_last_index=last)
    run = build(graph)
    for shape in [(3, 5, 4), (1, 1, 1), (17, 9, 30)]:
        x = numbers(dtype, shape)
        if np.dtype(dtype).kind == "f" and shape[0] > 1:
            x[1, 2:4, 1:] = np.nan  # found first, as NumPy has it
        got = list(run({"x": x}).values())
        for value, (op, axis, keep, last) in zip(got, cases, strict=True):
            find = np.argmax if op == "ArgMax" else np.argmin
            wanted = find(np.flip(x, axis) if last else x, axis, keepdims=bool(keep))
            np.testing.assert_array_equal(value, shape[axis] - 1 - wanted if last else wanted)
    with pytest.raises(qtale.Error, match="without elements"):
        run({"x": numbers(dtype, (2, 0, 3))})


# Scatter

COMBINE = {
    "none": lambda old, new: new,
    "add": lambda old, new: old + new,
    "mul": lambda old, new: old * new,
    "min": np.minimum,
    "max": np.maximum,
}


def scatter_elements(data, indices, updates, axis: int, reduction: str) -> np.ndarray:
    """The specification's loop."""
    out = data.copy()
    for at in np.ndindex(indices.shape):
        to = list(at)
        to[axis] = indices[at]
        out[tuple(to)] = COMBINE[reduction](out[tuple(to)], updates[at])
    return out


def scatter_nd(data, indices, updates, reduction: str) -> np.ndarray:
    out = data.copy()
    for at in np.ndindex(indices.shape[:-1]):
        to = tuple(indices[at])
        out[to] = COMBINE[reduction](out[to], updates[at])
    return out


@pytest.mark.parametrize("dtype", [*FLOATS, *INTEGERS, bool], ids=lambda t: t.__name__)
def test_scatter(build, dtype):
    """Every reduction and axis; indices that repeat and count from the end."""
    graph = Graph()
    for name in ("data", "updates", "slices"):
        graph.add_input(name, dtype, [None] * (3 if name != "slices" else 2))
    graph.add_input("indices", np.int64, [None] * 3)
    graph.add_input("places", np.int64, [None, 2])
    cases = list(itertools.product([-1, 0, 1] if dtype in FLOATS else [1], COMBINE))
    for axis, reduction in cases:
        graph.add(
            "ScatterElements",
            ["data", "indices", "updates"],
            [dtype],
            3,
            axis=axis,
            reduction=reduction,
        )
    for reduction in COMBINE:
        graph.add("ScatterND", ["data", "places", "slices"], [dtype], 3, reduction=reduction)
    run = build(graph)
    for shape, chosen, count in [
        ((4, 5, 6), (3, 4, 5), 12),
        ((2, 3, 4), (2, 3, 4), 0),
        ((5, 4, 3), (0, 2, 2), 3),
        ((1, 1, 1), (1, 1, 1), 2),
    ]:
        size = min(shape)
        feeds = {
            "data": numbers(dtype, shape),
            "updates": numbers(dtype, chosen),
            "indices": RNG.integers(-size, size, chosen),
            "places": RNG.integers(-size, size, (count, 2)),
            "slices": numbers(dtype, (count, shape[2])),
        }
        kept = feeds["data"].copy()
        got = list(run(feeds).values())
        for value, (axis, reduction) in zip(got, cases, strict=False):
            wanted = scatter_elements(
                *(feeds[n] for n in ("data", "indices", "updates")), axis, reduction
            )
            np.testing.assert_array_equal(value, wanted, err_msg=f"{axis} {reduction}")
        for value, reduction in zip(got[len(cases) :], COMBINE, strict=True):
            wanted = scatter_nd(feeds["data"], feeds["places"], feeds["slices"], reduction)
            np.testing.assert_array_equal(value, wanted, err_msg=reduction)
        np.testing.assert_array_equal(feeds["data"], kept)  # inputs stay as they were


def test_scatter_of_all_depths(build):
    """ScatterND from whole slices to single elements, as onnxruntime has it."""
    graph = Graph(opset=18)
    graph.add_input("data", np.float32, [None] * 3)
    for depth in (1, 2, 3):
        graph.add_input(f"i{depth}", np.int64, [None, None, depth])
        graph.add_input(f"u{depth}", np.float32, [None] * (5 - depth))
        graph.add("ScatterND", ["data", f"i{depth}", f"u{depth}"], [np.float32], 3, reduction="add")
    run, judge = build(graph), onnxruntime_of(graph)
    for shape, outer in [((4, 5, 6), (3, 2)), ((2, 2, 1), (1, 7)), ((3, 3, 3), (0, 2))]:
        feeds = {"data": numbers(np.float32, shape)}
        for depth in (1, 2, 3):
            places = [RNG.integers(-n, n, outer) for n in shape[:depth]]
            feeds[f"i{depth}"] = np.stack(places, -1)
            feeds[f"u{depth}"] = numbers(np.float32, (*outer, *shape[depth:]))
        assert_same(run(feeds), judge(feeds))


def test_scatter_out_of_range(build):
    """An error that names the input, and nothing beyond the data is touched."""
    graph = Graph()
    graph.add_input("data", np.float32, [None, None])
    graph.add_input("i", np.int32, [None, None])
    graph.add_input("u", np.float32, [None, None])
    graph.add_input("place", np.int64, [None, 2])
    graph.add_input("v", np.float32, [None])
    graph.add("ScatterElements", ["data", "i", "u"], [np.float32], 2, axis=1)
    graph.add("ScatterND", ["data", "place", "v"], [np.float32], 2)
    run = build(graph)
    good = {
        "data": np.zeros((2, 3), np.float32),
        "i": np.array([[2, -3]], np.int32),
        "u": np.ones((1, 2), np.float32),
        "place": np.array([[1, 2], [-2, -3]]),
        "v": np.ones(2, np.float32),
    }
    assert run(good)["ScatterElements_0_0"].tolist() == [[1, 0, 1], [0, 0, 0]]
    assert run(good)["ScatterND_1_0"].tolist() == [[1, 0, 0], [0, 0, 1]]
    for changes, message in [
        ({"i": np.array([[0, 3]], np.int32)}, "'i' is out of range"),
        ({"i": np.array([[-4, 0]], np.int32)}, "'i' is out of range"),
        ({"place": np.array([[0, 0], [2, 0]])}, "'place' is out of range"),
        ({"place": np.array([[0, 3], [0, 0]])}, "'place' is out of range"),
        ({"place": np.array([[-(2**63), 0], [0, 2**62]])}, "'place' is out of range"),
        ({"u": np.ones((1, 1), np.float32)}, "indices and updates differ"),
        (
            {"i": np.zeros((3, 2), np.int32), "u": np.ones((3, 2), np.float32)},
            "more than the data along axis 0",
        ),
        ({"v": np.ones(3, np.float32)}, "updates' shape"),
    ]:
        with pytest.raises(qtale.Error, match=message):
            run(good | changes)


def tensor_scatter(past, update, indices, axis: int, circular: bool) -> np.ndarray:
    """The specification's loop."""
    out = past.copy()
    for prefix in np.ndindex(past.shape[:axis]):
        for i in range(update.shape[axis]):
            to = indices[prefix[0]] + i
            out[(*prefix, to % past.shape[axis] if circular else to)] = update[(*prefix, i)]
    return out


@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.int8, bool], ids=lambda t: t.__name__)
def test_tensor_scatter(build, dtype):
    graph = Graph()
    graph.add_input("past", dtype, [None] * 4)
    graph.add_input("u2", dtype, [None] * 4)
    graph.add_input("u1", dtype, [None] * 4)
    graph.add_input("w", np.int64, [None])
    for mode in ("linear", "circular"):
        graph.add("TensorScatter", ["past", "u2", "w"], [dtype], 4, mode=mode)
        graph.add("TensorScatter", ["past", "u1", "w"], [dtype], 4, mode=mode, axis=1)
        graph.add("TensorScatter", ["past", "u2"], [dtype], 4, mode=mode)
    run = build(graph)
    for (b, d, s, e), count, where in [
        ((2, 3, 6, 2), 2, [0, 1]),
        ((1, 4, 4, 5), 4, [0]),
        ((3, 1, 5, 0), 1, [0, 0, 0]),
        ((2, 3, 4, 1), 0, [3, 0]),
    ]:
        past = numbers(dtype, (b, d, s, e))
        u2, u1 = numbers(dtype, (b, d, count, e)), numbers(dtype, (b, min(count, d), s, e))
        where = np.minimum(where, d - u1.shape[1])
        got = list(run({"past": past, "u2": u2, "u1": u1, "w": where}).values())
        for value, (circular, (update, at, axis)) in zip(
            got,
            itertools.product((False, True), ((u2, where, 2), (u1, where, 1), (u2, [0] * b, 2))),
            strict=True,
        ):
            np.testing.assert_array_equal(value, tensor_scatter(past, update, at, axis, circular))


def test_tensor_scatter_wraps_around_or_refuses(build):
    graph = Graph()
    for name, dtype, rank in [("past", np.float32, 3), ("u", np.float32, 3), ("w", np.int64, 1)]:
        graph.add_input(name, dtype, [None] * rank)
    graph.add("TensorScatter", ["past", "u", "w"], [np.float32], 3, mode="circular")
    run = build(graph)
    past, u = numbers(np.float32, (3, 5, 2)), numbers(np.float32, (3, 4, 2))
    for where in ([0, 3, 4], [5, 11, 2**40 + 1]):
        got = run({"past": past, "u": u, "w": np.array(where)})["TensorScatter_0_0"]
        np.testing.assert_array_equal(got, tensor_scatter(past, u, where, 1, True))
    with pytest.raises(qtale.Error, match="'w' has an index below 0"):
        run({"past": past, "u": u, "w": np.array([0, -1, 0])})
    with pytest.raises(qtale.Error, match="longer than the cache"):
        run({"past": past, "u": numbers(np.float32, (3, 6, 2)), "w": np.array([0, 0, 0])})

    graph.nodes.clear()
    graph.outputs.clear()
    graph.add("TensorScatter", ["past", "u", "w"], [np.float32], 3)
    run = build(graph)
    run({"past": past, "u": u, "w": np.array([0, 1, 0])})
    for where in ([0, 2, 0], [-1, 0, 0], [2**63 - 1, 0, 0]):
        with pytest.raises(qtale.Error, match="'w' has an index at which"):
            run({"past": past, "u": u, "w": np.array(where)})


# Integer products


def integer_product(a, c, za=0, zc=0) -> np.ndarray:
    return np.matmul(a.astype(np.int32) - za, c.astype(np.int32) - zc)


def full(dtype, shape) -> np.ndarray:
    info = np.iinfo(dtype)
    return RNG.integers(info.min, info.max + 1, shape).astype(dtype)


BYTES = [np.uint8, np.int8]


@pytest.mark.parametrize("right", BYTES, ids=lambda t: t.__name__)
@pytest.mark.parametrize("left", BYTES, ids=lambda t: t.__name__)
def test_mat_mul_integer(build, left, right):
    """Vectors, broadcast batches, blocks of columns, zero points of all shapes, the extremes."""
    m, k = 3, 37
    cases = [
        # a, c, zero points (None: absent)
        ((m, k), (k, 5), None, None),
        ((m, k), (k, 5), (), ()),
        ((m, k), (k, 128), (m,), (128,)),
        ((m, k), (k, 48), (1,), (48,)),
        ((2, m, k), (k, 96), (2, m, 1), (1, 96)),
        ((2, 1, m, k), (4, k, 64), (2, 1, m, 1), (4, 1, 64)),
        ((k,), (k, 32), (), ()),
        ((m, k), (k,), None, ()),
        ((k,), (k,), (), None),
        ((0, k), (k, 4), (), ()),
        ((m, 0), (0, 4), (), ()),
    ]
    for symbols in (False, True):
        graph, feeds, wanted = Graph(), {}, []
        for i, (a, c, za, zc) in enumerate(cases):
            values = {
                f"a{i}": full(left, a),
                f"c{i}": full(right, c),
                f"za{i}": None if za is None else full(left, za),
                f"zc{i}": None if zc is None else full(right, zc),
            }
            if i == 1:  # as large as sums get
                values["a1"][:], values["za1"] = np.iinfo(left).max, np.array(np.iinfo(left).min)
                values["za1"] = values["za1"].astype(left)
            names = [
                ""
                if value is None
                else graph.add_input(
                    name, value.dtype, [None] * value.ndim if symbols else value.shape
                )
                for name, value in values.items()
            ]
            feeds |= {name: value for name, value in values.items() if value is not None}
            a, c, za, zc = (
                None if value is None else value.astype(np.int32) for value in values.values()
            )
            if za is not None and za.ndim == 1 and a.ndim > 1:
                za = za[:, None]
            want = integer_product(a, c, 0 if za is None else za, 0 if zc is None else zc)
            graph.add("MatMulInteger", names, [np.int32], want.ndim)
            wanted.append(want)
        got = list(build(graph)(feeds).values())
        for i, (value, want) in enumerate(zip(got, wanted, strict=True)):
            np.testing.assert_array_equal(value, want, err_msg=str(cases[i]))
            assert value.dtype == np.int32


def test_quantized_layer(build):
    """As exporters write it: quantize, multiply by a weight in the file, scale."""
    graph = Graph(opset=21)
    graph.add_input("x", np.float32, [None, None, 64])
    weight, zero = full(np.uint8, (64, 96)), full(np.uint8, (96,))
    graph.add_constant("w", weight)
    graph.add_constant("zw", zero)
    graph.add_constant("sw", RNG.random(96, np.float32))
    q, scale, point = graph.add("DynamicQuantizeLinear", ["x"], [np.uint8, np.float32, np.uint8], 3)
    (sums,) = graph.add("MatMulInteger", [q, "w", point, "zw"], [np.int32], 3)
    (real,) = graph.add("Cast", [sums], [np.float32], 3, to=TensorProto.FLOAT)
    (both,) = graph.add("Mul", [scale, "sw"], [np.float32], 1)
    graph.add("Mul", [real, both], [np.float32], 3)
    run, judge = build(graph), onnxruntime_of(graph)
    for shape in [(2, 3, 64), (1, 1, 64), (1, 40, 64)]:
        feeds = {"x": RNG.standard_normal(shape).astype(np.float32)}
        assert_same(run(feeds), judge(feeds))


def test_dynamic_quantization(build):
    """One sign alone, all zero, halves; ranks from 0; nothing at all."""
    for rank in (0, 1, 3):
        graph = Graph(opset=21)
        graph.add_input("x", np.float32, [None] * rank)
        graph.add("DynamicQuantizeLinear", ["x"], [np.uint8, np.float32, np.uint8], rank)
        run, judge = build(graph), onnxruntime_of(graph)
        shape = (7, 1, 9)[:rank]
        values = RNG.standard_normal(shape).astype(np.float32)
        halves = RNG.integers(0, 511, shape).astype(np.float32) / 2
        for x in (values, abs(values), -abs(values), np.zeros_like(values), halves, values * 1e30):
            feeds = {"x": np.asarray(x, np.float32)}
            assert_same(run(feeds), judge(feeds))
    nothing = run({"x": np.zeros((2, 0, 3), np.float32)})
    assert [value.tolist() for value in nothing.values()] == [[[], []], 1, 0]


@pytest.mark.parametrize("scale", [np.float32, np.float16], ids=lambda t: t.__name__)
@pytest.mark.parametrize("dtype", BYTES, ids=lambda t: t.__name__)
def test_q_linear_mat_mul(build, dtype, scale):
    """Scales and zero points for all, for each row, for each column; u8 and s8 are mixed."""
    m, k, n = 6, 21, 64
    other = np.int8 if dtype == np.uint8 else np.uint8
    graph, feeds, wanted = Graph(opset=21), {}, []
    cases = [
        ((m, k), (k, n), dtype, (), ()),
        ((m, k), (k, n), dtype, (m,), (n,)),
        ((2, m, k), (2, k, n), dtype, (2, m, 1), (2, 1, n)),
        ((m, k), (k, n), other, (), (n,)),
    ]
    for i, (a, c, right, rows, columns) in enumerate(cases):
        values = {
            "a": full(dtype, a),
            "sa": (0.05 + RNG.random(rows) * 0.05).astype(scale),
            "za": full(dtype, rows),
            "c": full(right, c),
            "sc": (0.05 + RNG.random(columns) * 0.05).astype(scale),
            "zc": full(right, columns),
            "sy": np.array(2, scale),
            "zy": numbers(dtype, ()),
        }
        names = [
            graph.add_input(f"{key}{i}", v.dtype, [None] * v.ndim) for key, v in values.items()
        ]
        graph.add("QLinearMatMul", names, [dtype], values["a"].ndim)
        feeds |= dict(zip(names, values.values(), strict=True))
        a, sa, za, c, sc, zc, sy, zy = values.values()
        if sa.ndim == 1:
            sa, za = sa[:, None], za[:, None]
        sums = integer_product(a, c, za.astype(np.int32), zc.astype(np.int32))
        factor = np.float32(sa) * np.float32(sc) / np.float32(sy)
        real = np.rint(sums.astype(np.float32) * factor) + zy
        wanted.append(np.clip(real, np.iinfo(dtype).min, np.iinfo(dtype).max).astype(dtype))
    got = list(build(graph)(feeds).values())
    for value, want in zip(got, wanted, strict=True):
        np.testing.assert_array_equal(value, want)
    assert max(len(np.unique(want)) for want in wanted) > 20  # not all saturated
