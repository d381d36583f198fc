"""Our flat tables against Hugging Face tokenizers, the definition of tokenizer.json."""

from __future__ import annotations

import copy
import itertools
import json
import random
import struct
import subprocess

import pytest
from texts import NASTY, TOK512, random_texts
from tokenizer_driver import PROGRAM, Driver, tok512_text
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

MARKER = "\u2581"


def token(index: int, content: str, **changes: bool) -> dict:
    fields = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    return {"id": index, "content": content, **fields, "special": True, **changes}


def metaspace(scheme: str, split: bool = False) -> dict:
    return {"type": "Metaspace", "replacement": MARKER, "prepend_scheme": scheme, "split": split}


def variant(base: dict, name: str) -> dict:
    """A tokenizer like those of published models, over the pieces of tok512."""
    tokenizer = copy.deepcopy(base)
    model = tokenizer["model"]
    if name.startswith("metaspace"):
        _, scheme, split = name.split("-")
        tokenizer["normalizer"] = None
        tokenizer["pre_tokenizer"] = metaspace(scheme, split == "words")
        tokenizer["decoder"] = metaspace(scheme)
    elif name == "merges-as-text":
        model["merges"] = [" ".join(pair) for pair in model["merges"]]
    elif name == "ignore-merges":
        model["ignore_merges"] = True
        model["merges"] = model["merges"][:40]
        tokenizer["normalizer"] = None
        tokenizer["pre_tokenizer"] = metaspace("always", True)
    elif name in ("unk-fused", "unk-single"):
        model["fuse_unk"] = name == "unk-fused"
        model["byte_fallback"] = False
    elif name == "bytes-missing":
        # Some bytes without a token: such a character is unknown, its neighbours are not.
        for byte in (0x98, 0x81):
            model["vocab"][f"gone {byte}"] = model["vocab"].pop(f"<0x{byte:02X}>")
    elif name == "no-unk":
        model["unk_token"] = None
        model["byte_fallback"] = False
    elif name == "added-tokens":
        tokenizer["added_tokens"] += [
            token(512, "<|im|>"),
            token(513, "<|im|><|long|>"),
            token(514, "[strip]", lstrip=True, rstrip=True),
            token(515, "plain word", special=False),
            token(516, "two  normal", normalized=True, special=False),
            token(517, "<|im|"),
        ]
    elif name == "normalized-specials":
        for added in tokenizer["added_tokens"]:
            added["normalized"] = True
    elif name == "no-normalizer":
        tokenizer["normalizer"] = None
    else:
        assert name == "tok512"
    return tokenizer


VARIANTS = [
    "tok512",
    *(f"metaspace-{s}-{w}" for s in ("always", "first", "never") for w in ("whole", "words")),
    "merges-as-text",
    "ignore-merges",
    "unk-fused",
    "unk-single",
    "bytes-missing",
    "no-unk",
    "added-tokens",
    "normalized-specials",
    "no-normalizer",
]
ADDED_TEXTS = [
    "a<|im|>b<|im|><|long|>c<|im|x",
    "x \t\u3000[strip]\u2009 \n y [strip] [strip]z",
    "plain word and two  normal, two  normal",
    "[strip]<|im|>[strip]",
    "plain wordplain word",
]


@pytest.mark.parametrize("name", VARIANTS)
def test_same_ids(name, tmp_path):
    text = json.dumps(variant(json.loads(tok512_text()), name))
    oracle = Tokenizer.from_str(text)
    texts = NASTY + ADDED_TEXTS + random_texts(400)
    ours = Driver(text, tmp_path).encode([text.encode() for text in texts])
    for text, ids in zip(texts, ours, strict=True):
        assert ids == oracle.encode(text, add_special_tokens=False).ids, repr(text)


@pytest.mark.parametrize("name", VARIANTS)
def test_same_text(name, tmp_path):
    text = json.dumps(variant(json.loads(tok512_text()), name))
    oracle = Tokenizer.from_str(text)
    source = random.Random(3)
    lists = [oracle.encode(text).ids for text in NASTY + ADDED_TEXTS + random_texts(200)]
    # Also ids in any order, without the bytes above 7F, which need not be UTF-8 together.
    lists += [
        [source.choice([*range(131), *range(259, 520)]) for _ in range(20)] for _ in range(200)
    ]
    ours = Driver(text, tmp_path).decode([(-1, ids) for ids in lists])
    for ids, decoded in zip(lists, ours, strict=True):
        # The oracle compares names to skip, and misses those that a normalizer changes.
        plain = [i for i in ids if i > 2]
        assert decoded.decode() == oracle.decode(plain, skip_special_tokens=True), ids


