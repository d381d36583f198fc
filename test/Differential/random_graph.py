"""A random graph of standard operators, built node by node.

    draw an operator ──▶ draw operands of its kind ──▶ run the node alone ──▶ keep it, or not
                         (values so far, new inputs,    in onnxruntime
                          new constants)

Running each node while the graph grows gives the sizes that the next one needs, and tells what two
correct programs may differ in:

    exact   every element is a small dyadic number that rounding has not touched: only such values
            reach operators that jump (Floor, comparisons, TopK, …)
    scale   the largest magnitude on the way to a value: what its rounding errors are relative to

Dimensions of inputs are numbers or symbols, of 0, 1 and more; inputs whose dimensions share a
symbol share its size.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import onnx
import onnxruntime
from hypothesis import strategies as st
from onnx import helper, numpy_helper

FLOATS = ("float32", "float64")
INTEGERS = ("int64", "int32", "int8", "uint8")
TYPES = (*FLOATS, *INTEGERS, "bool")
#: Rounded after each node, or not, as the judge's casts come: never exact where it is computed.
HALF = ("float16",)
#: Types that few of the judge's kernels have beside those that only move numbers.
RARE = ("int16", "uint16", "uint32", "uint64")
#: Large values would leave what floats and integers represent without rounding.
LARGEST = 1 << 14
#: Operators that round nothing.
MOVES = [
    "Concat",
    "DepthToSpace",
    "Expand",
    "Flatten",
    "Gather",
    "GatherElements",
    "GatherND",
    "Identity",
    "Pad",
    "Reshape",
    "Slice",
    "SpaceToDepth",
    "Split",
    "Squeeze",
    "Tile",
    "TopK",
    "Transpose",
    "Trilu",
    "Unsqueeze",
    "Where",
]


def onnx_type(dtype: str) -> int:
    return helper.np_dtype_to_tensor_dtype(np.dtype(dtype))


def is_exact(array: np.ndarray) -> bool:
    """Small multiples of 2^-8."""
    if array.dtype.kind != "f":
        return True
    return bool(np.all(array * 256 == np.rint(array * 256)))


@dataclass(eq=False)
class Value:
    """A value of the graph, as it is for the sizes and inputs drawn."""

    name: str
    array: np.ndarray
    exact: bool
    scale: float

    @property
    def dtype(self) -> str:
        return self.array.dtype.name

    @property
    def shape(self) -> tuple[int, ...]:
        return self.array.shape

    @property
    def rank(self) -> int:
        return self.array.ndim


@dataclass
class Input:
    value: Value
    dims: list[int | str]


class Discarded(Exception):
    """The node drawn can't be: onnxruntime has no kernel, or a value leaves the range."""


def session(model: onnx.ModelProto) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


