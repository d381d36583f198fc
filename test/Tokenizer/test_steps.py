"""Each kind of step by itself against Hugging Face tokenizers: over all of Unicode, and mixed."""

from __future__ import annotations

import itertools
import json
import random
import subprocess
import unicodedata
from pathlib import Path

import pytest
from families import FAMILIES, byte_level, family, sequence, split
from test_tokenizer import token
from texts import NASTY, awkward_texts
from tokenizer_driver import PROGRAM, Driver
from tokenizers import Tokenizer


def is_one_of_many(point: int) -> bool:
    """Of the large blocks of ideographs, syllables and unassigned points a sample is enough."""
    large = unicodedata.category(chr(point)) in ("Cn", "Co") or unicodedata.name(
        chr(point), ""
    ).startswith(("CJK UNIFIED", "HANGUL SYLLABLE", "TANGUT", "EGYPTIAN", "YI SYLLABLE"))
    return large and point % 97 != 0


POINTS = [chr(p) for p in range(1, 0x110000) if not 0xD800 <= p < 0xE000 and not is_one_of_many(p)]
# Characters in company of others: a letter, a space.
UNICODE = [
    "".join(
        f"{character}{'a' if i % 2 else ' '}" for i, character in enumerate(POINTS[at : at + 500])
    )
    for at in range(0, len(POINTS), 500)
]


def changed(**components: object) -> str:
    tokenizer = json.loads(family("gpt2"))
    tokenizer.update(components)
    return json.dumps(tokenizer)


def compare(text: str, folder: Path, texts: list[str]) -> None:
    oracle, ours = Tokenizer.from_str(text), Driver(text, folder)
    expected = [e.ids for e in oracle.encode_batch(texts, add_special_tokens=False)]
    got = ours.encode([t.encode() for t in texts])
    wrong = [(t, e, g) for t, e, g in zip(texts, expected, got, strict=True) if e != g]
    assert not wrong, (len(wrong), wrong[0])
    decoded = [t.decode(errors="replace") for t in ours.decode([(-1, ids) for ids in expected])]
    assert decoded == oracle.decode_batch(expected, skip_special_tokens=True)


def with_regex(pattern: str, behavior: str = "Isolated", invert: bool = False) -> dict:
    return sequence("pretokenizers", split(pattern, behavior, invert), byte_level())


NORMALIZERS = {
    **{name: {"type": name} for name in ("NFC", "NFD", "NFKC", "NFKD", "Lowercase")},
    "Strip": {"type": "Strip", "strip_left": True, "strip_right": True},
    "left": {"type": "Strip", "strip_left": True, "strip_right": False},
    "regex": {"type": "Replace", "pattern": {"Regex": r"\s{2,}|\p{Nd}+"}, "content": "_"},
    "sequence": sequence(
        "normalizers",
        {"type": "NFKC"},
        sequence("normalizers", {"type": "Lowercase"}, {"type": "Prepend", "prepend": ">"}),
    ),
}
PRE_TOKENIZERS = {
    "digits": {"type": "Digits", "individual_digits": False},
    "digit": {"type": "Digits", "individual_digits": True},
    "whitespace": {"type": "Whitespace"},
    "whitespace-split": {"type": "WhitespaceSplit"},
    "punctuation": {"type": "Punctuation", "behavior": "Contiguous"},
}
PATTERNS = [
    *(
        rf"\p{{{name}}}"
        for name in [
            *("L", "Lu", "Ll", "Lt", "Lm", "Lo", "M", "Mn", "N", "Nd", "Nl", "P", "Pd", "S", "Sc"),
            *("Z", "Cf", "Cn"),
        ]
    ),
    *(rf"\p{{{name}}}+" for name in ("Han", "Hangul", "Latin", "Thai", "Alphabetic", "^L")),
    r"\w+",
    r"\W+",
    # Oniguruma's \w of a class lacks the superscripts and fractions of Latin 1.
    r"[\w]+",
    r"[^\w\s]+",
    r"[\W_]+|(?<=[\w-])\d",
    r"[a-c-e]|[\d-]+",
    r"\d",
    r"\s",
    r"\S+",
    r".",
    r"(?i:'(?:[sdmt]|ll|ve|re)|k+)",
    r"(?i)a|the|'s",
    r"[^\s\p{L}]+?(?=a|$)",
    r"a$|(?<=\s)\p{L}|(?<!\p{L})\d+",
    r"^\s+|\bth|\Bo",
    r"\A.|a\z",
    r"[\p{L}\p{N}&&[^a-m\p{Lu}]]+",
    r"a?+[ab]|e*+t| ++\S",
    r"\d{2,3}?|o{,2}n|\p{N}{1,3}+",
    r"(?:th(?:e|is)|t)+|\x{4e00}|\u4f60|\x41",
    r"(?:(?:(?:){1000}){1000}){1000}a",
    # Groups and looks in a row, more than may lie within another.
    "|".join(f"(?:{chr(97 + i % 26)})" for i in range(120)),
    "|".join(f"{chr(97 + i % 26)}(?=e)" for i in range(120)),
]


