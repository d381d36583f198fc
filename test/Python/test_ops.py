"""ONNX's own backend node tests: operators compiled, executed, compared with the published data.

The expected values come with the tests: they are onnx's, computed by its reference in NumPy. What
is not executed is counted and listed, with the reason; nothing else may fail.

QTALE_NODE_TESTS=all executes every case; by default, one of four (and all of attention, rotary
embedding and norms) keep the suite short.
"""

from __future__ import annotations

import os
import re
import warnings
import zlib
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx.backend.test.loader import load_node_model_tests

import qtale

OPERATORS = """
Abs Add And Attention BitwiseAnd BitwiseNot BitwiseOr BitwiseXor Cast CastLike Ceil Clip Concat
Constant ConstantOfShape Cos CumSum DequantizeLinear Div Equal Erf Exp Expand Flatten Floor Gather
GatherElements GatherND Gelu Gemm Greater GreaterOrEqual Identity If IsInf IsNaN LayerNormalization
LeakyRelu Less LessOrEqual Log LogSoftmax MatMul Max Mean Min Mod Mul Neg Not Or Pow QuantizeLinear
RMSNormalization Range Reciprocal ReduceL1 ReduceL2 ReduceLogSum ReduceMax ReduceMean ReduceMin
ReduceProd ReduceSum ReduceSumSquare Relu Reshape RotaryEmbedding Round Shape Sigmoid Sign Sin Size
Slice Softmax Softplus Split Sqrt Squeeze Sub Sum Swish Tanh Tile Transpose Trilu Unsqueeze Where
Xor
"""
SUPPORTED = set(OPERATORS.split())

ALWAYS = re.compile("attention|rotary|normalization|matmul|gemm|gather_|slice|reshape|linear")


def ports(model: onnx.ModelProto) -> set[int]:
    return {v.type.tensor_type.elem_type for v in [*model.graph.input, *model.graph.output]}


ELEMENTS = """
FLOAT DOUBLE FLOAT16 BFLOAT16 BOOL INT8 INT16 INT32 INT64 UINT8 UINT16 UINT32 UINT64
FLOAT8E4M3FN FLOAT8E4M3FNUZ FLOAT8E5M2 FLOAT8E5M2FNUZ FLOAT8E8M0 FLOAT6E2M3 FLOAT6E3M2 FLOAT4E2M1
INT4 UINT4 INT2 UINT2
"""
CARRIED = {onnx.TensorProto.DataType.Value(name) for name in ELEMENTS.split()}


def reason_to_skip(case) -> str | None:
    last = case.model.graph.node[-1]
    if last.op_type == "Attention" and len(last.output) > 3:
        return "the output qk_matmul_output"
    if not ports(case.model) <= CARRIED:
        return "element types that arrays of an artifact don't have"
    return None


def arrays(values) -> list[np.ndarray]:
    return [
        onnx.numpy_helper.to_array(v) if isinstance(v, onnx.TensorProto) else np.asarray(v)
        for v in values
    ]


