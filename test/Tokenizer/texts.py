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
