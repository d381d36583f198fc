"""What qtale does not implement, or can't be right, is refused by the key's name."""

from __future__ import annotations

import json
import subprocess

import pytest
from test_tokenizer import token
from tokenizer_driver import PROGRAM, tok512_text

MARKER = "\u2581"


def nothing(tokenizer: dict) -> None:
    tokenizer.clear()


def setting(*path: str | int, to: object):
    """Sets tokenizer[path[0]][path[1]]… to a value."""

    def change(tokenizer: dict) -> None:
        for key in path[:-1]:
            tokenizer = tokenizer[key]
        tokenizer[path[-1]] = to

    return change


CASES = {
    "unigram": (setting("model", "type", to="Unigram"), '"model.type" is "Unigram"'),
    "wordpiece": (setting("model", "type", to="WordPiece"), '"model.type" is "WordPiece"'),
    "byte level": (
        setting("pre_tokenizer", to={"type": "ByteLevel", "add_prefix_space": False}),
        '"pre_tokenizer.type" is "ByteLevel"',
    ),
    "sequence of pre-tokenizers": (
        setting(
            "pre_tokenizer",
            to={"type": "Sequence", "pretokenizers": [{"type": "Split"}, {"type": "ByteLevel"}]},
        ),
        '"pre_tokenizer.type" is "Split"',
    ),
    "normalizer": (setting("normalizer", to={"type": "NFC"}), '"normalizer.type" is "NFC"'),
    "regex": (
        setting("normalizer", "normalizers", 1, "pattern", to={"Regex": " +"}),
        '"normalizer.pattern" is not {"String": TEXT}',
    ),
    "dropout": (setting("model", "dropout", to=0.1), '"model.dropout"'),
    "suffix": (setting("model", "end_of_word_suffix", to="</w>"), '"model.end_of_word_suffix"'),
    "unknown key": (setting("model", "sampling", to=1), '"model" has the key "sampling"'),
    "top-level key": (setting("speed", to=1), '"tokenizer" has the key "speed"'),
    "no decoder": (setting("decoder", to=None), '"decoder" is null'),
    "decoder": (setting("decoder", to={"type": "CTC"}), '"decoder.type" is "CTC"'),
    "strip two": (setting("decoder", "decoders", 3, "start", to=2), '"decoder.start" is 2'),
    "strip end": (setting("decoder", "decoders", 3, "stop", to=1), '"decoder.stop" is 1'),
    "token behind": (
        lambda t: t["post_processor"]["single"].append({"SpecialToken": {"id": "</s>"}}),
        '"</s>" after the text',
    ),
    "post-processor": (
        setting("post_processor", to={"type": "BertProcessing"}),
        '"post_processor.type" is "BertProcessing"',
    ),
    "single word": (
        lambda t: t["added_tokens"].append(token(512, "x", single_word=True)),
        '"added_tokens.single_word" is true for "x"',
    ),
    "empty added token": (
        lambda t: t["added_tokens"].append(token(512, "")),
        "the content of id 512 is empty",
    ),
    "added id of another": (
        lambda t: t["added_tokens"].append(token(300, "fresh")),
        '"fresh" has the id 300, which belongs to',
    ),
    "added token with another id": (
        lambda t: t["added_tokens"].append(token(300, "x")),
        '"x" has the id 300, but "model.vocab" gives it',
    ),
    "same id twice": (setting("model", "vocab", "twice", to=300), "have the same id 300"),
    "negative id": (setting("model", "vocab", "less", to=-1), 'the id of "less"'),
    "huge id": (setting("model", "vocab", "more", to=2**31), 'the id of "more"'),
    "merge of nothing": (
        setting("model", "merges", 5, to=["t", "zzz"]),
        '"model.merges", number 5: "zzz" is no piece',
    ),
    "merge of three": (setting("model", "merges", 0, to="a b c"), '"model.merges", number 0'),
    "flag that is none": (
        setting("model", "byte_fallback", to="yes"),
        '"model.byte_fallback" must be true or false',
    ),
    "unknown unk": (setting("model", "unk_token", to="[UNK]"), '"model.unk_token" is "[UNK]"'),
    "empty object": (nothing, 'there is no object "model"'),
}


def refuse(path) -> str:
    done = subprocess.run([PROGRAM, path], input="", capture_output=True, text=True)
    assert done.returncode == 1, done.stdout + done.stderr
    assert done.stderr.startswith(f"{path}: ")
    return done.stderr


@pytest.mark.parametrize("name", CASES)
def test_refused_by_name(name, tmp_path):
    change, message = CASES[name]
    tokenizer = json.loads(tok512_text())
    change(tokenizer)
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(tokenizer))
    assert message in refuse(path)


def test_no_file_and_no_json(tmp_path):
    assert "No such file" in refuse(tmp_path / "absent.json")
    broken = tmp_path / "broken.json"
    broken.write_text('{"model": ')
    assert "not JSON" in refuse(broken)
    broken.write_text("[1]")
    assert "must be a JSON object" in refuse(broken)


def test_a_cut_file_never_crashes(tmp_path):
    path = tmp_path / "cut.json"
    text = tok512_text()
    for length in range(0, len(text), len(text) // 40):
        path.write_text(text[:length])
        refuse(path)