def load_cases():
    """(cases to execute, {reason: names of those that are not})."""
    chosen, skipped = [], {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tests = load_node_model_tests()
    for case in tests:
        operators = {node.op_type for node in case.model.graph.node}
        if not operators <= SUPPORTED or "_expanded" in case.name:
            continue
        reason = reason_to_skip(case)
        if reason:
            skipped.setdefault(reason, []).append(case.name)
        elif (
            os.environ.get("QTALE_NODE_TESTS") == "all"
            or ALWAYS.search(case.name)
            or zlib.crc32(case.name.encode()) % 4 == 0
        ):
            chosen.append(case)
    return chosen, skipped


CASES, SKIPPED = load_cases()


def with_symbols(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same model for inputs of any size; numbers and sizes of heads stay."""
    result = onnx.ModelProto()
    result.CopyFrom(model)
    heads = model.graph.node[0].op_type in ("Attention", "RotaryEmbedding")
    for value in [*result.graph.input, *result.graph.output]:
        dims = value.type.tensor_type.shape.dim
        for i, dim in enumerate(dims):
            if not heads or i in (0, len(dims) - 2):
                dim.dim_param = f"{value.name}_{i}"
    return result


# Inputs that a compiler needs to know, as all exporters write them: initializers.
PARAMETERS = re.compile("Reduce.*|Slice|Squeeze|Unsqueeze|Split|CumSum")


def with_constants(case) -> tuple[onnx.ModelProto, list[np.ndarray]]:
    """The model and its inputs, where axes, sizes and the like are initializers."""
    inputs = arrays(case.data_sets[0][0])
    model = onnx.ModelProto()
    model.CopyFrom(case.model)
    if not PARAMETERS.fullmatch(model.graph.node[0].op_type):
        return model, inputs
    ports, rest = list(model.graph.input), []
    del model.graph.input[:]
    for i, (port, value) in enumerate(zip(ports, inputs, strict=True)):
        if i and value.dtype.kind in "iu" and value.ndim <= 1:
            model.graph.initializer.append(onnx.numpy_helper.from_array(value, port.name))
        else:
            model.graph.input.append(port)
            rest.append(value)
    return model, rest


def compile_and_run(model: onnx.ModelProto, inputs, folder: Path) -> list[np.ndarray]:
    onnx.save(model, folder / "m.onnx")
    artifact = qtale.load(qtale.compile(folder / "m.onnx", folder / "m.so", cpu="native"))
    names = [value.name for value in model.graph.input]
    results = artifact.run(dict(zip(names, inputs, strict=True)))
    return [results[value.name] for value in model.graph.output]


def compare(got: np.ndarray, wanted: np.ndarray, case) -> None:
    assert got.shape == wanted.shape
    if wanted.dtype.kind in "biu":
        np.testing.assert_array_equal(got, wanted)
        return
    if got.dtype != wanted.dtype:  # bfloat16 as bits
        got = got.view(wanted.dtype)
    half = wanted.dtype.itemsize == 2
    np.testing.assert_allclose(
        got.astype(np.float64),
        wanted.astype(np.float64),
        rtol=max(case.rtol, 1e-2 if half else 1e-4),
        atol=max(case.atol, 2e-3 if half else 1e-6),
    )


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_node(case, compiled, tmp_path: Path):
    model, inputs = with_constants(case)
    outputs = arrays(case.data_sets[0][1])
    for got, wanted in zip(compile_and_run(model, inputs, tmp_path), outputs, strict=True):
        compare(got, wanted, case)


# What decides a result's rank or is fixed at compile time can't be a plain input.
SHAPED = re.compile(
    "MatMul|Gemm|Add|Where|Concat|Softmax|Transpose|Gather|Attention|RotaryEmbedding"
)
DYNAMIC = [
    case
    for case in CASES
    if SHAPED.fullmatch(case.model.graph.node[0].op_type) and len(case.model.graph.node) == 1
]


@pytest.mark.parametrize("case", DYNAMIC[::3], ids=[case.name for case in DYNAMIC[::3]])
def test_node_of_unknown_sizes(case, compiled, tmp_path: Path):
    model = with_symbols(case.model)
    inputs, outputs = map(arrays, case.data_sets[0])
    try:
        results = compile_and_run(model, inputs, tmp_path)
    except qtale.Error as error:
        if "needs" not in str(error):  # what a known size would be needed for
            raise
        pytest.skip(str(error))
    for got, wanted in zip(results, outputs, strict=True):
        compare(got, wanted, case)


def test_count():
    """Enough is executed; what is not, is on this list."""
    executed = {case.model.graph.node[-1].op_type for case in CASES}
    assert len(CASES) > 200
    assert executed >= {"Attention", "MatMul", "RotaryEmbedding", "RMSNormalization", "Slice"}
    for reason, names in SKIPPED.items():
        print(f"{len(names)} not executed: {reason}: {' '.join(names)}")
    assert set(SKIPPED) <= {
        "the output qk_matmul_output",
        "element types that arrays of an artifact don't have",
    }
