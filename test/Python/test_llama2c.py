"""llama2.c's format, read here a second time from its description."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from onnx_model import OnnxModel
from qtale.exporter import export
from qtale.reference import Reference

DIM, HIDDEN, LAYERS, HEADS, KV_HEADS, VOCAB, CONTEXT = 64, 172, 5, 8, 4, 512, 512
HEAD = DIM // HEADS

CONFIG = f"""{{
  "model_type": "llama", "hidden_size": {DIM}, "intermediate_size": {HIDDEN},
  "num_hidden_layers": {LAYERS}, "num_attention_heads": {HEADS},
  "num_key_value_heads": {KV_HEADS}, "vocab_size": {VOCAB},
  "max_position_embeddings": {CONTEXT}, "rms_norm_eps": 1e-5, "tie_word_embeddings": true
}}"""


def read(path: Path) -> dict[str, np.ndarray]:
    """stories260K.bin in the order of run.c; Hugging Face's names."""
    floats, at = np.fromfile(path, np.float32, offset=28), 0
    tensors = {}

    def take(name: str, count: int, *shape: int) -> None:
        nonlocal at
        for layer in range(count):
            size = int(np.prod(shape))
            key = name if count == 1 else f"model.layers.{layer}.{name}"
            tensors[f"{key}.weight"] = floats[at : at + size].reshape(shape)
            at += size

    take("model.embed_tokens", 1, VOCAB, DIM)
    take("input_layernorm", LAYERS, DIM)
    take("self_attn.q_proj", LAYERS, DIM, DIM)
    take("self_attn.k_proj", LAYERS, KV_HEADS * HEAD, DIM)
    take("self_attn.v_proj", LAYERS, KV_HEADS * HEAD, DIM)
    take("self_attn.o_proj", LAYERS, DIM, DIM)
    take("post_attention_layernorm", LAYERS, DIM)
    take("mlp.gate_proj", LAYERS, HIDDEN, DIM)
    take("mlp.down_proj", LAYERS, DIM, HIDDEN)
    take("mlp.up_proj", LAYERS, HIDDEN, DIM)
    take("model.norm", 1, DIM)
    assert len(floats) - at == CONTEXT * HEAD  # the unused RoPE tables
    return tensors


@pytest.fixture
def ids() -> np.ndarray:
    return np.random.default_rng(0).integers(0, VOCAB, 50)


def test_the_same_model_in_hugging_face_form(
    stories: Path, stories_onnx: Path, tmp_path: Path, ids: np.ndarray
):
    """Rows of q and k in another order, and pairs that are halves: the same logits."""
    tensors = read(stories / "stories260K.bin")
    for name, w in tensors.items():
        if "q_proj" in name or "k_proj" in name:
            pairs = w.reshape(-1, HEAD // 2, 2, DIM)
            tensors[name] = np.ascontiguousarray(pairs.swapaxes(1, 2)).reshape(w.shape)
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    (folder / "config.json").write_text(CONFIG)
    save_file(tensors, folder / "model.safetensors")
    got = OnnxModel(export(folder, tmp_path / "model.onnx")).logits(ids)
    expected = OnnxModel(stories_onnx).logits(ids)
    assert np.abs(got - expected).max() < 2e-5 * np.abs(expected).max()


def test_untied_head(stories: Path, tmp_path: Path, ids: np.ndarray):
    """A negative vocabulary size: the head stands at the end of the file."""
    raw = bytearray((stories / "stories260K.bin").read_bytes())
    raw[20:24] = np.int32(-VOCAB).tobytes()
    head = np.random.default_rng(1).standard_normal((VOCAB, DIM)).astype(np.float32)
    path = tmp_path / "untied.bin"
    path.write_bytes(raw + head.tobytes())
    tied = Reference(stories / "stories260K.bin")
    embedding = tied.checkpoint["model.embed_tokens.weight"].read()
    hidden = np.linalg.lstsq(embedding, tied.logits(ids).T, rcond=None)[0].T
    expected = hidden @ head.T
    got = OnnxModel(export(path, tmp_path / "model.onnx")).logits(ids)
    assert np.abs(got - expected).max() < 2e-5 * np.abs(expected).max()
    np.testing.assert_allclose(Reference(path).logits(ids), expected, atol=1e-6)


def test_tokenizer_beside(stories: Path, tmp_path: Path):
    """The only tok*.bin is taken; of two, none."""
    notes: list[str] = []
    model = tmp_path / "model.bin"
    model.write_bytes((stories / "stories260K.bin").read_bytes())
    export(model, tmp_path / "none/model.onnx", note=notes.append)
    assert not (tmp_path / "none/tokenizer.json").exists()
    assert "no tok*.bin stands beside" in notes[0]
    (tmp_path / "tok1.bin").write_bytes((stories / "tok512.bin").read_bytes())
    export(model, tmp_path / "one/model.onnx", note=notes.append)
    assert (tmp_path / "one/tokenizer.json").exists()
    assert len(notes) == 1
    (tmp_path / "tok2.bin").write_bytes((stories / "tok512.bin").read_bytes())
    export(model, tmp_path / "two/model.onnx", note=notes.append)
    assert "tok1.bin, tok2.bin" in notes[1]
