"""Random Hugging Face folders of any size, for tests and measurements.

    write_random_checkpoint("folder", TINY)        config.json, *.safetensors

Written piece by piece: a model of any size takes little memory. Weights are normal with deviation
1/sqrt(in), so that activations keep their size from layer to layer and logits are of order one;
norms lie around 1; the embedding is tied to the head, so it has the head's deviation. Routers'
last weights are such that the logit of p has a deviation of about 1.5: p spreads over (0, 1).
"""

from __future__ import annotations

import json
import math
import re
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from qtale.checkpoint.hf_config import parse_config

_TILE = 4 << 20
#: Bytes of an element of each storage type.
ITEM_BYTES = {"float32": 4, "float16": 2, "bfloat16": 2}
_SAFETENSORS_TYPES = {"float32": "F32", "float16": "F16", "bfloat16": "BF16"}

#: The shape of Llama 3.2 1B.
LLAMA_1B = {
    "hidden_size": 2048,
    "intermediate_size": 8192,
    "num_hidden_layers": 16,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "head_dim": 64,
    "vocab_size": 128256,
    "max_position_embeddings": 131072,
    "rms_norm_eps": 1e-5,
    "rope_theta": 500000.0,
    "rope_scaling": {
        "factor": 32.0,
        "high_freq_factor": 4.0,
        "low_freq_factor": 1.0,
        "original_max_position_embeddings": 8192,
        "rope_type": "llama3",
    },
    "tie_word_embeddings": True,
}

#: A small model with a head_dim, kv heads and widths that are no multiples of anything.
TINY = {
    "hidden_size": 48,
    "intermediate_size": 100,
    "num_hidden_layers": 3,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "vocab_size": 97,
    "max_position_embeddings": 128,
    "rms_norm_eps": 1e-5,
    "tie_word_embeddings": False,
}


def write_random_checkpoint(
    folder: str | Path,
    config: dict,
    dtype: str = "float32",
    shards: int = 1,
    seed: int = 0,
) -> Path:
    """Writes the configuration and `shards` safetensors files; returns `folder`."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    raw = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", **config}
    (folder / "config.json").write_text(json.dumps(raw, indent=2))
    (folder / "generation_config.json").write_text('{"bos_token_id": 1, "eos_token_id": 2}')
    tensors = list(parse_config(raw, folder / "config.json", 1, (2,)).shapes().items())
    generator = np.random.default_rng(seed)
    if shards == 1:
        _write_safetensors(folder / "model.safetensors", tensors, dtype, generator)
        return folder
    weight_map: dict[str, str] = {}
    for shard in range(shards):
        name = f"model-{shard + 1:05d}-of-{shards:05d}.safetensors"
        part = tensors[shard::shards]
        _write_safetensors(folder / name, part, dtype, generator)
        weight_map |= dict.fromkeys((tensor for tensor, _ in part), name)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    return folder


def _write_safetensors(
    path: Path,
    shapes: list[tuple[str, tuple[int, ...]]],
    dtype: str,
    generator: np.random.Generator,
) -> None:
    header, at = {}, 0
    for name, shape in shapes:
        size = int(np.prod(shape)) * ITEM_BYTES[dtype]
        header[name] = {
            "dtype": _SAFETENSORS_TYPES[dtype],
            "shape": list(shape),
            "data_offsets": [at, at + size],
        }
        at += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)))
        file.write(text)
        for name, shape in shapes:
            for values in _random(name, shape, generator):
                file.write(_stored(values, dtype).tobytes())


def _random(
    name: str, shape: tuple[int, ...], generator: np.random.Generator
) -> Iterator[np.ndarray]:
    count = int(np.prod(shape))
    for begin in range(0, count, _TILE):
        values = generator.standard_normal(min(_TILE, count - begin), np.float32)
        deviation = _deviation(name, shape)
        yield (
            values * deviation
            if len(shape) == 2 or name.endswith("bias")
            else 1 + values * deviation
        )


def _deviation(name: str, shape: tuple[int, ...]) -> np.float32:
    """Of a matrix [out, in], of a bias around 0, of a norm around 1."""
    plain = shape[1] ** -0.5 if len(shape) == 2 else 0.1
    router = re.fullmatch(r"model\.layers\.(\d+)\.router(|_attention|_ffn)\.(.+)", name)
    if not router:
        return np.float32(plain)
    layer, half, part = int(router[1]), router[2], router[3]
    # The first layers' rows are small, as embeddings are: a bias should not outweigh them.
    if part == "fc1.bias":
        return np.float32(0.1 * plain)
    # What the last matrix reads has this mean square: silu or tanh of a normal number; or a row, to
    # which each FFN below adds about 0.36, and the attention between two halves a little.
    below = 0.36 * layer + (0.1 if half == "_ffn" else 0)
    mean_square = {"fc2.weight": 0.356, "up.weight": 0.394, "fc.weight": plain**2 + below}.get(part)
    if mean_square is None:
        return np.float32(plain)
    # Both rows of fc2 add to the difference of its classes.
    return np.float32(1.5 * plain / math.sqrt(mean_square * shape[0]))


def _stored(values: np.ndarray, dtype: str) -> np.ndarray:
    if dtype != "bfloat16":
        return values.astype(dtype)
    bits = values.view(np.uint32)
    # To nearest, half to even.
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)
