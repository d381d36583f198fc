"""What cannot be exported is refused by name, and leaves nothing behind."""

from __future__ import annotations

import errno
import json
import os
import resource
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from qtale.cli import main
from qtale.errors import UserError
from qtale.exporter import export
from qtale.testing import TINY, write_random_checkpoint

CONFIG_REFUSALS = {
    "model_type": ({"model_type": "gemma2"}, "model_type 'gemma2'"),
    "unknown_key": ({"attn_logit_softcapping": 50.0}, "attn_logit_softcapping"),
    "quantized": ({"quantization_config": {"quant_method": "gptq"}}, "quantization_config"),
    "activation": ({"hidden_act": "gelu"}, "hidden_act"),
    "rope_kind": ({"rope_scaling": {"rope_type": "yarn", "factor": 2.0}}, "'yarn'"),
    "rope_key": (
        {"rope_scaling": {"rope_type": "linear", "factor": 2.0, "beta_fast": 32}},
        "beta_fast",
    ),
    "rope_key_missing": ({"rope_scaling": {"rope_type": "llama3", "factor": 8.0}}, "is missing"),
    "rope_number": ({"rope_scaling": {"rope_type": "linear", "factor": -1}}, "factor"),
    "partial_rotary": ({"partial_rotary_factor": 0.5}, "partial_rotary_factor"),
    "window": ({"model_type": "mistral", "sliding_window": 64}, "sliding_window"),
    "window_by_default": (
        {"model_type": "mistral", "max_position_embeddings": 8192},
        "sliding_window = 4096",
    ),
    "kv_heads_unknown": ({"model_type": "qwen2", "num_key_value_heads": None}, "is missing"),
    "layer_types": (
        {"layer_types": ["sliding_attention"] * 3, "sliding_window": 8, "model_type": "qwen2"},
        "layer_types",
    ),
    "architecture": ({"architectures": ["LlamaForSequenceClassification"]}, "architectures"),
    "not_an_integer": ({"hidden_size": "48"}, "hidden_size"),
    "negative": ({"num_attention_heads": -6}, "num_attention_heads"),
    "missing": ({"vocab_size": None}, "vocab_size is missing"),
    "odd_head": ({"head_dim": 7}, "head_dim"),
    "kv_heads": ({"num_key_value_heads": 4}, "6 heads"),
    "eps": ({"rms_norm_eps": 0}, "rms_norm_eps"),
    "flag": ({"attention_bias": 1}, "attention_bias"),
    "layers_without_tensors": ({"num_hidden_layers": 1 << 30}, "layers"),
    "one_layer_more": ({"num_hidden_layers": 4}, "model.layers.3.input_layernorm.weight"),
    "one_layer_less": ({"num_hidden_layers": 2}, "belongs to no model"),
    "biases_unused": ({"vocab_size": 98}, "model.embed_tokens.weight has shape [97, 48]"),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_random_checkpoint(tmp_path / "checkpoint", TINY)


def change(folder: Path, changes: dict) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def refused(checkpoint: Path, tmp_path: Path, message: str, **options) -> None:
    """The message names what is wrong, and no file was written."""
    with pytest.raises(UserError) as caught:
        export(checkpoint, tmp_path / "out/model.onnx", **options)
    assert message in str(caught.value)
    assert str(tmp_path) in str(caught.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("changes", "message"), CONFIG_REFUSALS.values(), ids=CONFIG_REFUSALS)
def test_configuration(folder: Path, tmp_path: Path, changes: dict, message: str):
    change(folder, changes)
    refused(folder, tmp_path, message)


def test_harmless_and_neutral_keys_pass(folder: Path, tmp_path: Path):
    change(folder, {"torch_dtype": "float32", "use_cache": True, "some_new_switch": None})
    assert export(folder, tmp_path / "out/model.onnx").exists()


def test_no_checkpoint(tmp_path: Path):
    refused(tmp_path / "nowhere", tmp_path, "no such file")
    (tmp_path / "empty").mkdir()
    refused(tmp_path / "empty", tmp_path, "config.json")
    (tmp_path / "model.gguf").write_bytes(b"GGUF")
    refused(tmp_path / "model.gguf", tmp_path, "not a checkpoint")


def test_damaged_json(folder: Path, tmp_path: Path):
    (folder / "config.json").write_text("{")
    refused(folder, tmp_path, "not valid JSON")
    (folder / "config.json").write_text("[" * 100000)
    refused(folder, tmp_path, "not valid JSON")
    (folder / "config.json").write_text("[]")
    refused(folder, tmp_path, "JSON object")


def test_truncated_safetensors(folder: Path, tmp_path: Path):
    path = folder / "model.safetensors"
    whole = path.read_bytes()
    for size in (0, 7, 100, len(whole) - 1):
        path.write_bytes(whole[:size])
        refused(folder, tmp_path, "model.safetensors: not a whole safetensors file")


def test_storage_type(folder: Path, tmp_path: Path):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes().replace(b'"F32"', b'"I32"'))
    refused(folder, tmp_path, "stored as I32")