@dataclass
class Graph:
    draw: st.DrawFn
    opset: int
    inputs: list[Input] = field(default_factory=list)
    constants: list[Value] = field(default_factory=list)
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    values: list[Value] = field(default_factory=list)
    results: list[Value] = field(default_factory=list)
    sizes: dict[str, int] = field(default_factory=dict)
    count: int = 0

    # ---- Drawing ----------------------------------------------------------------------------

    def integer(self, low: int, high: int) -> int:
        return self.draw(st.integers(low, high))

    def flag(self) -> bool:
        return self.draw(st.booleans())

    def choice(self, options):
        return self.draw(st.sampled_from(list(options)))

    def size(self) -> int:
        return self.choice((3, 2, 4, 1, 5, 7, 0))

    def shape(self, low: int = 0, high: int = 4) -> tuple[int, ...]:
        return tuple(self.size() for _ in range(self.integer(low, high)))

    def axis(self, rank: int) -> int:
        """Of a value of this rank; negative ones count from the end."""
        if rank == 0:
            raise Discarded
        return self.integer(-rank, rank - 1)

    def axes(self, rank: int, low: int = 0) -> list[int]:
        chosen = self.draw(
            st.lists(st.integers(0, max(rank - 1, 0)), unique=True, min_size=low, max_size=rank)
        )
        return [a - rank if self.flag() else a for a in chosen]

    def name(self, kind: str) -> str:
        self.count += 1
        return f"{kind}{self.count}"

    # ---- Operands ---------------------------------------------------------------------------

    def elements(self, dtype: str, shape: tuple[int, ...], low: int = -8, high: int = 8):
        """Numbers from low to high, in quarters where they are floats."""
        seed = np.random.default_rng(self.integer(0, 1 << 16))
        if dtype == "bool":
            return np.asarray(seed.integers(0, 2, shape), bool)
        if dtype.startswith("u"):
            low = max(low, 0)
        if dtype in FLOATS or dtype in HALF:
            return np.asarray(seed.integers(4 * low, 4 * high + 1, shape) / 4, dtype)
        return np.asarray(seed.integers(low, high + 1, shape), dtype)

    def input(self, array: np.ndarray) -> Value:
        """A new input: dimensions are numbers, or symbols, known ones where the size fits."""
        dims: list[int | str] = []
        for size in array.shape:
            known = [symbol for symbol, other in self.sizes.items() if other == size]
            kind = self.integer(0, 2)
            if kind == 0:
                dims.append(size)
            elif kind == 1 and known:
                dims.append(self.choice(known))
            else:
                symbol = f"N{len(self.sizes)}"
                self.sizes[symbol] = size
                dims.append(symbol)
        value = Value(self.name("x"), array, is_exact(array), magnitude(array))
        self.inputs.append(Input(value, dims))
        self.values.append(value)
        return value

    def constant(self, array: np.ndarray) -> Value:
        """A new initializer, or a Constant node."""
        value = Value(self.name("c"), array, is_exact(array), magnitude(array))
        if self.flag():
            self.constants.append(value)
        else:
            tensor = numpy_helper.from_array(array, value.name)
            self.nodes.append(helper.make_node("Constant", [], [value.name], value=tensor))
        return value

    def integers(self, numbers: list[int]) -> Value:
        """What tells of shapes and axes: constants, as exporters write them; at times an input."""
        array = np.array(numbers, np.int64)
        if self.integer(0, 7):
            return self.constant(array)
        value = Value(self.name("x"), array, True, magnitude(array))
        self.inputs.append(Input(value, list(array.shape)))
        return value  # not among the operands of others: it holds an axis or a size

    def new(self, dtype: str, shape: tuple[int, ...], low: int = -8, high: int = 8) -> Value:
        array = self.elements(dtype, shape, low, high)
        return self.constant(array) if self.integer(0, 3) == 0 else self.input(array)

    def operand(self, types=FLOATS, low: int = 0, high: int = 4, exact: bool = False) -> Value:
        """A value so far of one of these types and a rank from low to high, or a new one."""
        fit = [
            value
            for value in self.values
            if value.dtype in types and low <= value.rank <= high and (value.exact or not exact)
        ]
        if fit and self.integer(0, 3):
            return self.choice(fit)
        return self.new(self.choice(types), self.shape(low, high))

    def partner(self, value: Value, exact: bool = False, low: int = -8, high: int = 8) -> Value:
        """Of the same type, of a shape that broadcasts with the value's."""
        if self.flag():
            fit = [
                other
                for other in self.values
                if other.dtype == value.dtype
                and fits(other.shape, value.shape)
                and (other.exact or not exact)
                and (other.array.size == 0 or low <= other.array.min() <= other.array.max() <= high)
            ]
            if fit:
                return self.choice(fit)
        shape = [size if self.integer(0, 3) else 1 for size in value.shape]
        shape = shape[self.integer(0, len(shape)) :]
        if len(shape) == value.rank and self.integer(0, 3) == 0:
            shape = [self.size(), *shape]
        return self.new(value.dtype, tuple(shape), low, high)

    # ---- Nodes ------------------------------------------------------------------------------

    def node(
        self,
        op: str,
        operands: list[Value | None],
        outputs: int = 1,
        exact: bool | None = None,
        last: bool = False,
        **attributes,
    ):
        """Adds a node if it can be run alone. `exact`: whether its results can be, for operators
        that only move numbers or whose rounding is seen in the results themselves. `last`: no
        other node reads the results, which may be any numbers."""
        names = [operand.name if operand else "" for operand in operands]
        results = [self.name("v") for _ in range(outputs)]
        made = helper.make_node(op, names, results, **attributes)
        arrays = self.run_alone(made, [operand for operand in operands if operand])
        given = [operand for operand in operands if operand]
        scale = max((operand.scale for operand in given), default=0.0)
        pure = all(operand.exact for operand in given) if exact is None else exact
        values = []
        for name, array in zip(results, arrays, strict=True):
            size = magnitude(array[np.isfinite(array)] if last else array)
            if not size <= LARGEST or array.ndim > 5 or array.size > 4096:
                raise Discarded
            untouched = pure and is_exact(array) and (array.dtype != np.float16 or op in MOVES)
            values.append(Value(name, array, untouched, max(scale, size)))
        self.nodes.append(made)
        if not last:
            self.values += values
        self.results += values
        return values[0]

    def branch(
        self, condition: Value, captured: list[Value], graphs: list[onnx.GraphProto]
    ) -> list[Value]:
        """An If whose branches read outer values."""
        names = [self.name("v") for _ in graphs[0].output]
        node = helper.make_node(
            "If", [condition.name], names, then_branch=graphs[0], else_branch=graphs[1]
        )
        arrays = self.run_alone(node, [condition, *captured])
        scale = 4 * max(value.scale for value in captured)
        values = [
            Value(name, array, False, max(scale, magnitude(array)))
            for name, array in zip(names, arrays, strict=True)
        ]
        self.nodes.append(node)
        self.values += values
        self.results += values
        return values

    def run_alone(self, node: onnx.NodeProto, operands: list[Value]) -> list[np.ndarray]:
        distinct = {operand.name: operand for operand in operands}.values()
        graph = helper.make_graph(
            [node],
            "alone",
            [helper.make_tensor_value_info(v.name, onnx_type(v.dtype), v.shape) for v in distinct],
            [helper.make_empty_tensor_value_info(name) for name in node.output if name],
        )
        try:
            run = session(self.wrap(graph))
            return run.run(None, {v.name: v.array for v in distinct})
        except Exception as problem:
            raise Discarded(str(problem)) from problem

    def wrap(self, graph: onnx.GraphProto) -> onnx.ModelProto:
        return helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=10
        )

    def model(self) -> onnx.ModelProto:
        """All results that no node uses are outputs, and some others."""
        used = {name for node in self.nodes for name in node.input}  # captures: outputs, too
        outputs = [v for v in self.results if v.name not in used or self.integer(0, 4) == 0]
        graph = helper.make_graph(
            self.nodes,
            "random",
            [
                helper.make_tensor_value_info(i.value.name, onnx_type(i.value.dtype), i.dims)
                for i in self.inputs
            ],
            [
                helper.make_tensor_value_info(
                    v.name, onnx_type(v.dtype), [f"{v.name}_{i}" for i in range(v.rank)]
                )
                for v in outputs
            ],
            [numpy_helper.from_array(v.array, v.name) for v in self.constants],
        )
        return self.wrap(graph)


def magnitude(array: np.ndarray) -> float:
    """The largest of |array|; infinite where something is no number."""
    if array.size == 0 or array.dtype == bool:
        return 0.0
    largest = float(np.abs(array.astype(np.float64)).max())
    return math.inf if math.isnan(largest) else largest


def fits(a: tuple[int, ...], b: tuple[int, ...]) -> bool:
    try:
        return len(np.broadcast_shapes(a, b)) <= 5
    except ValueError:
        return False
