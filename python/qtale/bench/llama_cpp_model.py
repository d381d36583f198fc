"""A Llama or Qwen2 model as a GGUF file: Q4_0 or Q8_0 blocks, the embedding and the head too.

llama.cpp rotates neighbours (2i, 2i + 1) in its architecture `llama`, Hugging Face halves: the rows
of q and k are put in that order. `qwen2` rotates halves.
"""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np

from qtale.bench.engine import Scheme
from qtale.bench.quantized import ggml_bytes, quantized_tiles
from qtale.checkpoint import Checkpoint, open_checkpoint

_LAYER_NAMES = {
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
_NAMES = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}


def write_llama_cpp_model(checkpoint: Path, path: Path, scheme: Scheme) -> None:
    """Blocks are of 32: the scheme's group must be."""
    source = open_checkpoint(checkpoint)
    neighbours = not source.config.qkv_bias
    writer = gguf.GGUFWriter(path, "llama" if neighbours else "qwen2")
    _write_keys(writer, source, scheme)
    kind = {4: gguf.GGMLQuantizationType.Q4_0, 8: gguf.GGMLQuantizationType.Q8_0}[scheme.bits]
    for name, tensor in source.tensors.items():
        order = np.arange(tensor.shape[0])
        heads = {"q_proj": source.config.num_heads, "k_proj": source.config.num_kv_heads}
        count = heads.get(name.split(".")[-2])
        if neighbours and count:
            order = order.reshape(count, 2, -1).swapaxes(1, 2).ravel()
        if len(tensor.shape) == 1:
            writer.add_tensor(_gguf_name(name), tensor.read()[order])
            continue
        tiles = quantized_tiles(tensor, scheme)
        rows = np.concatenate([ggml_bytes(values, s, scheme.bits) for _, values, s in tiles])
        writer.add_tensor(_gguf_name(name), rows[order], raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _write_keys(writer: gguf.GGUFWriter, source: Checkpoint, scheme: Scheme) -> None:
    c = source.config
    writer.add_file_type(
        gguf.LlamaFileType.MOSTLY_Q4_0 if scheme.bits == 4 else gguf.LlamaFileType.MOSTLY_Q8_0
    )
    writer.add_context_length(c.context)
    writer.add_embedding_length(c.hidden_size)
    writer.add_block_count(c.num_layers)
    writer.add_feed_forward_length(c.intermediate_size)
    writer.add_head_count(c.num_heads)
    writer.add_head_count_kv(c.num_kv_heads)
    writer.add_key_length(c.head_dim)
    writer.add_value_length(c.head_dim)
    writer.add_rope_dimension_count(c.head_dim)
    writer.add_rope_freq_base(c.rotary.theta)
    writer.add_layer_norm_rms_eps(c.norm_eps)
    # Ids only: no tokenizer.
    writer.add_vocab_size(c.vocab_size)
    writer.add_tokenizer_model("no_vocab")
    frequencies = c.rotary.frequencies(c.head_dim)
    plain = type(c.rotary)(c.rotary.theta).frequencies(c.head_dim)
    if not np.array_equal(frequencies, plain):
        writer.add_tensor("rope_freqs.weight", (plain / frequencies).astype(np.float32))


def _gguf_name(name: str) -> str:
    stem, _, suffix = name.rpartition(".")
    if stem in _NAMES:
        return f"{_NAMES[stem]}.{suffix}"
    _, _, layer, part = stem.split(".", 3)
    return f"blk.{layer}.{_LAYER_NAMES[part]}.{suffix}"
