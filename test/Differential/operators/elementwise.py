"""Operators of one element each."""

from __future__ import annotations

import numpy as np
from random_graph import Discarded, Graph, onnx_type

from operators.registry import (
    ALL,
    ARITHMETIC,
    FLOATS,
    HALF,
    INTEGERS,
    NUMBERS,
    TYPES,
    WIDE,
    operator,
)


@operator("Add", "Sub", "Mul")
def arithmetic(g: Graph, op: str):
    a = g.operand(ARITHMETIC)
    pair = [a, g.partner(a)]
    return g.node(op, pair if g.flag() else pair[::-1])


@operator("Div")
def div(g: Graph, op: str):
    a = g.operand(ARITHMETIC)
    return g.node(op, [a, g.partner(a, low=1, high=8)], exact=a.dtype in WIDE)


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
    a = g.operand(ARITHMETIC)
    return g.node(op, [a, *(g.partner(a) for _ in range(g.integer(0, 2)))])


@operator("Sum")
def total(g: Graph, op: str):
    a = g.operand(FLOATS)
    return g.node(op, [a, *(g.partner(a) for _ in range(g.integer(0, 2)))])


@operator("Neg", "Abs")
def signs(g: Graph, op: str):
    return g.node(op, [g.operand(ARITHMETIC)])


@operator("Relu")
def relu(g: Graph, op: str):
    return g.node(op, [g.operand((*FLOATS, *HALF))])


@operator("Sign", "Floor", "Ceil", "Round")
def jumps(g: Graph, op: str):
    return g.node(op, [g.operand(FLOATS, exact=True)])


@operator("Sigmoid", "Tanh", "Erf", "Sin", "Cos", "Softplus")
def smooth(g: Graph, op: str):
    types = ("float32",) if op == "Erf" else (*FLOATS, *HALF)
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
    a = g.operand(ALL)
    b = g.partner(a)
    shape = np.broadcast_shapes(a.shape, b.shape)
    flags = g.new("bool", shape[g.integer(0, len(shape)) :])
    return g.node(op, [flags, a, b])


@operator("IsNaN")
def is_nan(g: Graph, op: str):
    return g.node(op, [g.operand(FLOATS)])


@operator("Cast")
def cast(g: Graph, op: str):
    x = g.operand(ALL, exact=True)
    to = g.choice(ALL)
    if x.array.size and x.dtype != "bool" and np.dtype(to).kind in "iu":
        limits = np.iinfo(to)
        if float(x.array.min()) < limits.min or float(x.array.max()) > limits.max:
            raise Discarded
    return g.node(op, [x], to=onnx_type(to))


@operator("CastLike", since=15)
def cast_like(g: Graph, op: str):
    return g.node(op, [g.operand(WIDE), g.operand(FLOATS)])


@operator("Identity")
def identity(g: Graph, op: str):
    return g.node(op, [g.operand(TYPES)])


@operator("Elu", "LeakyRelu", "Selu", "Celu", "ThresholdedRelu", "HardSigmoid")
def activation(g: Graph, op: str):
    x = g.operand(("float32",), exact=op == "ThresholdedRelu")
    attributes = {} if g.flag() else {"alpha": g.choice((0.5, 1.5))}
    return g.node(op, [x], exact=False, **attributes)


@operator("HardSwish", "Softsign")
def curve(g: Graph, op: str):
    return g.node(op, [g.operand(("float32",))], exact=False)


@operator("Mish", since=18)
def mish(g: Graph, op: str):
    return g.node(op, [g.operand(("float32",))], exact=False)


@operator("Swish", since=24)
def swish(g: Graph, op: str):
    return g.node(op, [g.operand(("float32",))], exact=False, alpha=g.choice((1.0, 0.5)))


@operator("PRelu", since=16)
def prelu(g: Graph, op: str):
    x = g.operand(("float32",))
    slope = tuple(size if g.flag() else 1 for size in x.shape)
    return g.node(op, [x, g.new("float32", slope[g.integer(0, len(slope)) :])])


@operator("BitwiseAnd", "BitwiseOr", "BitwiseXor", since=18)
def bits(g: Graph, op: str):
    a = g.operand((*INTEGERS, "uint16", "uint32"))
    return g.node(op, [a, g.partner(a)])


@operator("BitwiseNot", since=18)
def complement(g: Graph, op: str):
    return g.node(op, [g.operand(INTEGERS)])


@operator("BitShift")
def shift(g: Graph, op: str):
    a = g.operand(("uint8", "uint32", "uint64"))
    return g.node(op, [a, g.partner(a, low=0, high=7)], direction=g.choice(("LEFT", "RIGHT")))


@operator("Mean")
def mean(g: Graph, op: str):
    a = g.operand(("float32",))
    return g.node(op, [a, *(g.partner(a) for _ in range(g.integer(0, 2)))], exact=False)


@operator("Dropout")
def dropout(g: Graph, op: str):
    """Of inference: x, and that all of it is kept."""
    return g.node(op, [g.operand((*FLOATS, *HALF))], outputs=g.integer(1, 2))


@operator("Shrink")
def shrink(g: Graph, op: str):
    x = g.operand(("float32",), exact=True)
    return g.node(op, [x], lambd=1.5, bias=g.choice((0.0, 0.5)))
