"""Every element type that the specification allows for an operator.

Schemas name the types, so none is forgotten: for each type one model of many nodes. Expected is
onnxruntime's result where it has the type, otherwise the reference's; 16-bit floats are computed
by them as float32.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import ml_dtypes
import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

import qtale

OPSET = 24
BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
TYPES = {
    name: np.dtype(kind)
    for name, kind in {
        "float": np.float32,
        "double": np.float64,
        "float16": np.float16,
        "bfloat16": BFLOAT16,
        "bool": bool,
        **{
            f"{sign}int{bits}": f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)
        },
    }.items()
}
HALVES = (np.dtype(np.float16), BFLOAT16)


def element(dtype: np.dtype) -> int:
    return helper.np_dtype_to_tensor_dtype(np.dtype(dtype))


@dataclass
class Case:
    """One node; `None` inputs are left out."""

    op: str
    inputs: list[np.ndarray | None]
    attributes: dict = field(default_factory=dict)
    #: Inputs that a compiler needs to know.
    constants: tuple[int, ...] = ()
    outputs: int = 1


def allows(op: str, dtype: np.dtype, parameter: str | None = None) -> bool:
    """Whether the schema lists the type for its first input, or for a type parameter."""
    schema = onnx.defs.get_schema(op, OPSET, "")
    name = next(name for name, kind in TYPES.items() if kind == dtype)
    parameter = parameter or schema.inputs[0].type_str
    for constraint in schema.type_constraints:
        if constraint.type_param_str == parameter:
            return f"tensor({name})" in constraint.allowed_type_strs
    return parameter == f"tensor({name})"


def numbers(dtype: np.dtype, *shape: int, seed: int = 0) -> np.ndarray:
    """Small ones, exact in every type, of which few are equal."""
    random = np.random.default_rng(seed)
    if dtype.kind == "b":
        return random.integers(0, 2, shape).astype(bool)
    low = 0 if dtype.kind == "u" else -24
    values = random.integers(low, 25, shape)
    return (values / (1 if dtype.kind in "iu" else 8)).astype(dtype)


def extremes(dtype: np.dtype) -> np.ndarray:
    """Where arithmetic wraps, or meets what is no number."""
    if dtype.kind == "b":
        return np.array([True, False])
    if dtype.kind in "iu":
        info = np.iinfo(dtype)
        return np.array([info.min, info.max, info.max - 1, info.min + 1, 0, 1, 2, 3], dtype)
    return np.array([np.nan, np.inf, -np.inf, -0.0, 0.0, 1.5, -2.5, 0.5], dtype)


UNARY = """
Abs Neg Sign Sqrt Reciprocal Exp Log Erf Tanh Sin Cos Floor Ceil Round Sigmoid Swish Relu LeakyRelu
Gelu Softplus IsNaN IsInf Not BitwiseNot Identity Size Shape Transpose
"""
BINARY = """
Add Sub Mul Min Max Sum Mean And Or Xor BitwiseAnd BitwiseOr BitwiseXor Equal Greater GreaterOrEqual
Less LessOrEqual
"""
REDUCTIONS = """
ReduceSum ReduceMean ReduceMax ReduceMin ReduceProd ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp
ReduceSumSquare
"""


def elementwise(dtype: np.dtype) -> Iterator[Case]:
    x, y = numbers(dtype, 3, 4), numbers(dtype, 3, 4, seed=1)
    edges = extremes(dtype)
    every = np.repeat(edges, len(edges)), np.tile(edges, len(edges))
    for op in UNARY.split():
        inside = np.abs(x) + dtype.type(1) if op in ("Sqrt", "Log", "Reciprocal") else x
        yield Case(op, [inside])
        yield Case(op, [edges])
    yield Case("Gelu", [x], {"approximate": "tanh"})
    for op in BINARY.split():
        yield Case(op, [x, y])
        yield Case(op, [x, y[1]])
        yield Case(op, list(every))
    nonzero = np.where(y == 0, dtype.type(1), y)
    yield Case("Div", [x, nonzero])
    if dtype.kind == "f" or dtype == BFLOAT16:
        yield Case("Div", list(every))
    for fmod in (0, 1):
        if fmod or dtype.kind in "iu":
            yield Case("Mod", [x, nonzero], {"fmod": fmod})
    small = np.abs(numbers(dtype, 3, 4)) + dtype.type(1) if dtype.kind != "b" else x
    for power in TYPES.values():
        if power.kind != "b" and allows("Pow", power, "T1"):
            exponent = np.array([0, 1, 2, 3], power)
            yield Case("Pow", [small, exponent])
            yield Case("Pow", [small, np.array(2, power)], constants=(1,))
    if dtype.kind != "b":
        low, high = np.array(2, dtype), np.array(9, dtype)
        for limits in ([low, high], [None, high], [low], [high, low]):
            yield Case("Clip", [x, *limits])
        yield Case("Clip", [edges, low, high])
    condition = numbers(np.dtype(bool), 3, 4)
    if allows("Where", dtype, "T"):
        yield Case("Where", [condition, x, y])
        yield Case("Where", [condition, x, y[:1]])


def moved(dtype: np.dtype) -> Iterator[Case]:
    x, y = numbers(dtype, 3, 4, 5), numbers(dtype, 3, 4, 5, seed=1)
    yield Case("Concat", [x, y], {"axis": 1})
    yield Case("Split", [x], {"axis": 1, "num_outputs": 2}, outputs=2)
    yield Case("Expand", [x[:, :1], np.array([2, 3, 4, 5])], constants=(1,))
    yield Case("Tile", [x, np.array([1, 2, 3])], constants=(1,))
    for upper in (0, 1):
        yield Case("Trilu", [x], {"upper": upper})
    yield Case("Trilu", [x, np.array(-1)])
    for index in (np.int32, np.int64):
        bounds = [np.array(v, index) for v in ([1, -1], [3, -9], [1, 2], [1, -2])]
        yield Case("Slice", [x, *bounds], constants=(1, 2, 3, 4))
        at = np.array([[2, -1], [0, 1]], index)
        yield Case("Gather", [x, at], {"axis": 1})
        yield Case("GatherElements", [x[0, :2, :2], at % 2], {"axis": 0})
    yield Case("GatherND", [x, np.array([[0, 1], [2, -1]])])
    yield Case("Reshape", [x, np.array([5, -1])], constants=(1,))
    yield Case("Squeeze", [x[:1], np.array([0])], constants=(1,))
    yield Case("Unsqueeze", [x, np.array([0, -1])], constants=(1,))
    yield Case("Flatten", [x])
    if allows("ConstantOfShape", dtype, "T2"):
        value = numpy_helper.from_array(x[0, 0, :1])
        yield Case("ConstantOfShape", [np.array([9, 11])], {"value": value}, constants=(0,))
    if dtype.kind != "b" and allows("Range", dtype):
        for bounds in ((1, 20, 3), (20, 1, -4), (1, 1, 1), (5, 2, 1)):
            if dtype.kind != "u":
                limits = [np.array(v, dtype) for v in bounds]
                yield Case("Range", limits)
                yield Case("Range", limits, constants=(0, 1, 2))


def folded(dtype: np.dtype) -> Iterator[Case]:
    x = numbers(dtype, 3, 4, 5)
    for op in REDUCTIONS.split():
        if "Log" in op and dtype.kind == "u":
            continue  # neither oracle has them, and opset 28 allows them no more
        if op == "ReduceProd":
            x = np.clip(x, -2, 2).astype(dtype) if dtype.kind != "b" else x
        # Logarithms need positive sums.
        inside = np.abs(x) + dtype.type(1) if op == "ReduceLogSum" else x
        yield Case(op, [inside, np.array([1])], constants=(1,))
        yield Case(op, [inside, np.array([0, -1])], {"keepdims": 0}, constants=(1,))
        yield Case(op, [inside])
    if dtype.kind in "iub" or dtype in (np.float32, np.float64):
        for op in ("ReduceMax", "ReduceMin"):
            yield Case(op, [extremes(dtype)[1:]])
    for exclusive in (0, 1):
        for reverse in (0, 1):
            for axis in (np.int32(1), np.int64(-1)):
                attributes = {"exclusive": exclusive, "reverse": reverse}
                yield Case("CumSum", [x, np.array(axis)], attributes, constants=(1,))
    for op in ("Softmax", "LogSoftmax"):
        yield Case(op, [x], {"axis": 1})
    a, b = numbers(dtype, 2, 3, 4), numbers(dtype, 4, 5, seed=1)
    yield Case("MatMul", [a, b])
    yield Case("MatMul", [a[0, 0], b])
    yield Case("Gemm", [a[0], b, numbers(dtype, 5, seed=2)])
    plain = {"transA": 1, "transB": 1}
    yield Case("Gemm", [a[0].T.copy(), b.T.copy(), numbers(dtype, 3, 5, seed=2)], plain)
    if dtype.kind == "f" or dtype == BFLOAT16:
        yield Case("Gemm", [a[0], b, numbers(dtype, 5, seed=2)], {"alpha": 0.5, "beta": 2.0})
        yield Case("LayerNormalization", [x, numbers(dtype, 5), numbers(dtype, 5, seed=1)])
        yield Case("RMSNormalization", [x, numbers(dtype, 5)])


def cases(dtype: np.dtype) -> list[Case]:
    with np.errstate(all="ignore"):
        every = [*elementwise(dtype), *moved(dtype), *folded(dtype)]
    special = ("Where", "ConstantOfShape", "Range")
    return [case for case in every if case.op in special or allows(case.op, dtype)]


# -- One model of all, and one of each -----------------------------------------


def node_of(case: Case, prefix: str):
    """Node, named inputs, their constants."""
    names, inputs, constants = [], [], []
    for i, value in enumerate(case.inputs):
        name = "" if value is None else f"{prefix}_{i}"
        names.append(name)
        if value is None:
            continue
        if i in case.constants:
            constants.append(numpy_helper.from_array(value, name))
        else:
            inputs.append((name, value))
    results = [f"{prefix}_out{i}" for i in range(case.outputs)]
    node = helper.make_node(case.op, names, results, name=prefix, **case.attributes)
    return node, inputs, constants, results


def model_of(parts) -> onnx.ModelProto:
    nodes, inputs, constants, outputs = [], [], [], []
    for node, given, fixed, results in parts:
        nodes.append(node)
        inputs += [helper.make_tensor_value_info(n, element(v.dtype), v.shape) for n, v in given]
        constants += fixed
        outputs += [helper.make_tensor_value_info(name, 0, None) for name in results]
    graph = helper.make_graph(nodes, "g", inputs, [], constants)
    imports = [helper.make_opsetid("", OPSET)]
    model = helper.make_model(graph, opset_imports=imports, ir_version=10)
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True)
    known = {value.name: value for value in inferred.graph.value_info}
    model.graph.output.extend(known[value.name] for value in outputs)
    return model


def widened(case: Case) -> Case:
    """The same in float32, where the type has 16 bits."""

    def wide(value: np.ndarray | None) -> np.ndarray | None:
        return value.astype(np.float32) if value is not None and value.dtype in HALVES else value

    attributes = {
        name: numpy_helper.from_array(wide(numpy_helper.to_array(value)))
        if isinstance(value, TensorProto)
        else value
        for name, value in case.attributes.items()
    }
    return Case(case.op, [wide(v) for v in case.inputs], attributes, case.constants, case.outputs)


def expected(case: Case) -> list[np.ndarray]:
    parts = node_of(widened(case), "n")
    model = model_of([parts])
    values = dict(parts[1])
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        return session.run(None, values)
    except Exception:  # a type that it lacks; its errors have no common base
        with np.errstate(all="ignore"):
            results = ReferenceEvaluator(model).run(None, values)
    # NumPy widens some sums.
    kinds = [value.type.tensor_type.elem_type for value in model.graph.output]
    return [
        np.asarray(result).astype(helper.tensor_dtype_to_np_dtype(kind))
        for result, kind in zip(results, kinds, strict=True)
    ]


TOLERANCE = {
    np.dtype(np.float32): 2e-5,
    np.dtype(np.float64): 1e-6,
    HALVES[0]: 2e-3,
    BFLOAT16: 1e-2,
}


def compare(got: np.ndarray, wanted: np.ndarray, what: str) -> None:
    assert got.shape == wanted.shape, what
    if got.dtype not in TOLERANCE:
        assert got.dtype == wanted.dtype, what
        np.testing.assert_array_equal(got, wanted, what)
        return
    with np.errstate(all="ignore"):
        wanted = wanted.astype(got.dtype)
    tolerance = TOLERANCE[got.dtype]
    np.testing.assert_allclose(
        got.astype(np.float64), wanted.astype(np.float64), tolerance, tolerance, err_msg=what
    )


@pytest.mark.parametrize("name", TYPES)
def test_type(name: str, compiled, tmp_path: Path):
    dtype = TYPES[name]
    list_of = cases(dtype)
    parts = [node_of(case, f"{case.op}_{i}") for i, case in enumerate(list_of)]
    onnx.save(model_of(parts), tmp_path / "m.onnx")
    path = qtale.compile(tmp_path / "m.onnx", tmp_path / "m.so", cpu="native")
    with qtale.load(path) as artifact:
        results = artifact.run({name: value for part in parts for name, value in part[1]})
    wrong = []
    for case, part in zip(list_of, parts, strict=True):
        for output, wanted in zip(part[3], expected(case), strict=True):
            try:
                compare(results[output], np.asarray(wanted), output)
            except AssertionError as error:
                wrong.append(f"{case.op} {case.attributes} {case.inputs}: {error}")
    assert not wrong, "\n".join([f"{len(wrong)} of {len(parts)} differ", *wrong])


def test_types_are_many():
    """What is compared is not decided by accident."""
    count = {name: len({case.op for case in cases(dtype)}) for name, dtype in TYPES.items()}
    assert count["float"] > 60
    assert min(count.values()) >= 15, count
