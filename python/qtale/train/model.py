"""Routed Llama models in PyTorch, differentiable: every layer is computed for every token, then
chosen.

    x ─┬─▶ router ─▶ z ─▶ gate(layer, z) ─▶ g            p = sigmoid(z)
       ├─▶ f = layer(x), which sees the keys of tokens with g = 1, and itself
       └─▶ x + g (f - x)                                 g is 0 or 1, its gradient soft

What a gate is, the caller says: trained, random, or all ones. Weights keep the checkpoint's names
and shapes, so that writing one is reading one backwards.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from qtale.checkpoint import Checkpoint
from qtale.checkpoint.routing import RoutingConfig

#: gate(layer, z [B, S]) -> [B, S], 0 or 1 forward; positions that always run are set to 1 after it.
Gate = Callable[[int, Tensor], Tensor]


class Cache:
    """Keys and values of the positions so far, of one layer of a dense model."""

    def __init__(self, batch: int, heads: int, length: int, head_dim: int):
        self.k = torch.empty(batch, heads, length, head_dim)
        self.v = torch.empty(batch, heads, length, head_dim)

    def append(self, position: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        end = position + k.shape[2]
        self.k[:, :, position:end], self.v[:, :, position:end] = k, v
        return self.k[:, :, :end], self.v[:, :, :end]


class Llama:
    """`Llama(checkpoint).logits(tokens)` -> [B, S, vocab]."""

    def __init__(self, checkpoint: Checkpoint):
        self.config = checkpoint.config
        self.weights = {
            name: torch.from_numpy(checkpoint[name].read().copy()) for name in checkpoint.tensors
        }
        self.routing: RoutingConfig | None = None
        angles = torch.outer(
            torch.arange(self.config.context, dtype=torch.float64),
            torch.from_numpy(self.config.rotary.frequencies(self.config.head_dim)),
        )
        self._cos, self._sin = angles.cos().float(), angles.sin().float()

    def add_routers(self, routing: RoutingConfig, generator: torch.Generator) -> None:
        """Untrained ones of kind mlp2: p lies around 0.6, on both sides of 0.5."""
        self.routing = routing
        d, r = self.config.hidden_size, routing.router_hidden_size
        for layer in range(routing.first_routed_layer, self.config.num_layers):
            name = f"model.layers.{layer}.router."
            self.weights |= {
                f"{name}fc1.weight": torch.randn(r, d, generator=generator) / math.sqrt(d),
                f"{name}fc1.bias": torch.zeros(r),
                f"{name}norm.weight": torch.ones(r),
                f"{name}fc2.weight": torch.randn(2, r, generator=generator) / math.sqrt(r),
                f"{name}fc2.bias": torch.tensor([-0.25, 0.25]),
            }

    # -- The equations (qtale.reference has them in NumPy) --------------------

    def linear(self, x: Tensor, name: str) -> Tensor:
        return F.linear(x, self.weights[f"{name}.weight"], self.weights.get(f"{name}.bias"))

    def norm(self, x: Tensor, name: str) -> Tensor:
        return F.rms_norm(x, x.shape[-1:], self.weights[f"{name}.weight"], self.config.norm_eps)

    def rotary(self, x: Tensor, position: int) -> Tensor:
        """x [B, heads, S, d]; the first row stands at `position`."""
        cos, sin = (t[position : position + x.shape[2]] for t in (self._cos, self._sin))
        if self.config.rotary.interleaved:
            a, b = x[..., 0::2], x[..., 1::2]
            return torch.stack((a * cos - b * sin, b * cos + a * sin), -1).flatten(-2)
        a, b = x.chunk(2, -1)
        return torch.cat((a * cos - b * sin, b * cos + a * sin), -1)

    def layer(
        self,
        layer: int,
        x: Tensor,
        visible: Tensor | None,
        position: int = 0,
        cache: Cache | None = None,
    ) -> Tensor:
        """x [B, S, D]; visible bool [B or 1, 1, S, keys] (None: all)."""
        p, config = f"model.layers.{layer}", self.config
        batch, rows, _ = x.shape
        h = self.norm(x, f"{p}.input_layernorm")
        q, k, v = (
            self.linear(h, f"{p}.self_attn.{part}_proj")
            .view(batch, rows, -1, config.head_dim)
            .transpose(1, 2)
            for part in "qkv"
        )
        q, k = self.rotary(q, position), self.rotary(k, position)
        if cache is not None:
            k, v = cache.append(position, k, v)
        y = F.scaled_dot_product_attention(q, k, v, visible, enable_gqa=True)
        y = y.transpose(1, 2).reshape(batch, rows, -1)
        x = x + self.linear(y, f"{p}.self_attn.o_proj")
        h = self.norm(x, f"{p}.post_attention_layernorm")
        hidden = F.silu(self.linear(h, f"{p}.mlp.gate_proj")) * self.linear(h, f"{p}.mlp.up_proj")
        return x + self.linear(hidden, f"{p}.mlp.down_proj")

    def router(self, layer: int, x: Tensor) -> Tensor:
        """x [B, S, D] -> z [B, S]."""
        assert self.routing is not None
        p = f"model.layers.{layer}.router"
        h = self.linear(x, f"{p}.fc1")
        h = F.rms_norm(
            h, h.shape[-1:], self.weights[f"{p}.norm.weight"], self.routing.router_norm_eps
        )
        skip, run = self.linear(F.silu(h), f"{p}.fc2").unbind(-1)
        return run - skip

    def embed(self, tokens: Tensor) -> Tensor:
        return F.embedding(tokens, self.weights["model.embed_tokens.weight"])

    def head(self, x: Tensor) -> Tensor:
        x = self.norm(x, "model.norm")
        return self.linear(x, "model.embed_tokens" if self.config.tied else "lm_head")

    def logits(self, tokens: Tensor, gate: Gate | None = None) -> Tensor:
        """tokens int64 [B, S] from position 0 on. Without a gate: every layer runs."""
        x = self.embed(tokens)
        rows = tokens.shape[1]
        causal = torch.ones(rows, rows, dtype=torch.bool).tril()[None, None]
        itself = torch.eye(rows, dtype=torch.bool)
        for layer in range(self.config.num_layers):
            if gate is None or self.routing is None or not self.routing.routes(layer):
                x = self.layer(layer, x, causal)
                continue
            g = gate(layer, self.router(layer, x))
            always = self.routing.always_execute_tokens
            g = torch.cat((torch.ones_like(g[:, :always]), g[:, always:]), 1)
            # A skipped token leaves no key; whoever runs sees itself at least.
            kept = g.detach() > 0.5
            x = x + g[..., None] * (self.layer(layer, x, causal & kept[:, None, None] | itself) - x)
        return self.head(x)
