"""llama2.c checkpoints ("version 0"), and the tokenizer file beside them.

7 x int32: dim, hidden_dim, n_layers, n_heads, n_kv_heads, vocab_size, seq_len
float32:   embedding | attention norms | wq | wk | wv | wo | FFN norms | w1 | w2 | w3 |
           final norm | two RoPE tables (unused) | the head, where vocab_size is negative
           (each of the layers' tensors stands for all layers at once)
"""

from __future__ import annotations

import struct
from pathlib import Path

from qtale.checkpoint.model import Checkpoint, LlamaConfig, Rotary, StoredTensor
from qtale.errors import UserError

_HEADER = struct.Struct("<7i")
_MAGIC = 0x616B3432  # "ak42": the later versions begin with it

#: llama2.c separates texts by BOS and stops there; EOS exists in the vocabulary.
BOS, EOS = 1, 2


def open_llama2c(path: Path) -> Checkpoint:
    """Reads the header; tensors stay in the file."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(_HEADER.size)
    if len(head) < _HEADER.size:
        raise UserError(f"{path}: too short for a llama2.c checkpoint ({size} bytes)")
    if struct.unpack_from("<I", head)[0] == _MAGIC:
        raise UserError(
            f"{path}: a llama2.c checkpoint of version {struct.unpack_from('<i', head, 4)[0]}; "
            "only version 0 is read (export it with --version 0)"
        )
    dim, hidden, layers, heads, kv_heads, vocab, context = _HEADER.unpack(head)
    tied, vocab = vocab > 0, abs(vocab)
    if (
        min(dim, hidden, layers, heads, kv_heads, vocab, context) <= 0
        or dim % heads
        or (dim // heads) % 2
        or heads % kv_heads
        or layers > size // dim
    ):
        raise UserError(
            f"{path}: not a llama2.c checkpoint (its header says dim {dim}, hidden_dim {hidden}, "
            f"{layers} layers, {heads} heads, {kv_heads} kv heads, vocabulary {vocab}, "
            f"context {context})"
        )
    config = LlamaConfig(
        hidden_size=dim,
        intermediate_size=hidden,
        num_layers=layers,
        num_heads=heads,
        num_kv_heads=kv_heads,
        head_dim=dim // heads,
        vocab_size=vocab,
        context=context,
        norm_eps=1e-5,
        rotary=Rotary(interleaved=True),
        tied=tied,
        bos=BOS,
        eos=(BOS, EOS),
    )
    tensors: dict[str, StoredTensor] = {}
    offset = _HEADER.size

    def take(name: str, *shape: int) -> None:
        nonlocal offset
        tensors[name] = StoredTensor(path, offset, "float32", shape)
        offset += tensors[name].nbytes

    def per_layer(name: str, *shape: int) -> None:
        for layer in range(layers):
            take(f"model.layers.{layer}.{name}.weight", *shape)

    kv = kv_heads * config.head_dim
    take("model.embed_tokens.weight", vocab, dim)
    per_layer("input_layernorm", dim)
    per_layer("self_attn.q_proj", dim, dim)
    per_layer("self_attn.k_proj", kv, dim)
    per_layer("self_attn.v_proj", kv, dim)
    per_layer("self_attn.o_proj", dim, dim)
    per_layer("post_attention_layernorm", dim)
    per_layer("mlp.gate_proj", hidden, dim)
    per_layer("mlp.down_proj", dim, hidden)
    per_layer("mlp.up_proj", hidden, dim)
    take("model.norm.weight", dim)
    offset += context * config.head_dim * 4
    if not tied:
        take("lm_head.weight", vocab, dim)
    if offset != size:
        raise UserError(
            f"{path}: its header describes {offset} bytes, but the file has {size}; "
            "it is truncated, or no llama2.c checkpoint of version 0"
        )
    return Checkpoint(path, config, tensors, _find_tokenizer(path))


def _find_tokenizer(path: Path) -> Path | str:
    """The only tok*.bin beside the checkpoint, or why there is none."""
    found = sorted(p for p in path.resolve().parent.glob("tok*.bin") if p != path.resolve())
    if len(found) == 1:
        return found[0]
    if not found:
        return f"no tok*.bin stands beside {path}"
    return f"several tokenizers stand beside {path}: " + ", ".join(p.name for p in found)
