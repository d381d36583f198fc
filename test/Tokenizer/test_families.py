"""Every family of tokenizers against Hugging Face tokenizers, which defines them.

`QTALE_TOKENIZER_STRINGS=100000` compares so many strings a family instead of 1,000.
"""

from __future__ import annotations

import os

import pytest
from families import FAMILIES, family
from texts import NASTY, awkward_texts
from tokenizer_driver import Driver
from tokenizers import Tokenizer

COUNT = int(os.environ.get("QTALE_TOKENIZER_STRINGS", "1000"))


@pytest.fixture(scope="module", params=FAMILIES)
def pair(request, tmp_path_factory) -> tuple[Driver, Tokenizer]:
    text = family(request.param)
    return Driver(text, tmp_path_factory.mktemp("tokenizer")), Tokenizer.from_str(text)


def strings() -> list[str]:
    return NASTY + awkward_texts(COUNT, seed=77)


def test_same_ids_and_the_same_text(pair):
    ours, oracle = pair
    texts = strings()
    expected = [oracle.encode(text, add_special_tokens=False).ids for text in texts]
    got = ours.encode([text.encode() for text in texts])
    different = [(t, e, g) for t, e, g in zip(texts, expected, got, strict=True) if e != g]
    assert not different, (len(different), different[:3])
    # Special tokens give no text; the oracle skips them by their names.
    decoded = [
        text.decode(errors="replace") for text in ours.decode([(-1, ids) for ids in expected])
    ]
    wanted = oracle.decode_batch(expected, skip_special_tokens=True)
    wrong = [(t, e, g) for t, e, g in zip(texts, wanted, decoded, strict=True) if e != g]
    assert not wrong, (len(wrong), wrong[:3])
