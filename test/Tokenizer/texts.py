"""Pieces, and texts that tokenizers stumble over."""

from __future__ import annotations

import random
from pathlib import Path

TOK512 = Path(__file__).resolve().parents[1] / "models/stories260K/tok512.bin"

NASTY = [
    "",
    " ",
    "   ",
    " " * 1000,
    "Once upon a time, there was a little girl named Lily.",
    " leading and trailing ",
    "two  spaces,   three",
    "tab\tnewline\ncarriage\r\n\x0b\x0c",
    "nul\x00inside",
    "\u2581",
    "\u2581\u2581 \u2581a",
    "caf\u00e9 cafe\u0301 \u00fcber",
    "\U0001f600\U0001f468\u200d\U0001f469\u200d\U0001f467 family",
    "\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35 \u4f60\u597d",
    "\u3053\u3093\u306b\u3061\u306f \ud55c\uad6d\uc5b4",
    "\u202eright to left\u202c \ufeffbom \u00a0nbsp\u3000wide",
    "a\u0300\u0301\u0302\u0303" * 20,
    "<s>",
    "<s><s></s>",
    "<s> Hi </s> there",
    "text<s>text</s>text",
    " <s> ",
    "<unk>",
    "<0x41> is no byte here",
    "<s",
    "<s></s",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" * 30,
    "the the the thethe tthhee",
    "\uffff\ue000\U0010ffff",
]


def random_texts(count: int, seed: int = 1) -> list[str]:
    """Words of the model's own kind, mixed with everything else."""
    source = random.Random(seed)
    words = ["Once", "upon", "a", "time", "there", "was", "little", "girl", "Lily", "said", "the"]
    odd = [" ", "  ", "\n", "<s>", "</s>", "<unk>", "\u2581", "\u00e9", "\U0001f600", "\u0301"]
    texts = []
    for _ in range(count):
        parts = []
        for _ in range(source.randint(1, 12)):
            kind = source.random()
            if kind < 0.5:
                parts.append(source.choice(words))
            elif kind < 0.8:
                parts.append(source.choice(odd))
            elif kind < 0.9:
                parts.append("".join(chr(source.randint(32, 126)) for _ in range(5)))
            else:
                point = source.choice([source.randint(1, 0xD7FF), source.randint(0xE000, 0x10FFFF)])
                parts.append(chr(point))
            if source.random() < 0.5:
                parts.append(" ")
        texts.append("".join(parts))
    return texts


# What Unicode distinguishes and tokenizers stumble over, by groups of code points.
_GROUPS: list[tuple[int, int]] = [
    (0x20, 0x7E),
    (0xA0, 0x24F),  # Latin
    (0x250, 0x2FF),
    (0x300, 0x36F),  # combining marks
    (0x370, 0x52F),  # Greek, Cyrillic
    (0x590, 0x6FF),  # Hebrew, Arabic
    (0x900, 0xDFF),  # scripts of India, with marks that decompose
    (0xE00, 0xEFF),
    (0x10A0, 0x1FFF),  # Georgian, Hangul jamo, …, Latin and Greek with marks
    (0x2000, 0x206F),  # spaces, joiners, directions
    (0x2070, 0x2BFF),  # digits, signs
    (0x3000, 0x30FF),
    (0x4E00, 0x9FFF),
    (0xA640, 0xABFF),
    (0xAC00, 0xD7A3),
    (0xF900, 0xFFFD),  # compatibility forms
    (0x10000, 0x10FFF),
    (0x11000, 0x16FFF),
    (0x1D000, 0x1D7FF),  # musical signs, letters of mathematics
    (0x1F000, 0x1FBFF),
    (0x20000, 0x323AF),
    (0xE0000, 0xE01EF),
    (1, 0xD7FF),
    (0xE000, 0x10FFFF),
]
_SPACES = [
    " ",
    "  ",
    "\t",
    "\n",
    "\r\n",
    "\n\n\n",
    "\u00a0",
    "\u2003",
    "\u3000",
    "\u0085",
    "\u200b",
]
_WORDS = [
    "it's", "IT'S", "we'LL", "they've", "I\u2019m", "'\u017f", "don't", "HelloWorld", "iPhone",
    "3.14159", "1234567", "\u0663\u0664\u0665\u0666", "\u2160\u2164", "x\u00b2", "\u00bd",
    "ca\u0301fe\u0301", "\u1e9b\u0323", "\u212b", "\ufb01n", "\u0130stanbul", "\u01c5", "\u0b4b",
    "\u1100\u1161\u11a8", "\uac00\u11a8", "a\u0301\u0316\u0302", "\u05d0\u05b7", "\u0344",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467", "\U0001f44d\U0001f3fd", "\U0001f1e9\U0001f1ea",
    "\u2764\ufe0f", "\u4f60\u597d\u4e16\u754c", "\u3053\u3093\u306b\u3061\u306f",
    "\ud55c\uad6d\uc5b4", "</p>\r\n", "<tool_call>", "\u2581",
    "\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35", "\u0928\u092e\u0938\u094d\u0924\u0947", "...",
    "<|im_start|>", "<|im_end|>", "<|im_end|><|long|>", "<|im_end|", "[strip]", "word",
    "words", "word.", "!?", "/*", "two  normal", "<s>", "</s>", "<unused7>", "<unused77>", "<0x41>",
]  # fmt: skip


def awkward_texts(count: int, seed: int = 1) -> list[str]:
    """Runs of every kind of character, stumbling blocks, spaces of all sorts, in any order."""
    source = random.Random(seed)

    def character() -> str:
        low, high = source.choice(_GROUPS)
        point = source.randint(low, high)
        return chr(point) if not 0xD800 <= point < 0xE000 else "\ufffd"

    def part() -> str:
        kind = source.random()
        if kind < 0.35:
            return source.choice(_WORDS)
        if kind < 0.55:
            return source.choice(_SPACES) * source.choice([1, 1, 1, 2, 3, 7])
        if kind < 0.65:
            return character() * source.choice([1, 2, 3, 30])
        if kind < 0.8:
            low, high = source.choice(_GROUPS[:-2])
            points = [source.randint(low, high) for _ in range(source.randint(1, 8))]
            return "".join(chr(p) for p in points if not 0xD800 <= p < 0xE000)
        return "".join(character() for _ in range(source.randint(1, 5)))

    return ["".join(part() for _ in range(source.randint(1, 10))) for _ in range(count)]
