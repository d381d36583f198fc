"""What a routed model may skip, as its artifact tells.

             layer 0      layer 1       layer 2
units = 1    [runs]       p ≥ t? [ ]    p ≥ t? [ ]        arrays [layers]
units = 2    [runs] ×2    p ≥ t? attention, p ≥ t? FFN    arrays [layers, 2]
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from qtale import capi
from qtale.errors import Error


@dataclass(frozen=True)
class Routing:
    """A unit is what a router decides about: a layer's block, or its attention and its FFN."""

    layers: int
    #: Of a layer.
    units: int
    #: bool [layers] or [layers, 2]: where there is a router.
    routed: np.ndarray
    #: Tokens at positions below it run everything.
    always_execute: int
    #: float32 [layers] or [layers, 2]: a new session's.
    thresholds: np.ndarray
    #: The lowest and highest ratio that a session takes; None before `qtale calibrate`.
    ratios: tuple[float, float] | None

    @staticmethod
    def read(struct: capi.Routing) -> Routing:
        """Copies what C says."""
        layers, units = struct.layers, struct.units
        shape = (layers,) if units == 1 else (layers, units)
        routed = np.array(struct.routed[: layers * units], bool).reshape(shape)
        thresholds = np.array(struct.thresholds[: layers * units], np.float32).reshape(shape)
        ratios = (struct.lowest_ratio, struct.highest_ratio) if struct.highest_ratio else None
        return Routing(layers, units, routed, struct.always_execute, thresholds, ratios)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of an array with a value for each unit."""
        return self.routed.shape

    def as_thresholds(self, value: float | Sequence | np.ndarray) -> np.ndarray:
        """Contiguous float32 of one value, [layers], or [layers, 2]."""
        try:
            array = np.asarray(value, np.float32)
        except (TypeError, ValueError) as error:
            raise Error(
                "INVALID_ARGUMENT", f"threshold must be numbers, but is {value!r}"
            ) from error
        if array.shape not in ((), (self.layers,), self.shape):
            shapes = " or ".join(str(list(s)) for s in dict.fromkeys([(self.layers,), self.shape]))
            raise Error(
                "INVALID_ARGUMENT",
                f"threshold must be one number or have the shape {shapes}, but has "
                f"{list(array.shape)}",
            )
        return np.ascontiguousarray(array)

    def pairs(self, values: np.ndarray) -> np.ndarray:
        """[routed units, tokens - always_execute]: what routers decided about.

        values: [layers, tokens] or [layers, 2, tokens], of one text from position 0 on.
        """
        return values[self.routed][:, self.always_execute :]

    def ratio(self, *kept: np.ndarray) -> float:
        """The share that ran, of all texts' pairs; 1 where there is none. kept: as pairs takes."""
        pairs = [self.pairs(text).ravel() for text in kept]
        ran = np.concatenate(pairs) if pairs else np.empty(0)
        return float(ran.mean()) if ran.size else 1.0
