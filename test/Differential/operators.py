"""How each operator is drawn: its operands, its attributes, from which opset on.

A drawer takes a graph, draws, and adds nodes. Operators that jump where a number crosses a border
(`exact=True` operands) see only numbers that rounding has not touched.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from onnx import TensorProto, helper
from random_graph import FLOATS, INTEGERS, TYPES, Discarded, Graph, Value, onnx_type

Drawer = Callable[[Graph], object]

#: operator -> (first opset, drawer)
OPERATORS: dict[str, tuple[int, Drawer]] = {}

WIDE = ("int64", "int32")
NUMBERS = (*FLOATS, *WIDE)


def operator(*names: str, since: int = 14):
    def register(drawer):
        for name in names:
            OPERATORS[name] = (since, lambda g, name=name: drawer(g, name))
        return drawer

    return register


# ---- Element by element -----------------------------------------------------------------------


@operator("Add", "Sub", "Mul")
def arithmetic(g: Graph, op: str):
    a = g.operand(NUMBERS)
    pair = [a, g.partner(a)]
    return g.node(op, pair if g.flag() else pair[::-1])


@operator("Div")
def div(g: Graph, op: str):
    a = g.operand(NUMBERS)
    return g.node(op, [a, g.partner(a, low=1, high=8)], exact=a.dtype not in FLOATS)


@operator("Pow")
def power(g: Graph, op: str):
    base = g.operand(FLOATS, exact=True)
    exponent = g.constant(np.array(g.choice((2, 3, 1, 0)), base.dtype))
    return g.node(op, [base, exponent])


@operator("Mod")
def mod(g: Graph, op: str):
    a = g.operand((*INTEGERS, *FLOATS), exact=True)
    b = g.partner(a, exact=True, low=1, high=8)
    return g.node(op, [a, b], fmod=int(a.dtype in FLOATS or g.flag()))


@operator("Min", "Max")
def extremes(g: Graph, op: str):
    a = g.operand(NUMBERS)
    return g.node(op, [a, *(g.partner(a) for _ in range(g.integer(0, 2)))])


@operator("Sum")
def total(g: Graph, op: str):
    a = g.operand(FLOATS)
    return g.node(op, [a, *(g.partner(a) for _ in range(g.integer(0, 2)))])


@operator("Neg", "Abs")
def signs(g: Graph, op: str):
    return g.node(op, [g.operand(NUMBERS)])


@operator("Relu")
def relu(g: Graph, op: str):
    return g.node(op, [g.operand(FLOATS)])


@operator("Sign", "Floor", "Ceil", "Round")
def jumps(g: Graph, op: str):
    return g.node(op, [g.operand(FLOATS, exact=True)])


@operator("Sigmoid", "Tanh", "Erf", "Sin", "Cos", "Softplus")
def smooth(g: Graph, op: str):
    types = ("float32",) if op == "Erf" else FLOATS
    return g.node(op, [g.operand(types)], exact=False)


@operator("Gelu", since=20)
def gelu(g: Graph, op: str):
    return g.node(
        op, [g.operand(("float32",))], exact=False, approximate=g.choice(("none", "tanh"))
    )


@operator("Exp")
def exponential(g: Graph, op: str):
    x = g.operand(FLOATS)
    if x.scale > 8:
        raise Discarded
    return g.node(op, [x], exact=False)


@operator("Sqrt", "Log", "Reciprocal")
def positive(g: Graph, op: str):
    x = g.operand(FLOATS, exact=True)
    if x.array.size and x.array.min() <= 0:
        x = g.new(x.dtype, x.shape, low=1)
    return g.node(op, [x], exact=False)


@operator("Clip")
def clip(g: Graph, op: str):
    x = g.operand(NUMBERS)
    low = g.constant(np.array(-2, x.dtype)) if g.flag() else None
    high = g.constant(np.array(3, x.dtype)) if g.flag() or not low else None
    return g.node(op, [x, low] if high is None else [x, low, high])


@operator("Equal", "Greater", "Less", "GreaterOrEqual", "LessOrEqual")
def comparison(g: Graph, op: str):
    types = (*NUMBERS, "bool") if op == "Equal" else NUMBERS
    if g.opset < 16 and op in ("GreaterOrEqual", "LessOrEqual"):
        types = FLOATS
    a = g.operand(types, exact=True)
    return g.node(op, [a, g.partner(a, exact=True)])


@operator("And", "Or", "Xor")
def logic(g: Graph, op: str):
    a = g.operand(("bool",))
    return g.node(op, [a, g.partner(a)])


@operator("Not")
def invert(g: Graph, op: str):
    return g.node(op, [g.operand(("bool",))])


@operator("Where")
def where(g: Graph, op: str):
    a = g.operand(TYPES)
    b = g.partner(a)
    shape = np.broadcast_shapes(a.shape, b.shape)
    flags = g.new("bool", shape[g.integer(0, len(shape)) :])
    return g.node(op, [flags, a, b])


@operator("IsNaN")
def is_nan(g: Graph, op: str):
    return g.node(op, [g.operand(FLOATS)])


@operator("Cast")
def cast(g: Graph, op: str):
    x = g.operand(TYPES, exact=True)
    to = g.choice(TYPES)
    if x.array.size and x.dtype != "bool" and to in INTEGERS:
        limits = np.iinfo(to)
        if x.array.min() < limits.min or x.array.max() > limits.max:
            raise Discarded
    return g.node(op, [x], to=onnx_type(to))


@operator("CastLike", since=15)
def cast_like(g: Graph, op: str):
    return g.node(op, [g.operand(WIDE), g.operand(FLOATS)])


@operator("Identity")
def identity(g: Graph, op: str):
    return g.node(op, [g.operand(TYPES)])


# ---- Reductions -------------------------------------------------------------------------------


@operator("ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL2")
def reduce(g: Graph, op: str):
    exact = op == "ReduceProd"
    types = FLOATS if op in ("ReduceMean", "ReduceL2") else NUMBERS
    x = g.operand(types, exact=exact)
    if op == "ReduceMean" and 0 in x.shape:
        raise Discarded  # no number is the mean of none
    attributes = {"keepdims": int(g.flag())}
    axes = g.axes(x.rank) if g.flag() else None
    moves = op not in ("ReduceMean", "ReduceL2") and x.exact
    if g.opset >= 18 or op == "ReduceSum":
        if g.flag():
            attributes["noop_with_empty_axes"] = 1
        operands = [x] if axes is None else [x, g.integers(axes)]
        return g.node(op, operands, exact=moves, **attributes)
    if axes:
        attributes["axes"] = axes
    return g.node(op, [x], exact=moves, **attributes)


@operator("Softmax", "LogSoftmax")
def softmax(g: Graph, op: str):
    x = g.operand(FLOATS, low=1)
    if x.scale > 64:
        raise Discarded
    return g.node(op, [x], exact=False, axis=g.axis(x.rank))


@operator("LayerNormalization", since=17)
def layer_norm(g: Graph, op: str):
    x = g.operand(("float32",), low=1, exact=True)
    axis = g.axis(x.rank)
    shape = x.shape[axis:]
    operands = [x, g.new(x.dtype, shape)]
    if g.flag():
        operands.append(g.new(x.dtype, shape))
    return g.node(op, operands, exact=False, axis=axis, epsilon=0.01)


@operator("RMSNormalization", since=23)
def rms_norm(g: Graph, op: str):
    x = g.operand(("float32",), low=1)
    axis = g.axis(x.rank)
    return g.node(op, [x, g.new(x.dtype, x.shape[axis:])], exact=False, axis=axis, epsilon=0.01)


@operator("CumSum")
def cumsum(g: Graph, op: str):
    x = g.operand(NUMBERS, low=1)
    axis = g.constant(np.array(g.axis(x.rank), np.int64))
    return g.node(op, [x, axis], exclusive=int(g.flag()), reverse=int(g.flag()))


@operator("ArgMax", "ArgMin")
def arg(g: Graph, op: str):
    x = g.operand((*FLOATS, "int32"), low=1, exact=True)
    return g.node(
        op,
        [x],
        axis=g.axis(x.rank),
        keepdims=int(g.flag()),
        select_last_index=int(g.flag()),
    )


@operator("TopK")
def top_k(g: Graph, op: str):
    x = g.operand(NUMBERS, low=1, exact=True)
    axis = g.axis(x.rank)
    k = g.integers([g.integer(0, x.shape[axis])])
    return g.node(op, [x, k], outputs=2, axis=axis, largest=int(g.flag()))


# ---- Products ---------------------------------------------------------------------------------


@operator("MatMul")
def matmul(g: Graph, op: str):
    a = g.operand(FLOATS, low=1)
    inner = a.shape[-1]
    kind = g.integer(0, 3)
    if kind == 0:
        shape = (inner,)
    elif kind == 1 or a.rank < 3:
        shape = (inner, g.size())
    else:
        shape = (*(s if g.flag() else 1 for s in a.shape[:-2]), inner, g.size())
    return g.node(op, [a, g.new(a.dtype, shape)])


@operator("Gemm")
def gemm(g: Graph, op: str):
    a = g.operand(FLOATS, low=2, high=2)
    trans_a, trans_b = g.flag(), g.flag()
    rows, inner = a.shape[::-1] if trans_a else a.shape
    columns = g.size()
    b = g.new(a.dtype, (columns, inner) if trans_b else (inner, columns))
    operands = [a, b]
    if g.flag():
        operands.append(g.new(a.dtype, g.choice(((columns,), (rows, 1), (1, columns), ()))))
    return g.node(
        op,
        operands,
        transA=int(trans_a),
        transB=int(trans_b),
        alpha=g.choice((1.0, 0.5)),
        beta=g.choice((1.0, 2.0)),
    )


@operator("MatMulInteger")
def matmul_integer(g: Graph, op: str):
    """Small numbers: some CPUs' kernels of the judge saturate."""
    rows, inner, columns = g.size(), g.integer(1, 5), g.size()  # 0: the judge fills in nothing
    a = g.new(g.choice(("uint8", "int8")), (rows, inner))
    b = g.new(g.choice(("uint8", "int8")), (inner, columns))
    operands = [a, b]
    if g.flag():
        operands.append(g.constant(np.array(3, a.dtype)))
        if g.flag():
            operands.append(g.constant(np.array(2, b.dtype)))
    return g.node(op, operands)