def test_shards(tmp_path: Path):
    folder = write_random_checkpoint(tmp_path / "checkpoint", TINY, shards=2)
    index = folder / "model.safetensors.index.json"
    text = index.read_text()
    (folder / "model-00002-of-00002.safetensors").rename(folder / "elsewhere")
    refused(folder, tmp_path, "model-00002-of-00002.safetensors: missing")
    (folder / "elsewhere").rename(folder / "model-00002-of-00002.safetensors")
    index.write_text(text.replace("00001-of", "00002-of"))
    refused(folder, tmp_path, "but is not")
    index.write_text(text.replace("model-00001", "../model-00001"))
    refused(folder, tmp_path, "no name of a file")
    index.write_text("{}")
    refused(folder, tmp_path, "no weight_map")


def test_token_ids(folder: Path, tmp_path: Path):
    for text, message in (
        ('{"eos_token_id": [2, 97]}', "outside the vocabulary of 97"),
        ('{"bos_token_id": -1}', "bos_token_id must be token ids"),
        ('{"eos_token_id": "2"}', "eos_token_id must be token ids"),
    ):
        (folder / "generation_config.json").write_text(text)
        refused(folder, tmp_path, message)


def test_pytorch_files(folder: Path, tmp_path: Path):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    refused(folder, tmp_path, "convert them to safetensors")


def test_llama2c(stories: Path, tmp_path: Path):
    whole = (stories / "stories260K.bin").read_bytes()
    path = tmp_path / "model.bin"
    for content, message in (
        (b"", "too short"),
        (whole[:-4], "truncated"),
        (whole + b"1234", "its header describes"),
        (b"some text, long enough to be a header", "not a llama2.c checkpoint"),
        (struct.pack("<2i", 0x616B3432, 2) + bytes(300), "version 2"),
        (struct.pack("<7i", 64, 172, 1 << 30, 8, 4, 512, 512) + bytes(300), "not a llama2.c"),
    ):
        path.write_bytes(content)
        refused(path, tmp_path, message)


def test_llama2c_tokenizer(stories: Path, tmp_path: Path):
    whole = (stories / "tok512.bin").read_bytes()
    path = tmp_path / "tok.bin"
    for content, message in (
        (b"", "ends after 0 of"),
        (whole[:-1], "damaged at piece 511"),
        (whole[: 4 + 8 + len(b"<unk>")], "ends after 1 of the checkpoint's 512 pieces"),
        (whole + whole[4:100], "more pieces"),
        (whole.replace(b"<0x41>", b"<0x42>"), "should be <0x41>"),
        (whole.replace(b"<unk>", b"\xff\xfe\xfd\xfc\xfb"), "not UTF-8"),
    ):
        path.write_bytes(content)
        refused(stories / "stories260K.bin", tmp_path, message, tokenizer=path)
    refused(stories / "stories260K.bin", tmp_path, "No such file", tokenizer=tmp_path / "no.json")


def test_full_disk(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Also where the space ends in the middle."""
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept/model.onnx").write_text("before")
    write, written = os.pwrite, 0

    def pwrite(fd: int, data: memoryview, offset: int) -> int:
        nonlocal written
        written += 1
        if written > 20:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(fd, data, offset)

    monkeypatch.setattr(os, "pwrite", pwrite)
    with pytest.raises(UserError, match="not enough space"):
        export(folder, tmp_path / "kept/model.onnx")
    assert [(p.name, p.read_text()) for p in (tmp_path / "kept").iterdir()] == [
        ("model.onnx", "before")
    ]


def test_file_size_limit(folder: Path, tmp_path: Path):
    """A real refusal by the system, before anything is written."""
    done = subprocess.run(
        [sys.executable, "-m", "qtale.cli", "export", folder, "-o", tmp_path / "out/model.onnx"],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "qtale: error: " in done.stderr
    assert "File too large" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


def test_unwritable(folder: Path, tmp_path: Path):
    (tmp_path / "file").write_text("")
    for output in ("file/model.onnx", "file/deeper/model.onnx"):
        with pytest.raises(UserError, match="Not a directory"):
            export(folder, tmp_path / output)
    (tmp_path / "taken/model.onnx").mkdir(parents=True)
    with pytest.raises(UserError, match="is a folder"):
        export(folder, tmp_path / "taken/model.onnx")
    assert [p.name for p in (tmp_path / "taken").iterdir()] == ["model.onnx"]


def test_command(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Exit codes, and messages instead of tracebacks."""
    assert main(["export", str(folder), "-o", str(tmp_path / "out/model.onnx")]) == 0
    assert "tokenizer" in capsys.readouterr().err  # a note: there is none
    assert main(["export", str(folder), "-o", str(tmp_path / "out/model.pb")]) == 2
    assert main(["export", str(tmp_path / "no"), "-o", str(tmp_path / "m.onnx")]) == 1
    assert "no such file" in capsys.readouterr().err
    for arguments in ([], ["export"], ["nonsense"]):
        with pytest.raises(SystemExit) as caught:
            main(arguments)
        assert caught.value.code == 2
