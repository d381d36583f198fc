"""Control flow, and the operators of language models."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper
from random_graph import Graph, Value, onnx_type

from operators.registry import FLOATS, operator


def body(g: Graph, x: Value, other: Value, inner: Value | None) -> onnx.GraphProto:
    """A branch: a few nodes on outer values, of one type and rank, maybe an If again."""
    nodes, now = [], x.name
    for _ in range(g.integer(1, 3)):
        name = g.name("b")
        kind = g.choice(("Neg", "Abs", "Relu", "Add", "Mul", "Concat", "If", "Transpose"))
        attributes = {}
        operands = [now]
        if kind in ("Add", "Mul"):
            operands.append(other.name)
        elif kind == "Concat":
            if not x.rank:
                continue
            operands, attributes = [now, now], {"axis": g.axis(x.rank)}
        elif kind == "If":
            if not inner:
                continue
            graphs = [body(g, x, other, None) for _ in range(2)]
            operands = [inner.name]
            attributes = {"then_branch": graphs[0], "else_branch": graphs[1]}
        nodes.append(helper.make_node(kind, operands, [name], **attributes))
        now = name
    result = g.name("b")
    nodes.append(helper.make_node("Identity", [now], [result]))
    output = helper.make_tensor_value_info(result, onnx_type(x.dtype), None)
    return helper.make_graph(nodes, result, [], [output])


@operator("If")
def branches(g: Graph, op: str):
    """Known conditions, inputs, and such as are computed of dimensions."""
    x = g.operand(FLOATS)
    other = g.constant(np.array(0.5, x.dtype))
    kind = g.integer(0, 2)
    if kind == 0:
        condition = g.constant(np.array(g.flag()))
    elif kind == 1:
        condition = g.input(np.array(g.flag()))
    else:
        whole = g.node("Size", [x])
        condition = g.node("Greater", [whole, g.constant(np.array(4, np.int64))])
    inner = g.input(np.array(g.flag()))
    graphs = [body(g, x, other, inner) for _ in range(2)]
    return g.branch(condition, [x, other, inner], graphs)


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


@operator("TensorScatter", since=24)
def tensor_scatter(g: Graph, op: str):
    """Of a cache: where each sequence goes on."""
    batch, most, size = g.integer(1, 3), g.integer(2, 5), g.integer(1, 3)
    rows = g.integer(1, most)
    cache = g.new("float32", (batch, 2, most, size))
    update = g.new("float32", (batch, 2, rows, size))
    mode = g.choice(("linear", "circular"))
    at = g.new("int64", (batch,), 0, most - rows)
    return g.node(op, [cache, update, at], axis=-2, mode=mode)