@operator("QuantizeLinear")
def quantize(g: Graph, op: str):
    x = g.operand(("float32",), exact=True)
    scale = g.constant(np.array(g.choice((0.25, 0.5, 2.0)), np.float32))
    return g.node(
        op, [x, scale, g.constant(np.array(g.integer(0, 9), g.choice(("uint8", "int8"))))]
    )


@operator("DequantizeLinear")
def dequantize(g: Graph, op: str):
    x = g.operand(("uint8", "int8"), low=1)
    if g.flag():
        scale = g.constant(np.array(0.25, np.float32))
        return g.node(op, [x, scale, g.constant(np.array(2, x.dtype))])
    axis = g.axis(x.rank)
    scale = g.constant(np.full(x.shape[axis], 0.5, np.float32))
    return g.node(op, [x, scale, g.constant(np.full(x.shape[axis], 1, x.dtype))], axis=axis)


# ---- Moving numbers ---------------------------------------------------------------------------


@operator("Transpose")
def transpose(g: Graph, op: str):
    x = g.operand(TYPES)
    if x.rank == 0 or g.integer(0, 4) == 0:
        return g.node(op, [x])
    order = list(range(x.rank))
    for i in range(len(order) - 1, 0, -1):
        j = g.integer(0, i)
        order[i], order[j] = order[j], order[i]
    return g.node(op, [x], perm=order)


