"""Element types of 8 bits or less that NumPy lacks, and models of many nodes over them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

import qtale

OPSET = 28
FLOAT8 = ["FLOAT8E4M3FN", "FLOAT8E4M3FNUZ", "FLOAT8E5M2", "FLOAT8E5M2FNUZ"]
SHORT = ["FLOAT6E2M3", "FLOAT6E3M2", "FLOAT4E2M1"]
INTEGERS = ["INT4", "UINT4", "INT2", "UINT2"]
POWER = "FLOAT8E8M0"
TYPES = [*FLOAT8, *SHORT, POWER, *INTEGERS]


def number(name: str) -> int:
    return TensorProto.DataType.Value(name)


def numpy_type(name: str) -> np.dtype:
    return np.dtype(helper.tensor_dtype_to_np_dtype(number(name)))


def bits(name: str) -> int:
    return {"4": 4, "2": 2, "6": 6}.get(name.lstrip("UINTFLOA")[:1], 8)


def codes(name: str) -> np.ndarray:
    """Every element of a type."""
    return np.arange(1 << bits(name), dtype=np.uint8).view(numpy_type(name))


class Graph:
    """A model of many nodes, each with a result."""

    def __init__(self):
        self.nodes, self.inputs, self.outputs, self.constants = [], [], [], []
        self.values: dict[str, np.ndarray] = {}

    def input(self, name: str, value: np.ndarray, element: int | None = None) -> str:
        element = element or helper.np_dtype_to_tensor_dtype(value.dtype)
        self.inputs.append(helper.make_tensor_value_info(name, element, value.shape))
        self.values[name] = value
        return name

    def constant(self, tensor: TensorProto, name: str) -> str:
        tensor.name = name
        self.constants.append(tensor)
        return name

    def node(self, op: str, inputs: list[str], element: int | None, name: str, **attributes) -> str:
        """element: of a result that is an output; None: it is used inside."""
        self.nodes.append(helper.make_node(op, inputs, [name], name=name, **attributes))
        if element is not None:
            self.outputs.append(helper.make_tensor_value_info(name, element, None))
        return name

    def model(self) -> onnx.ModelProto:
        graph = helper.make_graph(self.nodes, "g", self.inputs, self.outputs, self.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)])
        # Ranks, which are needed, without writing them down.
        inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True)
        model.ir_version = 13
        del model.graph.output[:]
        model.graph.output.extend(inferred.graph.output)
        return model

    def run(self, folder: Path, **options) -> dict[str, np.ndarray]:
        onnx.save(self.model(), folder / "m.onnx")
        path = qtale.compile(folder / "m.onnx", folder / "m.so", cpu="native", **options)
        with qtale.load(path) as artifact:
            assert {name: dtype for name, dtype, _ in artifact.inputs} == {
                name: value.dtype.name for name, value in self.values.items()
            }
            return artifact.run(self.values)

    def reference(self) -> dict[str, np.ndarray]:
        results = ReferenceEvaluator(self.model()).run(None, self.values)
        names = [output.name for output in self.outputs]
        return dict(zip(names, results, strict=True))


def same_bits(got: np.ndarray, wanted: np.ndarray, what: str = "") -> None:
    assert got.dtype == wanted.dtype, what
    assert got.shape == wanted.shape, what
    size = np.dtype(f"u{wanted.dtype.itemsize}")
    np.testing.assert_array_equal(
        np.ascontiguousarray(got).view(size), np.ascontiguousarray(wanted).view(size), what
    )


def same_numbers(got: np.ndarray, wanted: np.ndarray, what: str = "") -> None:
    """NaN equals NaN; zeros have their signs."""
    assert got.dtype == wanted.dtype, what
    got, wanted = got.astype(np.float64), wanted.astype(np.float64)
    np.testing.assert_array_equal(got, wanted, what)
    known = ~np.isnan(wanted)
    np.testing.assert_array_equal(np.signbit(got)[known], np.signbit(wanted)[known], what)
