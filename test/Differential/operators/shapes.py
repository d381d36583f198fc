"""Shapes that are computed, as exporters write them."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto, helper
from random_graph import Discarded, Graph, Value

from operators.registry import FLOATS, TYPES, operator


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