@pytest.mark.parametrize("name", NORMALIZERS)
def test_normalizer(name: str, tmp_path: Path):
    texts = NASTY + awkward_texts(500, seed=8)
    compare(changed(normalizer=NORMALIZERS[name]), tmp_path, texts + UNICODE)


@pytest.mark.parametrize("form", ["NFC", "NFKD", "Lowercase"])
def test_first_behind_a_normalizer(form: str, tmp_path: Path):
    """A marker goes before what is made of the text's first character."""
    tokenizer = json.loads(family("mistral"))
    right = {"type": "Strip", "strip_left": False, "strip_right": True}
    space = {"type": "Replace", "pattern": {"String": " "}, "content": "__"}
    tokenizer["normalizer"] = sequence("normalizers", {"type": form}, right, space)
    for added in tokenizer["added_tokens"]:
        added["normalized"] = False
    text = json.dumps(tokenizer)
    texts = NASTY + awkward_texts(500, seed=16) + [" \u0301a", "\ufb01", "\u0130a", " <s> a"]
    oracle = Tokenizer.from_str(text)
    expected = [e.ids for e in oracle.encode_batch(texts, add_special_tokens=False)]
    assert Driver(text, tmp_path).encode([t.encode() for t in texts]) == expected


@pytest.mark.parametrize("name", PRE_TOKENIZERS)
def test_pre_tokenizer(name: str, tmp_path: Path):
    steps = sequence("pretokenizers", PRE_TOKENIZERS[name], byte_level())
    compare(changed(pre_tokenizer=steps), tmp_path, NASTY + awkward_texts(300, seed=9) + UNICODE)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_pattern(pattern: str, tmp_path: Path):
    texts = NASTY + awkward_texts(300, seed=10) + UNICODE[::20]
    # What is not matched is removed, so that every match shows.
    compare(changed(pre_tokenizer=with_regex(pattern, "Removed", True)), tmp_path, texts)


@pytest.mark.parametrize(
    ("behavior", "invert"),
    itertools.product(
        ["Isolated", "Removed", "MergedWithPrevious", "MergedWithNext", "Contiguous"],
        [False, True],
    ),
)
def test_behavior(behavior: str, invert: bool, tmp_path: Path):
    texts = NASTY + awkward_texts(500, seed=11)
    compare(changed(pre_tokenizer=with_regex(r"\s|e|\p{N}", behavior, invert)), tmp_path, texts)


