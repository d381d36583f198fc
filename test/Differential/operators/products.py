"""Products, and integers with scales."""

from __future__ import annotations

import numpy as np
from random_graph import Discarded, Graph

from operators.registry import (
    FLOATS,
    HALF,
    operator,
)


@operator("MatMul")
def matmul(g: Graph, op: str):
    a = g.operand((*FLOATS, *HALF), low=1)
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


@operator("Einsum")
def einsum(g: Graph, op: str):
    """Letters of sizes that all operands share."""
    sizes = {letter: g.size() for letter in "abcd"}
    count = g.integer(1, 2)
    terms = []
    for _ in range(count):
        letters = list(sizes)
        terms.append(
            "".join(letters.pop(g.integer(0, len(letters) - 1)) for _ in range(g.integer(1, 3)))
        )
    seen = sorted(set("".join(terms)))
    out = "".join(letter for letter in seen if g.flag())
    if any(sizes[letter] == 0 for letter in seen):
        raise Discarded  # the judge leaves sums of nothing as they were in memory
    operands = [g.new("float32", tuple(sizes[letter] for letter in term)) for term in terms]
    return g.node(op, operands, equation=",".join(terms) + "->" + out)


@operator("DynamicQuantizeLinear")
def dynamic_quantize(g: Graph, op: str):
    """Of numbers from -8 to 8, both among them: scale and zero point are then the same for all
    ways to compute them."""
    x = g.new("float32", g.shape(1, 3))
    if x.array.size == 0:
        raise Discarded
    ends = g.constant(np.full((1,) * x.rank, 7.75, np.float32))
    low = g.constant(np.full((1,) * x.rank, -8.0, np.float32))
    clipped = g.node("Min", [g.node("Max", [x, low]), ends])
    return g.node(op, [clipped], outputs=3, exact=False)


@operator("QLinearMatMul")
def qlinear_matmul(g: Graph, op: str):
    """Scales that are powers of two: results are halves at worst, and round alike everywhere."""
    rows, inner, columns = g.size(), g.integer(1, 5), g.size()
    a = g.new("uint8", (rows, inner))
    b = g.new(g.choice(("uint8", "int8")), (inner, columns))
    half, two = (g.constant(np.array(n, np.float32)) for n in (0.5, 2.0))
    zero_a, zero_b, zero_y = (
        g.constant(np.array(n, v)) for n, v in ((3, "uint8"), (1, b.dtype), (7, "uint8"))
    )
    return g.node(op, [a, half, zero_a, b, half, zero_b, two, zero_y])
