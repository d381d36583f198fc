"""Exported Hugging Face folders: onnxruntime's logits against the NumPy reference."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest

from onnx_model import OnnxModel
from qtale.exporter import export
from qtale.reference import Reference
from qtale.testing import TINY, write_random_checkpoint

LLAMA3 = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}

VARIANTS = {
    "untied": {},
    "tied": {"tie_word_embeddings": True},
    "attention_bias": {"attention_bias": True},
    "mlp_bias": {"mlp_bias": True},
    "head_dim": {"head_dim": 20},
    "one_kv_head": {"num_key_value_heads": 1},
    "kv_heads_by_default": {"num_key_value_heads": None},
    "theta": {"rope_theta": 500.0},
    "llama3": {"rope_scaling": LLAMA3},
    "llama3_in_rope_parameters": {"rope_parameters": {"rope_theta": 700.0, **LLAMA3}},
    "linear": {"rope_scaling": {"type": "linear", "factor": 2.0}},
    "mistral": {
        "model_type": "mistral",
        "architectures": ["MistralForCausalLM"],
        "sliding_window": None,
    },
    "mistral_window_as_long_as_context": {"model_type": "mistral", "sliding_window": 128},
    "qwen2": {
        "model_type": "qwen2",
        "architectures": ["Qwen2ForCausalLM"],
        "sliding_window": 16,
        "use_sliding_window": False,
        "max_window_layers": 3,
    },
}


def tokens(count: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, TINY["vocab_size"], count)


def assert_close(got: np.ndarray, expected: np.ndarray, tolerance: float = 2e-5) -> None:
    """Within `tolerance` of the largest value."""
    assert np.abs(got - expected).max() <= tolerance * np.abs(expected).max()


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, OnnxModel]:
    """A checkpoint with every kind of bias, and its exported model."""
    folder = tmp_path_factory.mktemp("tiny")
    config = TINY | {"attention_bias": True, "mlp_bias": True, "head_dim": 12}
    write_random_checkpoint(folder / "checkpoint", config)
    export(folder / "checkpoint", folder / "onnx/model.onnx")
    return folder / "checkpoint", OnnxModel(folder / "onnx/model.onnx")


@pytest.mark.parametrize("changes", VARIANTS.values(), ids=VARIANTS)
def test_option(tmp_path: Path, changes: dict):
    """Each option of the configuration computes what the equations say."""
    write_random_checkpoint(tmp_path / "checkpoint", TINY | changes)
    model = OnnxModel(export(tmp_path / "checkpoint", tmp_path / "model.onnx"))
    ids = tokens(60)
    assert_close(model.logits(ids), Reference(tmp_path / "checkpoint").logits(ids))


def test_options_matter(tmp_path: Path):
    """The variants above would not pass by computing the plain model."""
    plain = write_random_checkpoint(tmp_path / "plain", TINY)
    ids = tokens(60)
    expected = Reference(plain).logits(ids)
    for name in ("theta", "llama3", "linear"):  # same tensors, other rotations
        other = write_random_checkpoint(tmp_path / name, TINY | VARIANTS[name])
        assert np.abs(Reference(other).logits(ids) - expected).max() > 1e-2


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("tied", [False, True])
def test_storage_type(tmp_path: Path, dtype: str, tied: bool):
    """Half precision stays on disk as it is, and is computed in float32."""
    config = TINY | {"tie_word_embeddings": tied, "attention_bias": True}
    folder = write_random_checkpoint(tmp_path / "checkpoint", config, dtype)
    path = export(folder, tmp_path / "model.onnx")
    stored = {t.data_type for t in onnx.load(path, load_external_data=False).graph.initializer}
    kind = onnx.TensorProto.FLOAT16 if dtype == "float16" else onnx.TensorProto.BFLOAT16
    assert stored == {kind, onnx.TensorProto.FLOAT}  # float: the rotary tables
    ids = tokens(40)
    assert_close(OnnxModel(path).logits(ids), Reference(folder).logits(ids))


def test_tied_head_is_one_weight(tmp_path: Path):
    folder = write_random_checkpoint(tmp_path / "checkpoint", TINY | VARIANTS["tied"])
    model = onnx.load(export(folder, tmp_path / "model.onnx"), load_external_data=False)
    table = [TINY["vocab_size"], TINY["hidden_size"]]
    tables = [t for t in model.graph.initializer if sorted(t.dims) == sorted(table)]
    assert [t.name for t in tables] == ["model.embed_tokens.weight"]


def test_shards(tmp_path: Path):
    """However the tensors are spread over files, the model is the same."""
    one = write_random_checkpoint(tmp_path / "one", TINY, shards=1)
    many = write_random_checkpoint(tmp_path / "many", TINY, shards=4)
    ids = tokens(20)
    logits = OnnxModel(export(many, tmp_path / "onnx/model.onnx")).logits(ids)
    assert_close(logits, Reference(many).logits(ids))
    assert len(list(many.glob("*.safetensors"))) == 4
    assert len(list(one.glob("*.safetensors"))) == 1


def test_tensors_larger_than_a_tile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Weights that are copied and transposed in pieces arrive whole."""
    folder = write_random_checkpoint(tmp_path / "checkpoint", TINY)
    whole = export(folder, tmp_path / "whole/model.onnx").parent / "model.onnx.data"
    monkeypatch.setattr("qtale.checkpoint.model.TILE_BYTES", 1000)
    monkeypatch.setattr("qtale.exporter.graph.TABLE_ROWS", 7)
    pieces = export(folder, tmp_path / "pieces/model.onnx").parent / "model.onnx.data"
    assert pieces.read_bytes() == whole.read_bytes()


