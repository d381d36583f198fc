"""How each operator is drawn: its operands, its attributes, from which opset on."""

from operators import elementwise, models, moves, products, reductions, shapes, specials
from operators.registry import OPERATORS

__all__ = [
    "OPERATORS",
    "elementwise",
    "models",
    "moves",
    "products",
    "reductions",
    "shapes",
    "specials",
]
