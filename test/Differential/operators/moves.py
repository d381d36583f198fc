"""Operators that only move numbers."""

from __future__ import annotations

import numpy as np
from random_graph import Discarded, Graph, Value

from operators.registry import ALL, NUMBERS, WIDE, operator


@operator("Transpose")
def transpose(g: Graph, op: str):
    x = g.operand(ALL)
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
    x = g.operand(ALL)
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
    x = g.operand(ALL)
    return g.node(op, [x], axis=g.integer(-x.rank, x.rank))


@operator("Squeeze")
def squeeze(g: Graph, op: str):
    x = g.operand(ALL)
    ones = [i for i, size in enumerate(x.shape) if size == 1]
    if not ones:
        raise Discarded
    axes = [i - x.rank if g.flag() else i for i in ones if g.flag()]
    return g.node(op, [x, g.integers(axes)] if axes else [x])


@operator("Unsqueeze")
def unsqueeze(g: Graph, op: str):
    x = g.operand(ALL, high=3)
    count = g.integer(1, 2)
    return g.node(op, [x, g.integers(g.axes(x.rank + count, low=1)[:count])])


@operator("Concat")
def concat(g: Graph, op: str):
    x = g.operand(ALL, low=1)
    axis = g.axis(x.rank)
    pieces = [x]
    for _ in range(g.integer(0, 2)):
        shape = list(x.shape)
        shape[axis] = g.size()
        pieces.insert(g.integer(0, len(pieces)), g.new(x.dtype, tuple(shape)))
    return g.node(op, pieces, axis=axis)


@operator("Split")
def split(g: Graph, op: str):
    x = g.operand(ALL, low=1)
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
    x = g.operand(ALL, low=1)
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
    x = g.operand(ALL, low=1)
    axis = g.axis(x.rank)
    return g.node(op, [x, indices(g, x.shape[axis], g.shape(0, 2))], axis=axis)


@operator("GatherElements")
def gather_elements(g: Graph, op: str):
    x = g.operand(ALL, low=1)
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
    x = g.operand(ALL, low=1)
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
    x = g.operand(ALL, low=1, high=3)
    return g.node(op, [x, g.integers([g.integer(0, 3) for _ in range(x.rank)])])


@operator("Expand")
def expand(g: Graph, op: str):
    x = g.operand(ALL)
    shape = [g.size() if size == 1 else g.choice((1, size)) for size in x.shape]
    if g.flag():
        shape.insert(0, g.size())
    return g.node(op, [x, g.integers(shape)])


@operator("Trilu")
def trilu(g: Graph, op: str):
    x = g.operand(ALL, low=2)
    operands = [x]
    if g.flag():
        operands.append(g.constant(np.array(g.integer(-3, 3), np.int64)))
    return g.node(op, operands, upper=int(g.flag()))


@operator("Pad")
def pad(g: Graph, op: str):
    x = g.operand((*NUMBERS, "bool"), low=1)
    mode = g.choice(("constant", "constant", "edge", "reflect"))
    if mode != "constant" and 0 in x.shape:
        raise Discarded  # there is nothing to repeat
    # Reflected numbers are there once: no more than that, by the specification.
    most = [min(size - 1, 2) if mode == "reflect" else 2 for size in x.shape]
    least = -1 if mode == "constant" and 0 not in x.shape else 0
    pads = [g.integer(least, size) for size in most * 2]
    operands = [x, g.integers(pads)]
    if mode == "constant" and x.dtype != "bool" and g.flag():
        operands.append(g.constant(np.array(3, x.dtype)))
    return g.node(op, operands, mode=mode)


@operator("OneHot")
def one_hot(g: Graph, op: str):
    depth = g.integer(1, 5)
    at = g.new(g.choice(WIDE), g.shape(1, 3), low=-depth - 1, high=depth)
    values = g.constant(np.array([-1, 2], g.choice(("float32", "int64"))))
    axis = g.axis(at.rank + 1)
    return g.node(op, [at, g.constant(np.array(depth, np.int64)), values], axis=axis)


@operator("DepthToSpace", "SpaceToDepth")
def blocks(g: Graph, op: str):
    size = g.integer(1, 2)
    shape = [g.size() for _ in range(4)]
    for axis in (1,) if op == "DepthToSpace" else (2, 3):
        shape[axis] *= size * size if op == "DepthToSpace" else size
    attributes = {"mode": g.choice(("DCR", "CRD"))} if op == "DepthToSpace" else {}
    return g.node(op, [g.new("float32", tuple(shape))], blocksize=size, **attributes)


@operator("EyeLike")
def eye(g: Graph, op: str):
    x = g.operand(NUMBERS, low=2, high=2)
    return g.node(op, [x], k=g.integer(-3, 3))