def factored(g: Graph, count: int) -> list[int]:
    """A shape of so many elements."""
    shape = []
    for _ in range(g.integer(0, 3)):
        divisors = [d for d in range(1, count + 1) if count % d == 0] or [0]
        shape.append(g.choice(divisors))
        count = count // shape[-1] if shape[-1] else 0
    return [*shape, count]


@operator("Reshape")
def reshape(g: Graph, op: str):
    x = g.operand(TYPES)
    shape = factored(g, x.array.size)
    kind = g.integer(0, 3)
    if kind == 0 and 0 not in shape:
        shape[g.integer(0, len(shape) - 1)] = -1
    if kind == 1 and x.rank and x.array.size:
        shape = [0, -1, *x.shape[2:]] if x.rank > 1 else [0, 1]
    if 0 in x.shape:
        return g.node(op, [x, g.integers(shape)], allowzero=1)
    return g.node(op, [x, g.integers(shape)])


@operator("Flatten")
def flatten(g: Graph, op: str):
    x = g.operand(TYPES)
    return g.node(op, [x], axis=g.integer(-x.rank, x.rank))


@operator("Squeeze")
def squeeze(g: Graph, op: str):
    x = g.operand(TYPES)
    ones = [i for i, size in enumerate(x.shape) if size == 1]
    if not ones:
        raise Discarded
    axes = [i - x.rank if g.flag() else i for i in ones if g.flag()]
    return g.node(op, [x, g.integers(axes)] if axes else [x])


@operator("Unsqueeze")
def unsqueeze(g: Graph, op: str):
    x = g.operand(TYPES, high=3)
    count = g.integer(1, 2)
    return g.node(op, [x, g.integers(g.axes(x.rank + count, low=1)[:count])])


