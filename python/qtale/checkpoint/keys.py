"""A JSON object's values as the types that they should have.

Keys({"heads": 6}, path).integer("heads")      -> 6
Keys({"heads": "6"}, path).integer("heads")    -> UserError: path: heads must be a positive integer
"""

from __future__ import annotations

import sys
from pathlib import Path

from qtale.errors import UserError


class Keys:
    """Values of the expected type, or a message that names the key; null counts as absent."""

    def __init__(self, raw: dict, path: Path, block: str = ""):
        """block: what stands before a key's name in messages, where the object is a part."""
        self.raw = raw
        self.path = path
        self.block = block

    def refuse(self, key: str, problem: str) -> UserError:
        """The error to raise about a key."""
        return UserError(f"{self.path}: {self.block}{key} {problem}")

    def _value(self, key: str, default):
        value = self.raw.get(key)
        value = default if value is None else value
        if value is None:
            raise UserError(f"{self.path}: the key {self.block}{key} is missing")
        return value

    def integer(self, key: str, default: int | None = None, least: int = 1) -> int:
        value = self._value(key, default)
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value < 1 << 31:
            wanted = "a positive integer" if least == 1 else f"an integer of at least {least}"
            raise self.refuse(key, f"must be {wanted}, but is {value!r}")
        return value

    def number(self, key: str, default: float | None = None, zero: bool = False) -> float:
        """A positive number; 0 too where `zero` says so."""
        value = self._value(key, default)
        numeric = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not numeric or not 0 <= value <= sys.float_info.max or (value == 0 and not zero):
            wanted = "a number of at least 0" if zero else "a positive number"
            raise self.refuse(key, f"must be {wanted}, but is {value!r}")
        return float(value)

    def flag(self, key: str) -> bool:
        value = self._value(key, False)
        if not isinstance(value, bool):
            raise self.refuse(key, f"must be true or false, but is {value!r}")
        return value

    def choice(self, key: str, choices: tuple[str, ...], default: str | None = None) -> str:
        value = self._value(key, default)
        if value not in choices:
            raise self.refuse(key, f"must be one of {', '.join(choices)}, but is {value!r}")
        return value

    def only(self, key: str, wanted, default) -> None:
        value = self._value(key, default)
        if value != wanted:
            raise self.refuse(key, f"= {value!r} is not implemented, only {wanted!r} is")
