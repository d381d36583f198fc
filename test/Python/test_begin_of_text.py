"""Before a text comes what its tokenizer puts there, as with Hugging Face tokenizers."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from tokenizers import Tokenizer

import qtale
from qtale.compiler import find_tool


def no_token(tokenizer: dict) -> None:
    """As Phi-3, Qwen and GPT-2, whose settings all the same name a BOS."""
    tokenizer["post_processor"]["single"].pop(0)


def another_token(tokenizer: dict) -> None:
    post = tokenizer["post_processor"]
    post["single"][0]["SpecialToken"]["id"] = "</s>"
    post["special_tokens"]["</s>"] = {"id": "</s>", "ids": [2], "tokens": ["</s>"]}


@pytest.mark.parametrize("change", [lambda _: None, no_token, another_token])
def test_is_that_of_the_template(
    compiled: Callable, stories_onnx: Path, tmp_path: Path, change: Callable
):
    tokenizer = json.loads((stories_onnx.parent / "tokenizer.json").read_text())
    change(tokenizer)
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(tokenizer))
    wanted = Tokenizer.from_file(str(path)).encode("Once").ids
    model = compiled(stories_onnx, tokenizer=path)
    with qtale.load(model) as artifact:
        begin = [] if artifact.bos is None else [artifact.bos]
        assert [*begin, *artifact.tokenizer.encode("Once")] == wanted
    command = [find_tool("qtale-run"), model, "--steps=8", "--output=ids"]
    ids = ",".join(map(str, wanted))
    texts, numbers = (
        subprocess.run([*command, prompt], capture_output=True, text=True, check=True).stdout
        for prompt in ("--prompt=Once", f"--ids={ids}")
    )
    assert texts == numbers


def test_without_a_template_is_known_by_its_name(
    compiled: Callable, stories_onnx: Path, tmp_path: Path
):
    tokenizer = json.loads((stories_onnx.parent / "tokenizer.json").read_text())
    tokenizer["post_processor"] = None
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(tokenizer))
    with qtale.load(compiled(stories_onnx, tokenizer=path)) as artifact:
        assert artifact.bos == 1


def test_an_empty_text_needs_one(compiled: Callable, stories_onnx: Path, tmp_path: Path):
    tokenizer = json.loads((stories_onnx.parent / "tokenizer.json").read_text())
    no_token(tokenizer)
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(tokenizer))
    done = subprocess.run(
        [find_tool("qtale-run"), compiled(stories_onnx, tokenizer=path), "--prompt", ""],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "no token to begin with" in done.stderr
