"""Infinities and what is no number, where the specification and the judge say what becomes of them.

Nothing reads the results: most operators leave open what they make of them (Max of what is no
number, a conversion of it to an integer).
"""

from __future__ import annotations

import numpy as np
from random_graph import Graph, Value

from operators.registry import FLOATS, operator


def special(g: Graph) -> Value:
    """An input in which every third number is none, or infinite."""
    dtype = g.choice(FLOATS)
    array = np.array(g.elements(dtype, g.shape(1, 3)))
    flat = array.reshape(-1)
    for count, i in enumerate(range(g.integer(0, 2), flat.size, 3)):
        flat[i] = (np.inf, np.nan, -np.inf)[count % 3]
    value = g.input(array)
    g.values.remove(value)
    value.scale = 8.0  # of what is finite
    return value


@operator("IsInf of specials")
def is_inf(g: Graph, _: str):
    signs = {"detect_negative": int(g.flag()), "detect_positive": int(g.flag())}
    return g.node("IsInf", [special(g)], last=True, **signs)


@operator("IsNaN of specials")
def is_nan(g: Graph, _: str):
    return g.node("IsNaN", [special(g)], last=True)


@operator("Arithmetic of specials")
def arithmetic(g: Graph, _: str):
    op = g.choice(("Add", "Sub", "Mul", "Div", "Equal", "Less", "Greater", "LessOrEqual"))
    if g.opset < 16 and op == "LessOrEqual":
        op = "Less"
    x = special(g)
    return g.node(op, [x, g.constant(np.array(g.choice((2, -1)), x.dtype))], last=True)


@operator("Functions of specials")
def functions(g: Graph, _: str):
    op = g.choice(
        (
            "Neg",
            "Abs",
            "Floor",
            "Ceil",
            "Round",
            "Exp",
            "Tanh",
            "Sigmoid",
            "Sqrt",
            "Reciprocal",
            "Identity",
        )
    )
    return g.node(op, [special(g)], exact=False, last=True)


@operator("Moves of specials")
def moves(g: Graph, _: str):
    x = special(g)
    kind = g.integer(0, 2)
    if kind == 0:
        return g.node("Transpose", [x], last=True)
    if kind == 1:
        return g.node("Concat", [x, x], axis=g.axis(x.rank), last=True)
    flags = g.new("bool", x.shape)
    return g.node("Where", [flags, x, g.constant(np.array(1, x.dtype))], last=True)


@operator("Sums of specials")
def sums(g: Graph, _: str):
    """One that is no number makes the whole sum none."""
    x = special(g)
    return g.node("ReduceSum", [x, g.constant(np.array([-1], np.int64))], last=True)