def test_added_tokens_that_stand_alone_or_are_normalized(tmp_path: Path):
    tokenizer = json.loads(family("gpt2"))
    first = max(t["id"] for t in tokenizer["added_tokens"]) + 1
    tokenizer["normalizer"] = {"type": "Lowercase"}
    tokenizer["added_tokens"] += [
        token(first, "Alone", single_word=True),
        token(first + 1, "MixedCase", normalized=True, special=False),
        token(first + 2, "\u4f60\u597d", special=False),
        token(first + 3, "\u00e9\u00e9", special=False),
    ]
    words = [
        "Alone",
        "alone",
        "MixedCase",
        "mixedcase",
        "\u4f60\u597d",
        "\u00e9\u00e9",
        ".",
        "\u0301",
        "_",
        "5",
        "\u200d",
        " ",
    ]
    source = random.Random(12)
    texts = ["".join(source.choices(words, k=6)) for _ in range(500)]
    compare(json.dumps(tokenizer), tmp_path, texts + awkward_texts(200, seed=13))


def test_added_tokens_of_white_space_and_twice(tmp_path: Path):
    """One token takes spaces along that are another's: nothing is left of that one."""
    tokenizer = json.loads(family("gpt2"))
    first = max(t["id"] for t in tokenizer["added_tokens"]) + 1
    strips = {
        "\n": {"lstrip": True, "rstrip": True},
        "<e>": {"rstrip": True},
        " ": {"lstrip": True},
    }
    tokens = [token(first + i, c, special=False, **strips[c]) for i, c in enumerate(strips)]
    tokenizer["added_tokens"] += [*tokens, *tokens]
    # With more spaces, where a match would end before its begin, the oracle panics.
    texts = ["a\n\nb", "a\nb", "<e> b", "<e> ", "a b"]
    compare(json.dumps(tokenizer), tmp_path, texts)


DECODERS = {
    "strip": [{"type": "Strip", "content": "e", "start": 1, "stop": 0}, {"type": "Fuse"}],
    "regex": [{"type": "Replace", "pattern": {"Regex": "[a-e]+"}, "content": "-"}],
    "strip of the text": [
        {"type": "Replace", "pattern": {"String": "\u2581"}, "content": " "},
        {"type": "Fuse"},
        {"type": "Strip", "content": " ", "start": 1, "stop": 0},
    ],
    "strip behind a metaspace": [
        {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "always", "split": True},
        {"type": "ByteFallback"},
        {"type": "Fuse"},
        {"type": "Strip", "content": " ", "start": 1, "stop": 0},
    ],
    "metaspace": [
        {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "never", "split": True}
    ],
}


@pytest.mark.parametrize("name", DECODERS)
def test_decoder(name: str, tmp_path: Path):
    tokenizer = json.loads(family("llama2"))
    tokenizer["decoder"] = sequence("decoders", *DECODERS[name])
    # Read as a byte by the definition: digits may have a sign there.
    tokenizer["model"]["vocab"]["<0x+A>"] = len(tokenizer["model"]["vocab"])
    tokenizer["added_tokens"] = tokenizer["added_tokens"][:3]
    text = json.dumps(tokenizer)
    compare(text, tmp_path, NASTY + awkward_texts(300, seed=14))
    # What begins a text, in any order, also where the first tokens give nothing.
    vocabulary = tokenizer["model"]["vocab"]
    ids = [vocabulary[p] for p in ("<0x20>", "<0x+A>", "\u2581", "h", "</s>")]
    lists = [list(some) for n in (1, 2, 3) for some in itertools.product(ids, repeat=n)]
    ours = Driver(text, tmp_path).decode([(-1, some) for some in lists])
    wanted = Tokenizer.from_str(text).decode_batch(lists, skip_special_tokens=True)
    assert [decoded.decode() for decoded in ours] == wanted


