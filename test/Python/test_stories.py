"""stories260K, exported, tells the published story."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
from tokenizers import Tokenizer

from onnx_model import OnnxModel


def test_greedy_text(stories: Path, stories_onnx: Path):
    """200 greedy tokens in onnxruntime are the reference C program's, character by character."""
    model = OnnxModel(stories_onnx)
    ids, cache = [1], model.empty_cache()
    for _ in range(200):
        logits, cache = model.run(np.array([ids[-1:]]), np.ones((1, len(ids))), cache)
        ids.append(int(logits[0, -1].argmax()))
    tokenizer = Tokenizer.from_file(str(stories_onnx.parent / "tokenizer.json"))
    text = tokenizer.decode(ids[1:])
    assert text + "\n" == (stories / "expected-greedy-200.txt").read_text()


def test_files(stories_onnx: Path):
    """The model is valid, holds no large tensor, and names its beginning and end of sequence."""
    onnx.checker.check_model(stories_onnx, full_check=True)
    model = onnx.load(stories_onnx, load_external_data=False)
    assert model.ir_version == 11
    assert {o.domain: o.version for o in model.opset_import} == {"": 23, "ai.qtale": 1}
    assert all(len(t.raw_data) < 1024 for t in model.graph.initializer)
    assert {p.key: p.value for p in model.metadata_props} == {"qtale.context": "512"}
    names = {node.name for node in model.graph.node}
    assert "/model/layers.0/attn/q_proj/MatMul" in names
    assert "model.layers.4.attn.q_proj.MatMul.weight" in {t.name for t in model.graph.initializer}
    config = json.loads((stories_onnx.parent / "generation_config.json").read_text())
    assert config == {"bos_token_id": 1, "eos_token_id": [1, 2]}
    assert sorted(p.name for p in stories_onnx.parent.iterdir()) == [
        "generation_config.json",
        "model.onnx",
        "model.onnx.data",
        "tokenizer.json",
    ]


def test_tokenizer_follows_llama2c(stories: Path, stories_onnx: Path):
    """Ids equal those of llama2.c's own merging, written here from its definition."""
    tokenizer = Tokenizer.from_file(str(stories_onnx.parent / "tokenizer.json"))
    pieces, scores = read_pieces(stories / "tok512.bin")
    for text in (
        "",
        " ",
        "Once upon a time",
        "  two  spaces ",
        (stories / "expected-greedy-200.txt").read_text(),
        "naïve café 世界 \U0001f600\n\ttab",
        "aaaaaaa theretherethe",
    ):
        expected = llama2c_encode(text, pieces, scores)
        got = tokenizer.encode(text, add_special_tokens=False).ids
        assert got == expected, text


def read_pieces(path: Path) -> tuple[dict[bytes, int], list[float]]:
    data, at = path.read_bytes(), 4
    pieces: dict[bytes, int] = {}
    scores = []
    while at < len(data):
        score, length = np.frombuffer(data, "<f4,<i4", 1, at)[0]
        pieces.setdefault(data[at + 8 : at + 8 + length], len(scores))
        scores.append(float(score))
        at += 8 + int(length)
    return pieces, scores


def llama2c_encode(text: str, pieces: dict[bytes, int], scores: list[float]) -> list[int]:
    """run.c: a space in front, characters or their bytes, then the best-scored pair, repeatedly."""
    ids = [pieces[b" "]] if text else []
    for character in text:
        raw = character.encode()
        ids += [pieces[raw]] if raw in pieces else [byte + 3 for byte in raw]
    names = {index: piece for piece, index in pieces.items()}
    while True:
        joined = [
            (scores[merged], -at, merged)
            for at in range(len(ids) - 1)
            if (merged := pieces.get(names[ids[at]] + names[ids[at + 1]])) is not None
        ]
        if not joined:
            return ids
        _, at, merged = max(joined)
        ids[-at : -at + 2] = [merged]
