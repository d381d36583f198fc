"""Texts that a model itself writes: unlimited training data of just its kind.

    BOS ─▶ model ─▶ p ─▶ draw ─▶ model ─▶ …      temperature 1, a batch of texts at once

A text goes on past its end: BOS separates, as where such models were trained.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from qtale.errors import UserError
from qtale.train.model import Cache, Llama


@torch.no_grad()
def write_stories(
    model: Llama,
    count: int,
    seed: int,
    batch: int = 256,
    progress: Callable[[int, int], None] = lambda step, total: None,
) -> Tensor:
    """int64 [count, context], each row from BOS on; depends on count, seed and batch alone."""
    config = model.config
    if config.bos is None:
        raise UserError("the checkpoint names no bos_token_id, with which a text would begin")
    generator = torch.Generator().manual_seed(seed)
    texts = torch.full((count, config.context), config.bos)
    for begin in range(0, count, batch):
        rows = texts[begin : begin + batch]
        caches = [
            Cache(len(rows), config.num_kv_heads, config.context, config.head_dim)
            for _ in range(config.num_layers)
        ]
        for position in range(config.context - 1):
            x = model.embed(rows[:, position : position + 1])
            for layer, cache in enumerate(caches):
                x = model.layer(layer, x, None, position, cache)
            p = torch.softmax(model.head(x)[:, 0], -1)
            rows[:, position + 1] = torch.multinomial(p, 1, generator=generator)[:, 0]
            progress(len(rows), count * (config.context - 1))
    return texts
