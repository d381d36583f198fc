"""What qtale does not implement, or can't be right, is refused by the key's name."""

from __future__ import annotations

import json
import subprocess

import pytest
from families import sequence
from test_tokenizer import metaspace, token
from tokenizer_driver import PROGRAM, tok512_text

MARKER = "\u2581"
STRIP = {"type": "Strip", "content": " ", "start": 1, "stop": 0}


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
    "byte level with a decoder of another kind": (
        lambda t: t.update(
            pre_tokenizer={"type": "ByteLevel", "add_prefix_space": False},
            model={**t["model"], "byte_fallback": False},
        ),
        '"decoder.type" is "Replace"',
    ),
    "behind byte level": (
        lambda t: t.update(
            pre_tokenizer=sequence("pretokenizers", {"type": "ByteLevel"}, {"type": "Digits"}),
            model={**t["model"], "byte_fallback": False},
        ),
        '"pre_tokenizer.type" is "Digits" behind "ByteLevel"',
    ),
    "split without a pattern": (
        setting("pre_tokenizer", to={"type": "Split", "behavior": "Isolated", "invert": False}),
        '"pre_tokenizer.pattern" is something else',
    ),
    "behavior": (
        setting("pre_tokenizer", to={"type": "Punctuation", "behavior": "Dropped"}),
        '"pre_tokenizer.behavior" is "Dropped"',
    ),
    "pre-tokenizer": (
        setting("pre_tokenizer", to={"type": "BertPreTokenizer"}),
        '"pre_tokenizer.type" is "BertPreTokenizer"',
    ),
    "normalizer": (
        setting("normalizer", to={"type": "BertNormalizer"}),
        '"normalizer.type" is "BertNormalizer"',
    ),
    "nothing to replace": (
        setting("normalizer", "normalizers", 1, "pattern", to={"String": ""}),
        '"normalizer.pattern" is something else',
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
    "two tokens before": (
        lambda t: t["post_processor"]["single"].insert(0, {"SpecialToken": {"id": "</s>"}}),
        'a template with "</s>", which "special_tokens" gives no id',
    ),
    "a second token before": (
        lambda t: (
            t["post_processor"]["single"].insert(1, {"SpecialToken": {"id": "</s>"}}),
            t["post_processor"]["special_tokens"].update(
                {"</s>": {"id": "</s>", "ids": [2], "tokens": ["</s>"]}}
            ),
        ),
        'a template with "</s>" as a second token',
    ),
    "a token of two ids": (
        setting("post_processor", "special_tokens", "<s>", "ids", to=[1, 2]),
        'a template with "<s>", which "special_tokens" gives no id, or not a single one',
    ),
    "a token of no known id": (
        setting("post_processor", "special_tokens", "<s>", "ids", to=[5000]),
        'a template with "<s>", which "special_tokens" gives no id, or not a single one',
    ),
    "the text twice": (
        lambda t: t["post_processor"]["single"].append({"Sequence": {"id": "A"}}),
        'a template with another text, "A"',
    ),
    "another text": (
        setting("post_processor", "single", 1, to={"Sequence": {"id": "B"}}),
        'a template with another text, "B"',
    ),
    "no text": (lambda t: t["post_processor"]["single"].pop(), "a template with no text"),
    "two templates": (
        lambda t: t.update(post_processor=sequence("processors", *[t["post_processor"]] * 2)),
        '"post_processor" is several templates',
    ),
    "fused before byte level": (
        lambda t: t.update(
            pre_tokenizer={"type": "ByteLevel", "add_prefix_space": False},
            decoder=sequence("decoders", {"type": "Fuse"}, {"type": "ByteLevel"}),
            model={**t["model"], "byte_fallback": False},
        ),
        '"decoder.type" is "Fuse"',
    ),
    "byte level twice": (
        lambda t: t.update(
            pre_tokenizer={"type": "ByteLevel", "add_prefix_space": False},
            decoder=sequence("decoders", {"type": "ByteLevel"}, {"type": "ByteLevel"}),
            model={**t["model"], "byte_fallback": False},
        ),
        '"decoder.type" is "ByteLevel" behind another step',
    ),
    "byte level that falls back": (
        setting("pre_tokenizer", to={"type": "ByteLevel", "add_prefix_space": False}),
        '"model.byte_fallback" is true',
    ),
    "first behind a strip": (
        lambda t: t.update(
            normalizer={"type": "Strip", "strip_left": True, "strip_right": False},
            pre_tokenizer=metaspace("first"),
        ),
        '"first" behind a normalizer that may move the begin of a text',
    ),
    "first behind a replacement by nothing": (
        lambda t: t.update(
            normalizer={"type": "Replace", "pattern": {"Regex": "^ +"}, "content": ""},
            pre_tokenizer=metaspace("first"),
        ),
        '"first" behind a normalizer that may move the begin of a text',
    ),
    "first behind a prefix": (
        setting("pre_tokenizer", to=metaspace("first")),
        '"first" behind a normalizer that may move the begin of a text',
    ),
    "first behind a split of what is normalized": (
        lambda t: t.update(
            normalizer={"type": "NFKC"},
            pre_tokenizer=sequence("pretokenizers", {"type": "Digits"}, metaspace("first")),
        ),
        '"first" behind a normalizer and other steps',
    ),
    "first with tokens in normalized text": (
        lambda t: (
            t.update(normalizer={"type": "NFD"}, pre_tokenizer=metaspace("first")),
            t["added_tokens"].append(token(512, "<e>", normalized=True)),
        ),
        '"first", with a normalizer and added tokens that are "normalized"',
    ),
    "first behind another": (
        setting(
            "pre_tokenizer",
            to=sequence("pretokenizers", metaspace("never"), metaspace("first")),
        ),
        '"first" behind another "Metaspace"',
    ),
    "prefix that is none": (
        setting("pre_tokenizer", to={**metaspace("first"), "add_prefix_space": False}),
        '"pre_tokenizer.add_prefix_space" is false, but "pre_tokenizer.prepend_scheme" is "first"',
    ),
    "strip beyond its end": (
        lambda t: t["decoder"]["decoders"].insert(0, {**STRIP, "stop": 2000}),
        '"decoder.stop" is 2000',
    ),
    "strip by a word": (
        lambda t: t["decoder"]["decoders"].insert(0, {**STRIP, "start": "1"}),
        '"decoder.start" of "Strip" must be an integer',
    ),
    "strip of bytes": (
        lambda t: t["decoder"]["decoders"].insert(2, STRIP),
        '"decoder.type" is "Strip" after "ByteFallback"',
    ),
    "decoder of nothing": (
        setting("decoder", to=sequence("decoders")),
        '"decoder" is a "Sequence" of nothing',
    ),
    "marker of two characters": (
        setting("pre_tokenizer", to={**metaspace("always"), "replacement": "__"}),
        '"pre_tokenizer.replacement" must be one character',
    ),
    "counted looks": (
        setting(
            "normalizer",
            to={"type": "Replace", "pattern": {"Regex": "(b|(?!c)){2}c"}, "content": "#"},
        ),
        '"(b|(?!c)){2}c" is not supported: it repeats what can be empty',
    ),
    "token by the name of a special one": (
        lambda t: (
            t.update(normalizer={"type": "Strip", "strip_left": True, "strip_right": True}),
            t["added_tokens"].append(token(512, "<e>")),
            t["added_tokens"].append(token(513, "<e> ", special=False, normalized=True)),
        ),
        'is "<e>" once it is normalized, as is another token',
    ),
    "strip of a word": (
        setting("decoder", "decoders", 3, "content", to="ab"),
        '"decoder.content" of "Strip" must be one character',
    ),
    "strip of nothing": (
        setting("decoder", "decoders", 3, "content", to=""),
        '"decoder.content" of "Strip" must be one character',
    ),
    "strip of what may be cut": (
        setting("decoder", "decoders", 3, "content", to=MARKER),
        '"decoder.content" is "\u2581"',
    ),
    "dropout that is none": (setting("model", "dropout", to="0.1"), '"model.dropout"'),
    "unk that is none": (setting("model", "unk_token", to=5), '"model.unk_token" must be a string'),
    "prefix of a piece": (
        setting("model", "continuing_subword_prefix", to=5),
        '"model.continuing_subword_prefix" must be a string',
    ),
    "type that is none": (setting("model", "type", to=None), '"model.type" must be a string'),
    "post-processor": (
        setting("post_processor", to={"type": "BertProcessing"}),
        '"post_processor.type" is "BertProcessing"',
    ),
    "added token that is normalized away": (
        lambda t: (
            t.update(normalizer={"type": "Strip", "strip_left": True, "strip_right": True}),
            t["added_tokens"].append(token(512, "  ", normalized=True)),
        ),
        "is nothing once it is normalized",
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
    "added id that tokenizers would not give": (
        lambda t: t["added_tokens"].append(token(515, "fresh")),
        '"fresh" has the id 515, but tokenizers, which counts pieces and tokens, numbers it 512',
    ),
    "added ids in another order": (
        lambda t: t["added_tokens"].extend([token(513, "fresh"), token(512, "new")]),
        '"fresh" has the id 513, but tokenizers',
    ),
    "added token behind a gap of the vocabulary": (
        lambda t: (
            t["model"]["vocab"].update(far=600),
            t["added_tokens"].append(token(601, "fresh")),
        ),
        '"fresh" has the id 601, but tokenizers, which counts pieces and tokens, numbers it 513',
    ),
    "added twice": (
        lambda t: t["added_tokens"].extend(
            [token(512, "fresh"), token(512, "fresh", special=False)]
        ),
        '"fresh" is there twice, with differences',
    ),
    "added tokens that are one when normalized": (
        lambda t: (
            t.update(normalizer={"type": "Lowercase"}),
            t["added_tokens"].extend(
                [token(512, "<N>", normalized=True), token(513, "<n>", normalized=True)]
            ),
        ),
        '"<n>" is "<n>" once it is normalized, as is "<N>"',
    ),
    "added piece that a normalizer changes": (
        lambda t: (
            t.update(normalizer={"type": "Lowercase"}),
            t["model"]["vocab"].update(Hq=512),
            t["added_tokens"].append(token(512, "Hq", normalized=True, special=False)),
        ),
        '"Hq" is a piece of the model, and "hq" once it is normalized',
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


# A regular expression, and the construct that is quoted.
PATTERNS = {
    r"(?<name>a)": '"(?<n"',
    r"(?>a|ab)c": '"(?>a"',
    r"(a)\1": r'"\1"',
    r"\p{Klingon}": r'"\p{Klingon}", an unknown property',
    r"\R": r'"\R"',
    r"[[:alpha:]]": '"[:alpha:]", a POSIX class',
    r"a(?!bc)": '"(?!bc)", a look at more than one character',
    r"(?:ab)++": '"(?:ab)++", possessive for more than one character',
    r"(?i:\p{Lu})": "beyond ASCII under (?i)",
    r"(?i:miss)": '"ss" under (?i)',
    r"a*": "it can match nothing",
    r"(?:a*)*b": "it repeats what can be empty",
    r"a{3,2}": '"{3,2}"',
    r"a{2000}": '"{2000}"',
    r"(?:(?:a{1000}){1000}){1000}": "it is too long, or repeats too much",
    r"(?:a|b)*a(?:a|b){12}": "it needs too many states",
    r"(a": "a group without an end",
    r"a)": 'an unmatched ")"',
    r"[a": "a class without an end",
    r"[]": "an empty class",
    r"[z-a]": "a range in a class that does not ascend",
    r"[\w-a]": r'"\w-a", a range with a class at an end',
    r"[\d-\w]": r'"\d-\w", a range with a class',
    r"[\p{L}--a]": r'"\p{L}--", a range with a class',
    r"[a-\p{Zl}]": r'"a-\p", a range with a class',
    r"(?<=a|(?<!b))c": '"(?<!" within "(?<="',
    "\\\u00e9": '"\\\u00e9"',  # a character, not half of one
    "(?\u4f60a)": '"(?\u4f60a"',
    r"*a": '"*" behind nothing',
    "a\\": 'a "\\" at its end',
    r"\x{110000}": "which is no character",
    "(" * 101 + "a" + ")" * 101: "groups more than 100 deep",
    "a" + "{1}" * 100000: "more than 100 repetitions of the same",
}


def refuse(path) -> str:
    done = subprocess.run(
        [PROGRAM, path], input="", capture_output=True, text=True, encoding="utf-8"
    )
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
    for begin in ("[", '{"a":'):
        broken.write_text('{"model":' + begin * 200000)
        assert "more than 100 deep" in refuse(broken)
    broken.write_text('{"a": "' + "[" * 200 + '\\"' + "[" * 200 + '"}')
    assert 'has the key "a"' in refuse(broken)


def test_a_cut_file_never_crashes(tmp_path):
    path = tmp_path / "cut.json"
    text = tok512_text()
    for length in range(0, len(text), len(text) // 40):
        path.write_text(text[:length])
        refuse(path)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_construct_is_quoted(pattern, tmp_path):
    tokenizer = json.loads(tok512_text())
    tokenizer["pre_tokenizer"] = {
        "type": "Split",
        "pattern": {"Regex": pattern},
        "behavior": "Isolated",
        "invert": False,
    }
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(tokenizer))
    message = refuse(path)
    assert PATTERNS[pattern] in message
    assert "pass ids (--ids)" in message