def test_step_by_step_equals_prefill(tiny: tuple[Path, OnnxModel]):
    """Tokens one by one, or in chunks over a cache, give the logits of the whole text."""
    checkpoint, model = tiny
    ids = tokens(30)
    expected = Reference(checkpoint).logits(ids)
    for sizes in ([1] * 30, [7, 1, 13, 9]):
        cache, done, rows = model.empty_cache(), 0, []
        for size in sizes:
            step = ids[None, done : done + size]
            done += size
            logits, cache = model.run(step, np.ones((1, done)), cache)
            rows.append(logits[0])
        assert_close(np.concatenate(rows), expected)


def test_left_padded_batch(tiny: tuple[Path, OnnxModel]):
    """Texts of different lengths in one batch give what each gives alone, also in later steps."""
    checkpoint, model = tiny
    texts = [tokens(length, seed=length) for length in (9, 1, 5)]
    width = max(map(len, texts))
    ids = np.array([np.pad(text, (width - len(text), 0)) for text in texts])
    mask = np.array([[0] * (width - len(text)) + [1] * len(text) for text in texts])
    logits, cache = model.run(ids, mask, model.empty_cache(len(texts)))
    assert np.isfinite(logits).all()
    more = np.array([tokens(3, seed=10 + row) for row in range(len(texts))])
    mask = np.pad(mask, ((0, 0), (0, 3)), constant_values=1)
    later, _ = model.run(more, mask, cache)
    oracle = Reference(checkpoint)
    for row, text in enumerate(texts):
        expected = oracle.logits(np.concatenate([text, more[row]]))
        assert_close(logits[row, width - len(text) :], expected[: len(text)])
        assert_close(later[row], expected[len(text) :])


def test_files_of_the_folder(tmp_path: Path):
    """The tokenizer is taken as it is; several end-of-sequence ids stay several."""
    folder = write_random_checkpoint(tmp_path / "checkpoint", TINY)
    (folder / "tokenizer.json").write_text('{"version": "1.0"}')
    (folder / "generation_config.json").write_text('{"eos_token_id": [5, 6], "top_p": 0.9}')
    raw = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(raw | {"bos_token_id": 4, "eos_token_id": 7}))
    export(folder, tmp_path / "out/model.onnx")
    assert (tmp_path / "out/tokenizer.json").read_text() == '{"version": "1.0"}'
    written = json.loads((tmp_path / "out/generation_config.json").read_text())
    assert written == {"bos_token_id": 4, "eos_token_id": [5, 6]}


def test_export_into_the_checkpoint_keeps_its_files(tmp_path: Path):
    folder = write_random_checkpoint(tmp_path, TINY)
    (folder / "generation_config.json").write_text('{"eos_token_id": 5, "top_p": 0.9}')
    export(folder, folder / "model.onnx")
    assert (folder / "generation_config.json").read_text() == '{"eos_token_id": 5, "top_p": 0.9}'
