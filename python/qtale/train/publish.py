"""A trained model as a Hugging Face folder, which `qtale export` reads.

config.json         with the "qtale" block
model.safetensors   float16; rotary pairs as halves, whatever the source had
tokenizer.json      the source's
stories.txt         texts that took no part in training
"""

from __future__ import annotations

import json
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path

import numpy as np
from safetensors.numpy import save
from torch import Tensor

from qtale.checkpoint import Checkpoint
from qtale.errors import UserError
from qtale.exporter.output import OutputFiles
from qtale.exporter.tokenizer import convert_llama2c_tokenizer
from qtale.train.model import Llama


def round_weights(model: Llama) -> None:
    """To float16, as they are stored, so that measurements speak of what is published."""
    model.weights = {name: w.detach().half().float() for name, w in model.weights.items()}


def tokenizer_text(checkpoint: Checkpoint) -> str:
    """The text of `tokenizer.json`."""
    path = checkpoint.tokenizer
    if isinstance(path, str):
        raise UserError(f"{checkpoint.path}: no tokenizer: {path}")
    if path.suffix == ".bin":
        return convert_llama2c_tokenizer(path, checkpoint.config.vocab_size)
    return path.read_text(encoding="utf-8")


def decode_stories(texts: Tensor, tokenizer: str, bos: int, limit: int) -> str:
    """The whole stories among `texts`, one a line, up to `limit` bytes."""
    from tokenizers import Tokenizer

    decoder = Tokenizer.from_str(tokenizer)
    lines: list[str] = []
    for row in texts.tolist():
        starts = [at for at, token in enumerate(row) if token == bos]
        for begin, end in pairwise(starts):
            line = " ".join(decoder.decode(row[begin + 1 : end]).split()) + "\n"
            limit -= len(line.encode())
            if limit < 0:
                return "".join(lines)
            lines.append(line)
    return "".join(lines)


def publish(model: Llama, checkpoint: Checkpoint, folder: Path, tokenizer: str, text: str) -> None:
    """Writes the folder: all files, or none."""
    with OutputFiles(folder) as files:
        files.path("tokenizer.json").write_text(tokenizer, encoding="utf-8")
        files.path("stories.txt").write_text(text, encoding="utf-8")
        tensors = {name: _halves(model, name).astype(np.float16) for name in model.weights}
        files.path("model.safetensors").write_bytes(save(tensors, {"format": "pt"}))
        config = json.dumps(_config(model, checkpoint.path), indent=2)
        files.path("config.json").write_text(config + "\n")


def _halves(model: Llama, name: str) -> np.ndarray:
    """Query and key rows of a head in the order evens, odds where pairs were neighbours."""
    w = model.weights[name].detach().numpy()
    turned = name.rpartition(".")[0].endswith(("q_proj", "k_proj"))
    if not (turned and model.config.rotary.interleaved):
        return w
    heads = w.reshape(-1, model.config.head_dim, *w.shape[1:])
    return np.concatenate((heads[:, 0::2], heads[:, 1::2]), 1).reshape(w.shape)


def _config(model: Llama, source: Path) -> dict:
    """A folder's own config.json goes on; a llama2.c header is written out."""
    assert model.routing is not None
    config = model.config
    if source.is_dir():
        raw = json.loads((source / "config.json").read_text(encoding="utf-8"))
    else:
        raw = {
            "architectures": ["LlamaForCausalLM"],
            "model_type": "llama",
            "hidden_size": config.hidden_size,
            "intermediate_size": config.intermediate_size,
            "num_hidden_layers": config.num_layers,
            "num_attention_heads": config.num_heads,
            "num_key_value_heads": config.num_kv_heads,
            "vocab_size": config.vocab_size,
            "max_position_embeddings": config.context,
            "rms_norm_eps": config.norm_eps,
            "rope_theta": config.rotary.theta,
            "hidden_act": "silu",
            "tie_word_embeddings": config.tied,
        }
    ids = {"bos_token_id": config.bos, "eos_token_id": list(config.eos)}
    return {**raw, **ids, "torch_dtype": "float16", "qtale": asdict(model.routing)}
