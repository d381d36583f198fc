"""What a checkpoint is to the rest of the program: a configuration, and tensors that stay on disk.

    checkpoint.config                        -> LlamaConfig
    checkpoint["model.layers.0.mlp.up_proj.weight"]   -> StoredTensor (file, offset, dtype, shape)
        .rows(begin, end)                    -> ndarray, read from the file now

Tensors have Hugging Face's names and shapes ([out, in] for projections), whatever file they come
from. They are read with `pread`, not mapped: mapped pages count as the process's memory.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from qtale.checkpoint.routing import RoutingConfig
from qtale.errors import UserError

#: Bytes of a tensor that are held at once while it is copied.
TILE_BYTES = 16 << 20

#: The NumPy type that carries each storage type; bfloat16 travels as its bits.
NUMPY_TYPES = {"float32": np.float32, "float16": np.float16, "bfloat16": np.uint16}


def widen(values: np.ndarray) -> np.ndarray:
    """Stored values as float32; exact. uint16 are the bits of bfloat16."""
    if values.dtype == np.uint16:
        return (values.astype(np.uint32) << 16).view(np.float32)
    return values.astype(np.float32)


@dataclass(frozen=True)
class StoredTensor:
    """A dense row-major tensor inside a file."""

    file: Path
    offset: int
    dtype: str
    shape: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        return int(np.prod(self.shape)) * np.dtype(NUMPY_TYPES[self.dtype]).itemsize

    @property
    def row_bytes(self) -> int:
        return self.nbytes // self.shape[0]

    def rows(self, begin: int, end: int) -> np.ndarray:
        """[end - begin, ...] in the storage type."""
        size = (end - begin) * self.row_bytes
        buffer = bytearray(size)
        view = memoryview(buffer)
        with self.file.open("rb", buffering=0) as file:
            done = 0
            while done < size:
                got = os.preadv(
                    file.fileno(), [view[done:]], self.offset + begin * self.row_bytes + done
                )
                if got == 0:
                    raise UserError(f"{self.file}: ends within a tensor; is it fully downloaded?")
                done += got
        return np.frombuffer(buffer, NUMPY_TYPES[self.dtype]).reshape(end - begin, *self.shape[1:])

    def tiles(self) -> Iterator[tuple[int, np.ndarray]]:
        """Yields (first row, rows) pieces of at most TILE_BYTES (one row at least)."""
        step = max(1, TILE_BYTES // max(1, self.row_bytes))
        for begin in range(0, self.shape[0], step):
            yield begin, self.rows(begin, min(begin + step, self.shape[0]))

    def read(self) -> np.ndarray:
        """The whole tensor as float32."""
        return widen(self.rows(0, self.shape[0]))


@dataclass(frozen=True)
class Rotary:
    """Rotary positions: `frequencies` f32/f64 [head_dim / 2] in radians per token.

    interleaved: pairs are neighbours (2i, 2i + 1), as in llama2.c; otherwise halves (i, i + d/2).
    """

    theta: float = 10000.0
    interleaved: bool = False
    #: {} or Hugging Face's `rope_scaling` with `rope_type` "linear" or "llama3".
    scaling: dict = field(default_factory=dict)

    def frequencies(self, head_dim: int) -> np.ndarray:
        """float64 [head_dim / 2].

        f_i = theta^(-2i / head_dim).  "linear": f_i / factor.  "llama3": with the wavelength
        w = 2 pi / f_i and the original context C, f_i where w < C / high_freq_factor,
        f_i / factor where w > C / low_freq_factor, and between them a blend by
        s = (C / w - low_freq_factor) / (high_freq_factor - low_freq_factor):
        (1 - s) f_i / factor + s f_i.
        """
        f = float(self.theta) ** (-np.arange(0, head_dim, 2, dtype=np.float64) / head_dim)
        kind = self.scaling.get("rope_type")
        if kind == "linear":
            return f / float(self.scaling["factor"])
        if kind == "llama3":
            factor, low, high, context = (
                float(self.scaling[key])
                for key in (
                    "factor",
                    "low_freq_factor",
                    "high_freq_factor",
                    "original_max_position_embeddings",
                )
            )
            s = np.clip((context * f / (2 * np.pi) - low) / (high - low), 0.0, 1.0)
            return (1 - s) * f / factor + s * f
        return f


@dataclass(frozen=True)
class LlamaConfig:
    """The mathematics of a model of the Llama family."""

    hidden_size: int
    intermediate_size: int
    num_layers: int
    num_heads: int
    num_kv_heads: int
    head_dim: int
    vocab_size: int
    context: int
    norm_eps: float
    rotary: Rotary
    tied: bool
    qkv_bias: bool = False
    output_bias: bool = False
    mlp_bias: bool = False
    bos: int | None = None
    eos: tuple[int, ...] = ()
    #: None: every token goes through every layer.
    routing: RoutingConfig | None = None

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Every tensor that such a model has."""
        d, f = self.hidden_size, self.intermediate_size
        q, kv = self.num_heads * self.head_dim, self.num_kv_heads * self.head_dim
        shapes: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (self.vocab_size, d)}
        for layer in range(self.num_layers):
            p = f"model.layers.{layer}."
            shapes[p + "input_layernorm.weight"] = (d,)
            shapes[p + "post_attention_layernorm.weight"] = (d,)
            for name, out, inner, bias in (
                ("self_attn.q_proj", q, d, self.qkv_bias),
                ("self_attn.k_proj", kv, d, self.qkv_bias),
                ("self_attn.v_proj", kv, d, self.qkv_bias),
                ("self_attn.o_proj", d, q, self.output_bias),
                ("mlp.gate_proj", f, d, self.mlp_bias),
                ("mlp.up_proj", f, d, self.mlp_bias),
                ("mlp.down_proj", d, f, self.mlp_bias),
            ):
                shapes[p + name + ".weight"] = (out, inner)
                if bias:
                    shapes[p + name + ".bias"] = (out,)
            if self.routing:
                shapes |= self.routing.shapes(layer, d)
        shapes["model.norm.weight"] = (d,)
        if not self.tied:
            shapes["lm_head.weight"] = (self.vocab_size, d)
        return shapes


@dataclass(frozen=True)
class Checkpoint:
    """A configuration and its tensors."""

    path: Path
    config: LlamaConfig
    tensors: dict[str, StoredTensor]
    #: The tokenizer's file that belongs to it, or the reason why none is known.
    tokenizer: Path | str

    def __getitem__(self, name: str) -> StoredTensor:
        return self.tensors[name]

    def __contains__(self, name: str) -> bool:
        return name in self.tensors
