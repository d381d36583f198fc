"""The oracle: models of the Llama family in NumPy float64, written for reading.

For a text of T tokens, D = hidden_size, d = head_dim, x = embedding[tokens] of shape [T, D]:

    norm(x)     = x / sqrt(mean(x^2) + eps) * weight
    rotary(x)_t = pairs (a, b) of a head turn by the angle t f_i:
                  (a cos - b sin, b cos + a sin); pairs are neighbours (interleaved) or halves
    attention   = softmax(q k^T / sqrt(d) + causal) v, query heads sharing key heads in order
    layer(x)    : x <- x + Wo attention(rotary(Wq h), rotary(Wk h), Wv h)    h = norm(x)
                  x <- x + Wdown (silu(Wgate h) * (Wup h))                   h = norm(x)
    logits      = Whead norm(x)

Routed models compute f, a layer or each of its halves, for the tokens that the router keeps, and
for no other:

    p           = router(x); keep as in reference_decisions.py
    kept        x <- f(x), with scale_kept x + p (f(x) - x)
    skipped     x <- x, with an adapter x + (1 - p) adapter(x)
    cache       evict: entries of kept tokens; compute: of all; copy: skipped tokens have the layer
                below's. A token attends to entries at its position and before.

How weights and caches are rounded, if at all: reference_weights.py.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from qtale.checkpoint import Checkpoint, open_checkpoint
from qtale.reference_decisions import Decisions
from qtale.reference_weights import Scheme, Weights

__all__ = ["Reference", "Run", "Scheme", "negative_log_likelihood", "softmax"]


@dataclass(frozen=True)
class Run:
    """What a text gives."""

    #: float64 [tokens, vocab]
    logits: np.ndarray
    #: bool and float64 [layers, tokens], or [layers, 2, tokens] where halves are routed
    kept: np.ndarray
    probability: np.ndarray
    #: Of each layer, the positions of its cache's entries.
    stored: list[np.ndarray]


@dataclass(frozen=True)
class _Entries:
    """A layer's cache: positions [E]; keys and values [E, kv heads, d]."""

    positions: np.ndarray
    keys: np.ndarray
    values: np.ndarray


#: f(x [T, D], rows [R]) -> what becomes of these rows, [R, D]
_Unit = Callable[[np.ndarray, np.ndarray], np.ndarray]


