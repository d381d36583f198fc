"""How the next token is chosen.

    temperature 0    the largest logit; the lowest id among equals
    otherwise        p = softmax(logits / temperature), then in this order
                     top_k   only the k most probable stay (0: all)
                     top_p   only the most probable stay, as few as reach the sum top_p (1: all)
                     one of those left is drawn, in proportion to p, by a NumPy generator of `seed`

Among equal probabilities the lower id counts as the more probable.
"""

from __future__ import annotations

import math

import numpy as np

from qtale.errors import Error


class Sampler:
    """`Sampler(temperature, top_k, top_p, seed)(logits)` -> id."""

    def __init__(
        self, temperature: float = 0, top_k: int = 0, top_p: float = 1.0, seed: int | None = None
    ):
        if not 0 <= temperature < math.inf:
            raise Error("INVALID_ARGUMENT", f"temperature must be >= 0, but is {temperature}")
        if top_k < 0:
            raise Error("INVALID_ARGUMENT", f"top_k must be >= 0, but is {top_k}")
        if not 0 < top_p <= 1:
            raise Error("INVALID_ARGUMENT", f"top_p must be in (0, 1], but is {top_p}")
        if seed is not None and seed < 0:
            raise Error("INVALID_ARGUMENT", f"seed must be >= 0, but is {seed}")
        self.temperature = temperature
        self.top_k = top_k
        self.top_p = top_p
        self.generator = np.random.default_rng(seed)

    def __call__(self, logits: np.ndarray) -> int:
        """logits [vocab]."""
        if self.temperature == 0:
            return int(np.argmax(logits))
        x = logits.astype(np.float64) / self.temperature
        p = np.exp(x - x.max())
        order = np.argsort(-p, kind="stable")
        if self.top_k:
            order = order[: self.top_k]
        p = p[order] / p[order].sum()
        if self.top_p < 1:
            count = int(np.searchsorted(np.cumsum(p), self.top_p)) + 1
            order, p = order[:count], p[:count]
        return int(self.generator.choice(order, p=p / p.sum()))
