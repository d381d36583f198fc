"""The oracle: dense models of the Llama family in NumPy float64, written for reading.

For a text of T tokens, D = hidden_size, d = head_dim, x = embedding[tokens] of shape [T, D]:

    norm(x)     = x / sqrt(mean(x^2) + eps) * weight
    rotary(x)_t = pairs (a, b) of a head turn by the angle t f_i:
                  (a cos - b sin, b cos + a sin); pairs are neighbours (interleaved) or halves
    attention   = softmax(q k^T / sqrt(d) + causal) v, query heads sharing key heads in order
    layer(x)    : x <- x + Wo attention(rotary(Wq h), rotary(Wk h), Wv h)    h = norm(x)
                  x <- x + Wdown (silu(Wgate h) * (Wup h))                   h = norm(x)
    logits      = Whead norm(x)

With `weights="int4"` or `"int8"` every matrix, the embedding and the head too, is quantized as
`qtale.quantization` defines; with `activations="int8"` the matrices multiply quantized rows (the
embedding is a lookup and has none). `kv="f16"` rounds keys (after rotation) and values, this step's
own too, as they are read back from the cache; `"int8"` gives each row and head a scale,
absmax / 127.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np

from qtale.checkpoint import Checkpoint, open_checkpoint
from qtale.quantization import Quantized, quantize

_BITS = {"int4": 4, "int8": 8}
_CACHE_TYPES = {"f32": np.float32, "f16": np.float16}


@dataclass(frozen=True)
class Scheme:
    """How the compiler was asked to store and multiply; defaults compute exactly."""

    weights: str = "keep"
    group: int = 32
    asymmetric: bool = False
    activations: str = "float"
    kv: str = "f64"

    def __post_init__(self) -> None:
        for name, value, allowed in (
            ("weights", self.weights, ("keep", *_BITS)),
            ("activations", self.activations, ("float", "int8")),
            ("kv", self.kv, ("f64", *_CACHE_TYPES, "int8")),
        ):
            if value not in allowed:
                raise ValueError(f"{name} must be one of {', '.join(allowed)}, but is {value}")
        if self.activations == "int8" and self.weights not in _BITS:
            raise ValueError("int8 activations need int4 or int8 weights")


class Reference:
    """`Reference("folder").logits([1, 2, 3])` -> float64 [3, vocab]."""

    def __init__(self, checkpoint: str | Path | Checkpoint, scheme: Scheme | None = None):
        if not isinstance(checkpoint, Checkpoint):
            checkpoint = open_checkpoint(checkpoint)
        self.checkpoint = checkpoint
        self.config = self.checkpoint.config
        self.scheme = scheme or Scheme()
        # Small models are what it is for: each weight is read once and kept.
        self._vector = lru_cache(maxsize=None)(self._read_vector)
        self._matrix = lru_cache(maxsize=None)(self._read_matrix)

    # -- Weights -------------------------------------------------------------

    def _read_vector(self, name: str) -> np.ndarray:
        return self.checkpoint[name].read().astype(np.float64)

    def _read_matrix(self, name: str) -> np.ndarray | Quantized:
        """[N, K]; integers where the activations are integers too."""
        w = self.checkpoint[name].read()
        if self.scheme.weights == "keep":
            return w.astype(np.float64)
        bits = _BITS[self.scheme.weights]
        quantized = quantize(w, bits, self.scheme.group, self.scheme.asymmetric)
        return quantized if self.scheme.activations == "int8" else quantized.dequantize()

    @cached_property
    def _embedding(self) -> np.ndarray:
        table = self._matrix("model.embed_tokens.weight")
        return table.dequantize() if isinstance(table, Quantized) else table

    def linear(self, x: np.ndarray, name: str) -> np.ndarray:
        """x [T, K] -> W x + b [T, N]."""
        w = self._matrix(f"{name}.weight")
        y = w.matmul(x) if isinstance(w, Quantized) else x @ w.T
        bias = f"{name}.bias"
        return y + self._vector(bias) if bias in self.checkpoint else y

    # -- The equations -------------------------------------------------------

    def norm(self, x: np.ndarray, name: str) -> np.ndarray:
        mean_square = np.mean(x * x, axis=-1, keepdims=True)
        return x / np.sqrt(mean_square + self.config.norm_eps) * self._vector(name)

    def rotary(self, x: np.ndarray) -> np.ndarray:
        """x [T, heads, d], row t at position t."""
        d = self.config.head_dim
        angles = np.outer(np.arange(len(x)), self.config.rotary.frequencies(d))
        cos, sin = np.cos(angles)[:, None], np.sin(angles)[:, None]
        if self.config.rotary.interleaved:
            first, second = slice(0, d, 2), slice(1, d, 2)
        else:
            first, second = slice(0, d // 2), slice(d // 2, d)
        a, b = x[..., first], x[..., second]
        y = np.empty_like(x)
        y[..., first], y[..., second] = a * cos - b * sin, b * cos + a * sin
        return y

    def cached(self, x: np.ndarray) -> np.ndarray:
        """As it is read back from the cache."""
        if self.scheme.kv == "int8":
            scale = (np.abs(x).max(axis=-1, keepdims=True) / 127).astype(np.float32)
            scale[scale == 0] = 1
            return np.clip(np.rint(x / scale), -127, 127) * scale.astype(np.float64)
        kind = _CACHE_TYPES.get(self.scheme.kv)
        return x if kind is None else x.astype(kind).astype(np.float64)

    def attention(self, h: np.ndarray, name: str) -> np.ndarray:
        config, rows = self.config, len(h)
        q, k, v = (
            self.linear(h, f"{name}.{part}_proj").reshape(rows, -1, config.head_dim)
            for part in "qkv"
        )
        q, k, v = self.rotary(q), self.cached(self.rotary(k)), self.cached(v)
        share = config.num_heads // config.num_kv_heads
        k, v = np.repeat(k, share, axis=1), np.repeat(v, share, axis=1)
        scores = np.einsum("qhd,khd->hqk", q, k) / math.sqrt(config.head_dim)
        scores[:, np.triu(np.ones((rows, rows), bool), 1)] = -np.inf
        y = np.einsum("hqk,khd->qhd", softmax(scores), v).reshape(rows, -1)
        return self.linear(y, f"{name}.o_proj")

    def mlp(self, h: np.ndarray, name: str) -> np.ndarray:
        gate = self.linear(h, f"{name}.gate_proj")
        hidden = gate / (1 + np.exp(-gate)) * self.linear(h, f"{name}.up_proj")
        return self.linear(hidden, f"{name}.down_proj")

    def logits(self, tokens: list[int] | np.ndarray) -> np.ndarray:
        """float64 [len(tokens), vocab], of one text from position 0 on."""
        x = self._embedding[np.asarray(tokens)]
        for layer in range(self.config.num_layers):
            p = f"model.layers.{layer}"
            x = x + self.attention(self.norm(x, f"{p}.input_layernorm.weight"), f"{p}.self_attn")
            x = x + self.mlp(self.norm(x, f"{p}.post_attention_layernorm.weight"), f"{p}.mlp")
        x = self.norm(x, "model.norm.weight")
        return self.linear(x, "model.embed_tokens" if self.config.tied else "lm_head")


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
