"""The reference's weights and cached rows: exact, or rounded as compiled code has them.

With `weights="int4"` or `"int8"` every matrix, the embedding and the head too, is quantized as
`qtale.quantization` defines; with `activations="int8"` the matrices multiply quantized rows (the
embedding is a lookup and has none). Routers stay float: their large matrices are then rounded to
f16, and everything else of them is as stored. `kv="f16"` rounds keys (after rotation) and values as
they are read back from the cache; `"int8"` gives each row and head a scale, absmax / 127.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from qtale.checkpoint import Checkpoint
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

    def cached(self, x: np.ndarray) -> np.ndarray:
        """Keys or values [..., d] as they are read back from the cache."""
        if self.kv == "int8":
            scale = (np.abs(x).max(axis=-1, keepdims=True) / 127).astype(np.float32)
            scale[scale == 0] = 1
            return np.clip(np.rint(x / scale), -127, 127) * scale.astype(np.float64)
        kind = _CACHE_TYPES.get(self.kv)
        return x if kind is None else x.astype(kind).astype(np.float64)


class Weights:
    """A checkpoint's tensors under a scheme, in float64."""

    def __init__(self, checkpoint: Checkpoint, scheme: Scheme):
        self.checkpoint = checkpoint
        self.scheme = scheme
        # Small models are what it is for: each weight is read once and kept.
        self.stored = lru_cache(maxsize=None)(self._stored)
        self._matrix = lru_cache(maxsize=None)(self._read_matrix)

    def _stored(self, name: str) -> np.ndarray:
        """As the checkpoint has it."""
        return self.checkpoint[name].read().astype(np.float64)

    def _read_matrix(self, name: str) -> np.ndarray | Quantized:
        """[N, K]; integers where the activations are integers too."""
        if self.scheme.weights == "keep":
            return self.stored(name)
        bits = _BITS[self.scheme.weights]
        w = self.checkpoint[name].read()
        quantized = quantize(w, bits, self.scheme.group, self.scheme.asymmetric)
        return quantized if self.scheme.activations == "int8" else quantized.dequantize()

    def embedding(self) -> np.ndarray:
        """[vocab, D]"""
        table = self._matrix("model.embed_tokens.weight")
        return table.dequantize() if isinstance(table, Quantized) else table

    def linear(self, x: np.ndarray, name: str) -> np.ndarray:
        """x [T, K] -> W x + b [T, N]."""
        w = self._matrix(f"{name}.weight")
        y = w.matmul(x) if isinstance(w, Quantized) else x @ w.T
        bias = f"{name}.bias"
        return y + self.stored(bias) if bias in self.checkpoint else y

    def router_matrix(self, name: str) -> np.ndarray:
        """[N, K] of a router's first product, the large one."""
        w = self.stored(f"{name}.weight")
        return w if self.scheme.weights == "keep" else w.astype(np.float16).astype(np.float64)
