"""Who runs: gates for `Llama.logits`.

z >= t decides; backward, the decision has the gradient of sigmoid(z - t): straight-through, centred
where the decision is made.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from qtale.checkpoint.routing import RoutingConfig


def straight_through(z: Tensor, bound: float | Tensor) -> Tensor:
    """1 where z >= bound, otherwise 0; with a soft gradient."""
    soft = torch.sigmoid(z - bound)
    hard = (z >= bound).to(z.dtype)
    return hard + soft - soft.detach()


class _Recording:
    """Keeps each layer's share of tokens that ran, positions that always run left out."""

    def __init__(self, routing: RoutingConfig):
        self.always = routing.always_execute_tokens
        self.shares: list[Tensor] = []

    def record(self, gate: Tensor) -> Tensor:
        self.shares.append(gate[:, self.always :].mean())
        return gate

    @property
    def ratio(self) -> float:
        return float(torch.stack(self.shares).mean().detach())


class Fixed(_Recording):
    """One threshold (of p) for all layers."""

    def __init__(self, routing: RoutingConfig, threshold: float = 0.5):
        super().__init__(routing)
        self.bound = math.log(threshold / (1 - threshold))

    def __call__(self, layer: int, z: Tensor) -> Tensor:
        return self.record(straight_through(z, self.bound))


class Share(_Recording):
    """In each layer the share `ratio` of the tokens with the largest z, as calibration sets it."""

    def __init__(self, routing: RoutingConfig, ratio: float):
        super().__init__(routing)
        self.wanted = ratio

    def __call__(self, layer: int, z: Tensor) -> Tensor:
        if self.wanted >= 1:
            return self.record(torch.ones_like(z))
        bound = torch.quantile(z.detach()[:, self.always :], 1 - self.wanted)
        return self.record(straight_through(z, bound))


class Random(_Recording):
    """The share `ratio` of the tokens, drawn: what routers must beat."""

    def __init__(self, routing: RoutingConfig, ratio: float, generator: torch.Generator):
        super().__init__(routing)
        self.wanted = ratio
        self.generator = generator

    def __call__(self, layer: int, z: Tensor) -> Tensor:
        return self.record(
            (torch.rand(z.shape, generator=self.generator) < self.wanted).to(z.dtype)
        )