@operator("Concat")
def concat(g: Graph, op: str):
    x = g.operand(TYPES, low=1)
    axis = g.axis(x.rank)
    pieces = [x]
    for _ in range(g.integer(0, 2)):
        shape = list(x.shape)
        shape[axis] = g.size()
        pieces.insert(g.integer(0, len(pieces)), g.new(x.dtype, tuple(shape)))
    return g.node(op, pieces, axis=axis)


@operator("Split")
def split(g: Graph, op: str):
    x = g.operand(TYPES, low=1)
    axis = g.axis(x.rank)
    size = x.shape[axis]
    if g.flag():
        first = g.integer(0, size)
        return g.node(op, [x, g.integers([first, size - first])], outputs=2, axis=axis)
    count = g.integer(1, 3)
    if g.opset < 18:
        if size % count:
            raise Discarded
        return g.node(op, [x], outputs=count, axis=axis)
    return g.node(op, [x], outputs=count, axis=axis, num_outputs=count)


@operator("Slice")
def cut(g: Graph, op: str):
    x = g.operand(TYPES, low=1)
    axes = g.axes(x.rank, low=1)
    starts = [g.integer(-9, 9) for _ in axes]
    steps = [g.choice((1, 1, 2, 3, -1, -2)) for _ in axes]
    # To the very end, as the specification recommends to write it.
    ends = [g.choice((g.integer(-9, 9), 2**31 - 1 if step > 0 else -(2**31))) for step in steps]
    lists = [starts, ends, axes, steps]
    return g.node(op, [x, *(g.integers(numbers) for numbers in lists)])


def indices(g: Graph, size: int, shape: tuple[int, ...]) -> Value:
    if size == 0 and 0 not in shape:
        raise Discarded
    return g.new(g.choice(WIDE), shape, low=-size, high=max(size - 1, -size))


@operator("Gather")
def gather(g: Graph, op: str):
    x = g.operand(TYPES, low=1)
    axis = g.axis(x.rank)
    return g.node(op, [x, indices(g, x.shape[axis], g.shape(0, 2))], axis=axis)


@operator("GatherElements")
def gather_elements(g: Graph, op: str):
    x = g.operand(TYPES, low=1)
    axis = g.axis(x.rank)
    shape = list(x.shape)
    shape[axis] = g.size()
    return g.node(op, [x, indices(g, x.shape[axis], tuple(shape))], axis=axis)


def corners(g: Graph, x: Value, depth: int, count: tuple[int, ...]) -> Value:
    """Index tuples into the first axes."""
    if 0 in x.shape[:depth]:
        raise Discarded
    columns = [g.elements("int64", count, -size, size - 1) for size in x.shape[:depth]]
    return g.input(np.stack(columns, axis=-1))


@operator("GatherND")
def gather_nd(g: Graph, op: str):
    x = g.operand(TYPES, low=1)
    return g.node(op, [x, corners(g, x, g.integer(1, x.rank), g.shape(1, 2))])


@operator("ScatterND", since=16)
def scatter_nd(g: Graph, op: str):
    x = g.operand(NUMBERS, low=1)
    at = corners(g, x, g.integer(1, x.rank), g.shape(1, 2))
    updates = g.new(x.dtype, (*at.shape[:-1], *x.shape[at.shape[-1] :]))
    return g.node(op, [x, at, updates], reduction=g.choice(reductions(g)))


@operator("ScatterElements", since=16)
def scatter_elements(g: Graph, op: str):
    x = g.operand(NUMBERS, low=1)
    axis = g.axis(x.rank)
    shape = tuple(g.integer(0, size) for size in x.shape)
    at = indices(g, x.shape[axis], shape)
    return g.node(op, [x, at, g.new(x.dtype, shape)], axis=axis, reduction=g.choice(reductions(g)))


def reductions(g: Graph) -> tuple[str, ...]:
    return ("none", "add", "mul", "min", "max") if g.opset >= 18 else ("none", "add", "mul")


@operator("Tile")
def tile(g: Graph, op: str):
    x = g.operand(TYPES, low=1, high=3)
    return g.node(op, [x, g.integers([g.integer(0, 3) for _ in range(x.rank)])])


@operator("Expand")
def expand(g: Graph, op: str):
    x = g.operand(TYPES)
    shape = [g.size() if size == 1 else g.choice((1, size)) for size in x.shape]
    if g.flag():
        shape.insert(0, g.size())
    return g.node(op, [x, g.integers(shape)])


@operator("Trilu")
def trilu(g: Graph, op: str):
    x = g.operand(TYPES, low=2)
    operands = [x]
    if g.flag():
        operands.append(g.constant(np.array(g.integer(-3, 3), np.int64)))
    return g.node(op, operands, upper=int(g.flag()))


