"""Which units run for which tokens, from the routers' probabilities.

    keep = position < always_execute_tokens  or  (p >= threshold and the token has budget left)

    budget 2, threshold .5      unit   0    1    2    3
                                p     .9   .2   .6   .8
                                keep   x    .    x    .      the third would be one too many

A token's budget counts its routed units, from the first layer on. Tokens that always run have no
need of it. Units without a router report p = 1, and are always kept.
"""

from __future__ import annotations

import numpy as np

from qtale.checkpoint import LlamaConfig


class Decisions:
    """What is decided about one text, unit after unit."""

    def __init__(
        self,
        config: LlamaConfig,
        tokens: int,
        threshold: float | np.ndarray | None = None,
        budget: int | None = None,
    ):
        """threshold: for all units, [layers], or [layers, units]; None: the model's own."""
        self.routing = config.routing
        self.units = self.routing.units if self.routing else 1
        shape = (config.num_layers, self.units)
        #: [layers, units, tokens]
        self.kept = np.ones((*shape, tokens), bool)
        self.probability = np.ones((*shape, tokens))
        self._thresholds = self._every_unit(threshold, shape)
        if budget is not None and budget < 0:
            raise ValueError(f"the budget must be at least 0, but is {budget}")
        self._left = np.full(tokens, np.inf if budget is None else budget)

    def _every_unit(self, threshold: float | np.ndarray | None, shape: tuple) -> np.ndarray:
        if threshold is None:
            threshold = self.routing.threshold if self.routing else 0.0
        values = np.asarray(threshold, np.float64)
        if values.shape == shape[:1]:
            values = values[:, None]
        elif values.shape not in ((), shape):
            raise ValueError(
                f"thresholds must be one number, {list(shape[:1])} or {list(shape)} of them, but "
                f"have the shape {list(values.shape)}"
            )
        if not (values >= 0).all():
            raise ValueError("a threshold must be a number of at least 0")
        return np.broadcast_to(values, shape)

    def decide(self, layer: int, unit: int, probability: np.ndarray) -> np.ndarray:
        """probability [tokens] of a routed unit -> keep bool [tokens]."""
        assert self.routing is not None
        always = np.arange(len(probability)) < self.routing.always_execute_tokens
        willing = probability >= self._thresholds[layer, unit]
        keep = always | (willing & (self._left > 0))
        self._left -= keep & ~always
        self.probability[layer, unit], self.kept[layer, unit] = probability, keep
        return keep