class Reference:
    """`Reference("folder").logits([1, 2, 3])` -> float64 [3, vocab]."""

    def __init__(self, checkpoint: str | Path | Checkpoint, scheme: Scheme | None = None):
        if not isinstance(checkpoint, Checkpoint):
            checkpoint = open_checkpoint(checkpoint)
        self.checkpoint = checkpoint
        self.config = checkpoint.config
        self.scheme = scheme or Scheme()
        self.weights = Weights(checkpoint, self.scheme)
        self.linear = self.weights.linear

    # -- The equations -------------------------------------------------------

    def norm(self, x: np.ndarray, name: str, eps: float | None = None) -> np.ndarray:
        mean_square = np.mean(x * x, axis=-1, keepdims=True)
        eps = self.config.norm_eps if eps is None else eps
        return x / np.sqrt(mean_square + eps) * self.weights.stored(f"{name}.weight")

    def rotary(self, x: np.ndarray, positions: np.ndarray) -> np.ndarray:
        """x [T, heads, d], its rows at positions [T]."""
        d = self.config.head_dim
        angles = np.outer(positions, self.config.rotary.frequencies(d))
        cos, sin = np.cos(angles)[:, None], np.sin(angles)[:, None]
        if self.config.rotary.interleaved:
            first, second = slice(0, d, 2), slice(1, d, 2)
        else:
            first, second = slice(0, d // 2), slice(d // 2, d)
        a, b = x[..., first], x[..., second]
        y = np.empty_like(x)
        y[..., first], y[..., second] = a * cos - b * sin, b * cos + a * sin
        return y

    def heads(self, h: np.ndarray, layer: int, part: str) -> np.ndarray:
        """Queries, keys or values of normalized rows: [T, heads, d]."""
        y = self.linear(h, f"model.layers.{layer}.self_attn.{part}_proj")
        return y.reshape(len(h), y.shape[1] // self.config.head_dim, self.config.head_dim)

    def entries(
        self, x: np.ndarray, layer: int, rows: np.ndarray, caches: list[_Entries]
    ) -> _Entries:
        """The cache of a layer that x [T, D] enters and that runs for `rows`, above `caches`."""
        routing = self.config.routing
        policy = routing.kv_policy if routing and routing.routes(layer) else "evict"
        own = np.arange(len(x)) if policy == "compute" else rows
        h = self.norm(x[own], f"model.layers.{layer}.input_layernorm")
        k = self.scheme.cached(self.rotary(self.heads(h, layer, "k"), own))
        v = self.scheme.cached(self.heads(h, layer, "v"))
        if policy == "copy":
            keys, values = caches[layer - 1].keys.copy(), caches[layer - 1].values.copy()
            keys[own], values[own] = k, v
            return _Entries(np.arange(len(x)), keys, values)
        return _Entries(own, k, v)

    def attention(
        self, x: np.ndarray, layer: int, rows: np.ndarray, entries: _Entries
    ) -> np.ndarray:
        """What the rows [R] of x [T, D] get: [R, D]."""
        if not len(rows):
            return x[rows]
        config = self.config
        h = self.norm(x[rows], f"model.layers.{layer}.input_layernorm")
        q = self.rotary(self.heads(h, layer, "q"), rows)
        share = config.num_heads // config.num_kv_heads
        k, v = (np.repeat(part, share, axis=1) for part in (entries.keys, entries.values))
        scores = np.einsum("qhd,khd->hqk", q, k) / math.sqrt(config.head_dim)
        scores[:, entries.positions > rows[:, None]] = -np.inf
        y = np.einsum("hqk,khd->qhd", softmax(scores), v).reshape(len(rows), -1)
        return self.linear(y, f"model.layers.{layer}.self_attn.o_proj")

    def swiglu(self, h: np.ndarray, name: str) -> np.ndarray:
        gate = self.linear(h, f"{name}.gate_proj")
        hidden = gate * sigmoid(gate) * self.linear(h, f"{name}.up_proj")
        return self.linear(hidden, f"{name}.down_proj")

    def ffn(self, x: np.ndarray, layer: int) -> np.ndarray:
        h = self.norm(x, f"model.layers.{layer}.post_attention_layernorm")
        return self.swiglu(h, f"model.layers.{layer}.mlp")

    # -- Routing -------------------------------------------------------------

    def probability(self, x: np.ndarray, name: str) -> np.ndarray:
        """The router `name`: x [T, D] -> p [T]."""
        routing, stored = self.config.routing, self.weights.stored
        assert routing is not None
        if routing.router == "linear":
            return sigmoid(x @ stored(f"{name}.fc.weight")[0] + stored(f"{name}.fc.bias")[0])
        if routing.router == "gate":
            h = self.norm(x, f"{name}.norm", routing.router_norm_eps)
            hidden = np.tanh(h @ self.weights.router_matrix(f"{name}.down").T)
            return sigmoid(hidden @ stored(f"{name}.up.weight")[0])
        h = x @ self.weights.router_matrix(f"{name}.fc1").T + stored(f"{name}.fc1.bias")
        h = self.norm(h, f"{name}.norm", routing.router_norm_eps)
        classes = (h * sigmoid(h)) @ stored(f"{name}.fc2.weight").T + stored(f"{name}.fc2.bias")
        return softmax(classes)[:, 1]

    def unit(
        self, x: np.ndarray, layer: int, unit: int, decisions: Decisions, f: _Unit
    ) -> np.ndarray:
        """x [T, D] -> [T, D]; f runs for the rows that its router keeps."""
        routing = self.config.routing
        if routing is None or not routing.routes(layer):
            return f(x, np.arange(len(x)))
        p = self.probability(x, f"model.layers.{layer}.{routing.routers[unit]}")
        keep = decisions.decide(layer, unit, p)
        y, p = f(x, np.flatnonzero(keep)), p[:, None]
        if routing.scale_kept:
            y = x[keep] + p[keep] * (y - x[keep])
        skipped = x[~keep]
        if routing.adapter_size:
            name = f"model.layers.{layer}.adapter"
            h = self.norm(skipped, f"{name}.norm")
            skipped = skipped + (1 - p[~keep]) * self.swiglu(h, name)
        result = np.empty_like(x)
        result[keep], result[~keep] = y, skipped
        return result

    def layer(
        self, x: np.ndarray, layer: int, decisions: Decisions, caches: list[_Entries]
    ) -> np.ndarray:
        """x [T, D] -> [T, D]; appends the layer's cache to those below."""

        def attention(x: np.ndarray, rows: np.ndarray) -> np.ndarray:
            caches.append(self.entries(x, layer, rows, caches))
            return x[rows] + self.attention(x, layer, rows, caches[layer])

        def ffn(x: np.ndarray, rows: np.ndarray) -> np.ndarray:
            return x[rows] + self.ffn(x[rows], layer)

        def block(x: np.ndarray, rows: np.ndarray) -> np.ndarray:
            y = attention(x, rows)
            return y + self.ffn(y, layer)

        for unit, f in enumerate([block] if decisions.units == 1 else [attention, ffn]):
            x = self.unit(x, layer, unit, decisions, f)
        return x

    # -- The model -----------------------------------------------------------

    def run(
        self,
        tokens: list[int] | np.ndarray,
        threshold: float | np.ndarray | None = None,
        budget: int | None = None,
    ) -> Run:
        """One text from position 0 on. threshold: for all units, [layers], or [layers, 2]."""
        decisions = Decisions(self.config, len(tokens), threshold, budget)
        x = self.weights.embedding()[np.asarray(tokens)]
        caches: list[_Entries] = []
        for layer in range(self.config.num_layers):
            x = self.layer(x, layer, decisions, caches)
        x = self.norm(x, "model.norm")
        logits = self.linear(x, "model.embed_tokens" if self.config.tied else "lm_head")
        # Whole layers have no axis of units.
        units = 0 if decisions.units == 1 else slice(None)
        return Run(
            logits,
            decisions.kept[:, units],
            decisions.probability[:, units],
            [entries.positions for entries in caches],
        )

    def logits(self, tokens: list[int] | np.ndarray) -> np.ndarray:
        """float64 [len(tokens), vocab]; a routed model at its own threshold."""
        return self.run(tokens).logits


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def softmax(x: np.ndarray) -> np.ndarray:
    """Over the last axis."""
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def negative_log_likelihood(logits: np.ndarray, tokens: list[int] | np.ndarray) -> np.ndarray:
    """Nats of every token but the first; logits[i] [vocab] predicts tokens[i + 1]."""
    x = np.asarray(logits, np.float64)[: len(tokens) - 1]
    top = x.max(axis=-1, keepdims=True)
    log_sum = np.log(np.exp(x - top).sum(axis=-1)) + top[:, 0]
    return log_sum - x[np.arange(len(x)), np.asarray(tokens)[1:]]