# ---- Arithmetic on shapes ---------------------------------------------------------------------


@operator("Shape", since=15)
def shape(g: Graph, op: str):
    x = g.operand(TYPES)
    attributes = {}
    if g.flag():
        attributes["start"] = g.integer(-5, 5)
    if g.flag():
        attributes["end"] = g.integer(-5, 5)
    return g.node(op, [x], **attributes)


@operator("Size")
def size(g: Graph, op: str):
    return g.node(op, [g.operand(TYPES)])


def dimension(g: Graph, x: Value) -> Value:
    """One dimension as a vector of one number, as exporters get it."""
    whole = g.node("Shape", [x])
    return g.node("Gather", [whole, g.integers([g.axis(x.rank)])], axis=0)


@operator("Reshape by dimensions")
def reshape_by_dimensions(g: Graph, _: str):
    x = g.operand(TYPES, low=1)
    if x.array.size == 0:
        raise Discarded
    target = g.node("Concat", [dimension(g, x), g.integers([-1])], axis=0)
    return g.node("Reshape", [x, target])


@operator("Slice by dimensions")
def slice_by_dimensions(g: Graph, _: str):
    x = g.operand(TYPES, low=1)
    axis = g.integer(0, x.rank - 1)
    end = g.node("Div", [dimension(g, x), g.integers([2])])
    return g.node("Slice", [x, g.integers([0]), end, g.integers([axis])])


@operator("ConstantOfShape")
def constant_of_shape(g: Graph, op: str):
    target = g.node("Shape", [g.operand(TYPES)])
    value = helper.make_tensor("value", TensorProto.FLOAT, [1], [1.5])
    return g.node(op, [target], value=value) if g.flag() else g.node(op, [target])


@operator("Range")
def counted(g: Graph, op: str):
    x = g.operand(TYPES, low=1)
    limit = g.node("Squeeze", [dimension(g, x), g.integers([0])])
    start, step = (g.constant(np.array(n, np.int64)) for n in (g.integer(-3, 3), g.choice((1, 2))))
    return g.node(op, [start, limit, step])


@operator("Mask by dimensions")
def mask_by_dimensions(g: Graph, _: str):
    """A causal mask as exporters write it: Range, Unsqueeze, comparison, Where."""
    x = g.operand(FLOATS, low=2)
    limit = g.node("Squeeze", [dimension(g, x), g.integers([0])])
    zero, one = (g.constant(np.array(n, np.int64)) for n in (0, 1))
    row = g.node("Range", [zero, limit, one])
    column = g.node("Unsqueeze", [row, g.integers([1])])
    seen = g.node("LessOrEqual", [row, column])
    pair = [g.constant(np.array(n, np.float32)) for n in (0, -100)]
    return g.node("Where", [seen, *pair])


# ---- Control flow, language models ------------------------------------------------------------


@operator("If")
def branches(g: Graph, op: str):
    x = g.operand(FLOATS)
    condition = g.input(np.array(g.flag()))
    names = [g.name("b") for _ in range(2)]
    graphs = []
    for name, inner in zip(names, ("Neg", "Abs"), strict=True):
        output = helper.make_tensor_value_info(name, onnx_type(x.dtype), None)
        graphs.append(
            helper.make_graph([helper.make_node(inner, [x.name], [name])], name, [], [output])
        )
    return g.branch(condition, x, graphs)


@operator("RotaryEmbedding", since=23)
def rotary(g: Graph, op: str):
    heads, half = g.integer(1, 3), g.integer(1, 3)
    batch, rows = g.integer(1, 3), g.integer(1, 4)
    x = g.new("float32", (batch, heads, rows, 2 * half))
    table = (batch, rows, half)
    return g.node(
        op,
        [x, g.new("float32", table), g.new("float32", table)],
        exact=False,
        interleaved=int(g.flag()),
    )


@operator("Attention", since=23)
def attention(g: Graph, op: str):
    batch, heads, shared, size = g.integer(1, 2), g.integer(1, 2), g.integer(1, 2), g.integer(1, 4)
    rows, columns = g.integer(1, 4), g.integer(1, 5)
    q = g.new("float32", (batch, heads * shared, rows, size), -2, 2)
    k = g.new("float32", (batch, heads, columns, size), -2, 2)
    v = g.new("float32", (batch, heads, columns, g.integer(1, 4)), -2, 2)
    operands = [q, k, v]
    causal = g.flag()
    if not causal and g.flag():
        operands.append(g.new("float32", (batch, heads * shared, rows, columns), -2, 2))
    return g.node(op, operands, exact=False, is_causal=int(causal))
