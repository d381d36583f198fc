"""Tokenizers in the form of published models, trained on the spot.

    family("qwen2")  ->  the text of a tokenizer.json

The components are those of the models' own files; vocabularies are small, so that training takes a
second, and have what matters: merges of letters, marks, digits and spaces of many scripts.
"""

from __future__ import annotations

import functools
import itertools
import json
import random

from texts import NASTY, awkward_texts, random_texts
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

MARKER = "\u2581"

GPT2 = r"""'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"""
LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
CL100K = (
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+"
    r"|\s++$|\s*[\r\n]|\s+(?!\S)|\s"
)
_UPPER, _LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_CONTRACTED = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
O200K = "|".join(
    [
        rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}*{_LOWER}+{_CONTRACTED}",
        rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}+{_LOWER}*{_CONTRACTED}",
        r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    ]
)
TEKKEN = O200K.replace(_CONTRACTED, "").replace(r"\p{N}{1,3}", r"\p{N}")
DEEPSEEK = (
    r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"
    r"| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
KIMI = "|".join(
    [
        r"[\p{Han}]+",
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*"
        r"[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+" + _CONTRACTED,
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+"
        r"[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*" + _CONTRACTED,
        r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    ]
)


def split(pattern: str, behavior: str = "Isolated", invert: bool = False, kind="Regex") -> dict:
    return {"type": "Split", "pattern": {kind: pattern}, "behavior": behavior, "invert": invert}


def byte_level(regex: bool = False, prefix: bool = False) -> dict:
    return {
        "type": "ByteLevel",
        "add_prefix_space": prefix,
        "trim_offsets": True,
        "use_regex": regex,
    }


def sequence(kind: str, *steps: dict) -> dict:
    return {"type": "Sequence", kind: list(steps)}


def bytes_split(*patterns: str) -> dict:
    return sequence("pretokenizers", *(split(p) for p in patterns), byte_level())


def replace(old: str, new: str) -> dict:
    return {"type": "Replace", "pattern": {"String": old}, "content": new}


def begins_with(token: str, index: int) -> dict:
    return {
        "type": "TemplateProcessing",
        "single": [
            {"SpecialToken": {"id": token, "type_id": 0}},
            {"Sequence": {"id": "A", "type_id": 0}},
        ],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {token: {"id": token, "ids": [index], "tokens": [token]}},
    }


def sentencepiece_decoder(strip: bool) -> dict:
    steps = [replace(MARKER, " "), {"type": "ByteFallback"}, {"type": "Fuse"}]
    if strip:
        steps.append({"type": "Strip", "content": " ", "start": 1, "stop": 0})
    return sequence("decoders", *steps)


def metaspace(scheme: str, words: bool) -> dict:
    return {
        "type": "Metaspace",
        "replacement": MARKER,
        "prepend_scheme": scheme,
        "split": words,
    }


_LLAMA2 = sequence("normalizers", {"type": "Prepend", "prepend": MARKER}, replace(" ", MARKER))
# name: normalizer, pre-tokenizer, decoder (None: ByteLevel), changes of the model
FAMILIES: dict[str, tuple[dict | None, dict | None, dict | None, dict]] = {
    "gpt2": (None, byte_level(regex=True), None, {}),
    "gpt2-prefix": (None, byte_level(regex=True, prefix=True), None, {}),
    "llama3": (None, bytes_split(LLAMA3), None, {"ignore_merges": True}),
    "qwen2": ({"type": "NFC"}, bytes_split(QWEN2), None, {}),
    "cl100k": (None, bytes_split(CL100K), None, {}),
    "o200k": (None, bytes_split(O200K), None, {}),
    "tekken": (None, bytes_split(TEKKEN), None, {"ignore_merges": True}),
    "kimi": (None, bytes_split(KIMI), None, {}),
    "deepseek": (
        None,
        bytes_split(r"\p{N}{1,3}", "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+", DEEPSEEK),
        None,
        {},
    ),
    "starcoder": (
        None,
        sequence(
            "pretokenizers",
            {"type": "Digits", "individual_digits": True},
            byte_level(regex=True),
        ),
        None,
        {},
    ),
    "llama2": (_LLAMA2, None, sentencepiece_decoder(True), {"byte_fallback": True}),
    "mistral": (
        None,
        metaspace("first", False),
        sentencepiece_decoder(True),
        {"byte_fallback": True},
    ),
    "gemma": (
        replace(" ", MARKER),
        split(" ", "MergedWithPrevious", kind="String"),
        sentencepiece_decoder(False),
        {"byte_fallback": True},
    ),
}

_CONTROL = ["<unk>", "<s>", "</s>"]
_BYTES = [f"<0x{byte:02X}>" for byte in range(256)]


def _corpus() -> list[str]:
    source = random.Random(5)
    texts = [*NASTY, *random_texts(1500, seed=3), *awkward_texts(2500, seed=4)]
    texts += [str(source.randrange(10**9)) for _ in range(500)]
    texts += ["The quick brown fox isn't lazy; they'll say: 'WE'RE READY!'\n\n"] * 20
    return texts


def added(content: str, **changes: bool) -> dict:
    fields = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    return {"id": -1, "content": content, **fields, "special": True, **changes}


@functools.cache
def family(name: str) -> str:
    """The text of a tokenizer.json, with added tokens of several kinds."""
    normalizer, pre_tokenizer, decoder, changes = FAMILIES[name]
    fallback = changes.get("byte_fallback", False)
    trained = Tokenizer(models.BPE(byte_fallback=fallback, unk_token="<unk>" if fallback else None))
    shell = json.loads(trained.to_str())
    # A normalizer of marks needs spaces split, or merges would run over whole texts.
    shell.update(
        normalizer=normalizer,
        pre_tokenizer=pre_tokenizer
        if not fallback
        else sequence("pretokenizers", metaspace("first", True)),
    )
    trained = Tokenizer.from_str(json.dumps(shell))
    alphabet = [] if fallback else pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=2500,
        special_tokens=[*_CONTROL, *(_BYTES if fallback else [])],
        initial_alphabet=alphabet,
        limit_alphabet=300,
        show_progress=False,
    )
    trained.train_from_iterator(_corpus(), trainer)
    result = json.loads(trained.to_str())
    result["normalizer"], result["pre_tokenizer"] = normalizer, pre_tokenizer
    result["decoder"] = decoder or byte_level(regex=True, prefix=True)
    result["post_processor"] = begins_with("<s>", 1)
    result["model"].update({"fuse_unk": fallback, **changes})
    first = max(result["model"]["vocab"].values()) + 1
    tokens = [
        *(added(name) for name in _CONTROL),
        added("<|im_start|>"),
        added("<|im_end|>"),
        added("<|im_end|><|long|>"),
        added("[strip]", lstrip=True, rstrip=True),
        added("<tool_call>", special=False),
        added("word", special=False, single_word=True),
        added("two  normal", special=False, normalized=True),
        # As Gemma has them.
        *(added("\n" * n, special=False) for n in range(2, 6)),
        *(added(f"<unused{n}>") for n in range(40)),
    ]
    # Training may have made a piece of what is added.
    fresh = itertools.count(first)
    for token in tokens:
        known = result["model"]["vocab"].get(token["content"])
        token["id"] = next(fresh) if known is None else known
    result["added_tokens"] = sorted(tokens, key=lambda token: token["id"])
    return json.dumps(result)
