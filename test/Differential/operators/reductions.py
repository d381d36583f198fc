"""Operators that fold axes."""

from __future__ import annotations

import numpy as np
from random_graph import Discarded, Graph

from operators.registry import (
    FLOATS,
    HALF,
    NUMBERS,
    operator,
)


@operator("ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL2")
def reduce(g: Graph, op: str):
    exact = op == "ReduceProd"
    types = FLOATS if op in ("ReduceMean", "ReduceL2") else NUMBERS
    if op in ("ReduceSum", "ReduceMean"):
        types = (*types, *HALF)
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
    x = g.operand((*FLOATS, *HALF), low=1)
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


@operator("ReduceSumSquare", "ReduceL1", "ReduceLogSumExp", "ReduceLogSum")
def reduce_more(g: Graph, op: str):
    """Of numbers that are small, and positive where a logarithm is taken of their sum."""
    x = g.operand(FLOATS, low=1, exact=True)
    if 0 in x.shape or x.scale > 64:
        raise Discarded  # the logarithm of nothing is infinite
    if op == "ReduceLogSum":
        x = g.new(x.dtype, x.shape, low=1)
    axes = g.axes(x.rank, low=1)
    attributes = {"keepdims": int(g.flag())}
    if g.opset >= 18:
        return g.node(op, [x, g.integers(axes)], exact=False, **attributes)
    return g.node(op, [x], exact=False, axes=axes, **attributes)


@operator("Hardmax")
def hardmax(g: Graph, op: str):
    x = g.operand(FLOATS, low=1, exact=True)
    return g.node(op, [x], axis=g.axis(x.rank))