@pytest.mark.parametrize("name", FAMILIES)
def test_bytes_survive_and_stream(name: str, tmp_path: Path):
    """Also those that are no UTF-8; token by token as all at once."""
    if name in ("qwen2", "gpt2-prefix"):
        pytest.skip("its normal form, or its first space, changes texts")
    source = random.Random(15)
    texts = [bytes(source.randrange(256) for _ in range(30)) for _ in range(100)]
    texts = [t.translate(None, b"<[\n \t\r\v\f\x85\xa0") for t in texts]
    texts += [t.encode() for t in ("Once \U0001f600 upon\u0301", "\u4f60\u597d 12345")]
    ours = Driver(family(name), tmp_path)
    lists = ours.encode(texts)
    assert ours.decode([(-1, ids) for ids in lists]) == texts
    steps = [(p, [i]) for ids in lists for p, i in itertools.pairwise([-1, *ids])]
    assert b"".join(ours.decode(steps)) == b"".join(texts)


@pytest.mark.parametrize("name", ["llama3", "o200k", "qwen2", "gemma", "deepseek"])
@pytest.mark.parametrize("character", ["a", "A", " ", "\n", "1", "\u0301", "!", "\u4f60"])
def test_a_long_word_takes_little_time(name: str, character: str, tmp_path: Path):
    text = family(name)
    driver = Driver(text, tmp_path)
    driver.timeout = 10  # seconds, on a machine that is busy; 0.1 to 0.8 on a quiet one
    ids = driver.encode([character.encode() * (1_000_000 // len(character.encode()))])[0]
    assert len(driver.decode([(-1, ids)])[0]) >= 999_999


@pytest.mark.parametrize("name", ["qwen2", "kimi", "mistral", "gemma"])
def test_damaged_tables_do_no_harm(name: str, tmp_path: Path):
    path = tmp_path / "tokenizer.json"
    path.write_text(family(name), encoding="utf-8")
    done = subprocess.run([PROGRAM, "--fuzz", "1000", path], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "survived 1000\n"), done.stderr


def test_escaped_surrogates_of_every_plane(tmp_path: Path):
    """LLVM's JSON reads some pairs as other characters; json.dumps writes pairs."""
    tokenizer = json.loads(family("llama2"))
    tokenizer["added_tokens"] = tokenizer["added_tokens"][:3]
    fresh = len(tokenizer["model"]["vocab"])
    points = [0x10000, 0x1F600, 0x2FFFF, 0x3ABCD, 0xE0001, 0xF0000, 0x10FFFD]
    for index, point in enumerate(points):
        tokenizer["model"]["vocab"][chr(point) * 2] = fresh + index
        tokenizer["added_tokens"].append(token(fresh + index, chr(point) * 2, special=False))
    ours = Driver(json.dumps(tokenizer), tmp_path)
    assert ours.encode([(chr(p) * 2).encode() for p in points]) == [
        [fresh + i] for i in range(len(points))
    ]


@pytest.mark.parametrize("pattern", [r"\x{e0}", r"[\x{e0}-\x{e5}]", r"[[:-@]]", "(?:b?){2}c"])
def test_rare_spellings_of_patterns(tmp_path: Path, pattern: str):
    replaced = {"type": "Replace", "pattern": {"Regex": pattern}, "content": "#"}
    texts = ["\u00e0bc \u00e3\u00c3 \u00e6", "bbbc c bc", ":;@[]-", *NASTY]
    compare(changed(normalizer=replaced), tmp_path, texts)


def test_begin_of_a_text_that_is_normalized(tmp_path: Path):
    """BOS is known by its name as the file has it: what follows begins a text. (The oracle
    shows a special token whose name the normalizer changes; docs/Tokenizers.md.)"""
    tokenizer = json.loads(family("llama2"))
    assert tokenizer.pop("post_processor")
    for added in tokenizer["added_tokens"]:
        if added["content"] == "<s>":
            added["normalized"] = True
            bos = added["id"]
    oracle = Tokenizer.from_str(json.dumps(tokenizer))
    ids = oracle.encode("a b", add_special_tokens=False).ids
    driver = Driver(json.dumps(tokenizer), tmp_path)
    assert driver.decode([(-1, [bos, *ids]), (bos, ids)]) == [b"a b"] * 2
    assert oracle.decode(ids) == "a b"
