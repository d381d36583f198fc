"""How the next token is chosen; `qtale generate` does the same, with the same seeds.

    temperature 0    the largest logit
    otherwise        p = softmax(logits / temperature), then in this order
                     top_k   only the k most probable stay (0: all)
                     top_p   only the most probable stay, as few as reach the sum top_p (1: all)
                     one of those left is drawn, in proportion to p

Among equal logits the lower id counts as the more probable. NaN is never taken. The draw walks the
candidates, by id where all stay and otherwise from the most probable on, until their sum exceeds a
uniform number of 53 bits from SplitMix64 (Steele, Lea, Flood 2014).
"""

from __future__ import annotations

import math
import secrets

import numpy as np

from qtale.errors import Error

_MASK = (1 << 64) - 1


class Sampler:
    """`Sampler(temperature, top_k, top_p, seed)(logits)` -> id. Without a seed: a random one."""

    def __init__(
        self, temperature: float = 0, top_k: int = 0, top_p: float = 1.0, seed: int | None = None
    ):
        if not 0 <= temperature < math.inf:
            raise Error("INVALID_ARGUMENT", f"temperature must be >= 0, but is {temperature}")
        if top_k < 0:
            raise Error("INVALID_ARGUMENT", f"top_k must be >= 0, but is {top_k}")
        if not 0 < top_p <= 1:
            raise Error("INVALID_ARGUMENT", f"top_p must be in (0, 1], but is {top_p}")
        if seed is not None and not 0 <= seed <= _MASK:
            raise Error("INVALID_ARGUMENT", f"seed must be in 0 .. 2^64 - 1, but is {seed}")
        self.temperature = temperature
        self.top_k = top_k
        self.top_p = top_p
        self._state = secrets.randbits(64) if seed is None else seed

    def _uniform(self) -> float:
        """In [0, 1)."""
        self._state = (self._state + 0x9E3779B97F4A7C15) & _MASK
        mixed = self._state
        mixed = ((mixed ^ mixed >> 30) * 0xBF58476D1CE4E5B9) & _MASK
        mixed = ((mixed ^ mixed >> 27) * 0x94D049BB133111EB) & _MASK
        return ((mixed ^ mixed >> 31) >> 11) * 2.0**-53

    def __call__(self, logits: np.ndarray) -> int:
        """logits [vocab]."""
        x = np.where(np.isnan(logits), -np.inf, logits).astype(np.float64)
        best = int(np.argmax(x))
        if x[best] == -np.inf:
            raise Error(
                "CORRUPT",
                "the model's logits are not numbers; its weights may be damaged (see verify)",
            )
        if self.temperature == 0 or x[best] == np.inf:
            return best
        ids = np.flatnonzero(x > -np.inf)
        if self.top_k or self.top_p < 1:
            ids = ids[np.argsort(-x[ids], kind="stable")]
        if self.top_k:
            ids = ids[: self.top_k]
        sums = np.cumsum(np.exp((x[ids] - x[best]) / self.temperature))
        if self.top_p < 1:
            sums = sums[: int(np.searchsorted(sums, self.top_p * sums[-1])) + 1]
        chosen = int(np.searchsorted(sums, self._uniform() * sums[-1], side="right"))
        return int(ids[min(chosen, len(sums) - 1)])