def test_a_trained_tokenizer_with_bytes(tmp_path):
    """Thousands of merges that no script of ours has made, some to the same piece by two ways."""
    oracle = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    oracle.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=True)
    oracle.decoder = decoders.Sequence(
        [
            decoders.Metaspace(prepend_scheme="first"),
            decoders.ByteFallback(),
            decoders.Fuse(),
        ]
    )
    corpus = [str(help_text) for help_text in (random.__doc__, json.__doc__, struct.__doc__)]
    corpus += random_texts(3000, seed=21)
    specials = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    trainer = trainers.BpeTrainer(vocab_size=3000, special_tokens=specials, limit_alphabet=200)
    oracle.train_from_iterator(corpus, trainer)
    tokenizer = json.loads(oracle.to_str())
    # Byte tokens are pieces of the model, not tokens to look for in a text.
    tokenizer["added_tokens"] = tokenizer["added_tokens"][:3]
    oracle = Tokenizer.from_str(json.dumps(tokenizer))
    assert len(tokenizer["model"]["merges"]) > 1000
    ours = Driver(json.dumps(tokenizer), tmp_path)
    texts = NASTY + random_texts(1000, seed=22)
    expected = [oracle.encode(text).ids for text in texts]
    assert ours.encode([text.encode() for text in texts]) == expected
    decoded = ours.decode([(-1, ids) for ids in expected])
    assert [text.decode() for text in decoded] == [oracle.decode(ids) for ids in expected]


def llama2c_encode(text: str) -> list[int]:
    """llama2.c's own algorithm, from its own file: join the best-scored neighbours, repeatedly."""
    data, at, pieces, scores = TOK512.read_bytes(), 4, [], []
    while at < len(data):
        score, length = struct.unpack_from("<fi", data, at)
        pieces.append(data[at + 8 : at + 8 + length].decode())
        scores.append(score)
        at += 8 + length
    ids = []
    for character in " " + text if text else "":
        if character in pieces:
            ids.append(pieces.index(character))
        else:
            ids += [byte + 3 for byte in character.encode()]
    while True:
        joined = [pieces[a] + pieces[b] for a, b in itertools.pairwise(ids)]
        best = max(
            (i for i, piece in enumerate(joined) if piece in pieces),
            key=lambda i: (scores[pieces.index(joined[i])], -i),
            default=None,
        )
        if best is None:
            return ids
        ids[best : best + 2] = [pieces.index(joined[best])]


def test_agrees_with_llama2c(tmp_path):
    texts = ["Once upon a time, there was a little girl named Lily.", "\u00e9\U0001f600 caf\u00e9"]
    texts += [t for t in random_texts(150, seed=5) if "<" not in t and MARKER not in t]
    ours = Driver(tok512_text(), tmp_path).encode([text.encode() for text in texts])
    assert ours == [llama2c_encode(text) for text in texts]


def test_bytes_that_are_no_utf8_survive(tmp_path):
    source = random.Random(9)
    texts = [b"\xff", b"\xc3", b"a\xe2\x82", b"\xed\xa0\x80", b"\xc0\xaf", b"\xf5\x80\x80\x80"]
    texts += [bytes(source.randrange(256) for _ in range(30)) for _ in range(100)]
    texts = [text.replace(b"<", b"(") for text in texts]
    tokenizer = Driver(tok512_text(), tmp_path)
    decoded = tokenizer.decode([(-1, ids) for ids in tokenizer.encode(texts)])
    assert decoded == texts
    # A byte that is no character is a byte token, 3 + its value.
    assert tokenizer.encode([b"\xff"])[0][-1] == 3 + 0xFF


def test_streaming_gives_the_same_bytes(tmp_path):
    tokenizer = Driver(tok512_text(), tmp_path)
    text = "Once upon a time \U0001f600 there"
    ids = [1, *tokenizer.encode([text.encode()])[0]]
    requests = [(p, [i]) for p, i in zip([-1, *ids], ids, strict=False)]
    pieces = tokenizer.decode(requests)
    assert b"".join(pieces) == text.encode()
    assert pieces[0] == b""  # BOS
    assert any(len(piece) == 1 and piece[0] > 0x7F for piece in pieces)  # half characters


def test_ids_without_a_piece_give_nothing(tmp_path):
    tokenizer = Driver(tok512_text(), tmp_path)
    assert tokenizer.decode([(5, [600, 2**31 - 1, 2])]) == [b""]
    assert tokenizer.decode_error(-1, [-5]).startswith("error 1 ")


def test_long_text_in_little_time(tmp_path):
    text = "Once upon a time, there was a little girl named Lily. " * 20000  # 1 MB, one word
    oracle = Tokenizer.from_str(tok512_text())
    assert Driver(tok512_text(), tmp_path).encode([text.encode()])[0] == oracle.encode(text).ids[1:]


def test_damaged_tables_do_no_harm(tmp_path):
    path = tmp_path / "tokenizer.json"
    path.write_text(tok512_text(), encoding="utf-8")
    done = subprocess.run([PROGRAM, "--fuzz", "3000", path], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "survived 3000\n"), done.stderr
