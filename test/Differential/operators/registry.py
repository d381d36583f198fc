"""The table of operators that can be drawn: name, first opset, drawer.

A drawer takes a graph, draws, and adds nodes. Operators that jump where a number crosses a border
(`exact=True` operands) see only numbers that rounding has not touched.
"""

from __future__ import annotations

from collections.abc import Callable

from random_graph import FLOATS, HALF, INTEGERS, RARE, TYPES, Graph

Drawer = Callable[[Graph], object]

#: operator -> (first opset, drawer)
OPERATORS: dict[str, tuple[int, Drawer]] = {}

WIDE = ("int64", "int32")
NUMBERS = (*FLOATS, *WIDE)
#: Of arithmetic: what the judge has no kernel for, it computes in float32, or the node is left out.
ARITHMETIC = (*NUMBERS, *HALF)
#: Of operators that only move numbers.
ALL = (*TYPES, *HALF, *RARE)

__all__ = ["ALL", "ARITHMETIC", "FLOATS", "HALF", "INTEGERS", "NUMBERS", "TYPES", "WIDE"]


def operator(*names: str, since: int = 14):
    def register(drawer):
        for name in names:
            OPERATORS[name] = (since, lambda g, name=name: drawer(g, name))
        return drawer

    return register
