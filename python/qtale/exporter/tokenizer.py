"""llama2.c's tok*.bin as a `tokenizer.json`.

    int32 longest piece, then per id:  float32 score | int32 length | bytes
    id 0 <unk>, 1 <s>, 2 </s>, 3 .. 258 the bytes <0x00> .. <0xFF>, then the pieces

llama2.c joins the neighbours whose concatenation is the piece with the highest score, until there
is none. A BPE tokenizer joins the neighbours whose *pair* has the lowest rank. They agree when the
pairs are all those of pieces that make a piece, ranked by its score.
"""

from __future__ import annotations

import json
import struct
from pathlib import Path

from qtale.errors import UserError

_SPECIAL = ("<unk>", "<s>", "</s>")
_FIRST_PIECE = 259
_SPACE = "\u2581"


def convert_llama2c_tokenizer(path: Path, vocab_size: int) -> str:
    """The text of `tokenizer.json`."""
    pieces, scores = _read(path, vocab_size)
    vocab = {piece: index for index, piece in enumerate(pieces)}
    if len(vocab) != len(pieces):
        seen: set[str] = set()
        twice = next(p for p in pieces if p in seen or seen.add(p))  # type: ignore[func-returns-value]
        raise UserError(f"{path}: the piece {twice!r} stands twice in the vocabulary")
    merges = []
    for index in range(_FIRST_PIECE, len(pieces)):
        piece = pieces[index]
        for split in range(1, len(piece)):
            left, right = piece[:split], piece[split:]
            if min(vocab.get(left, 0), vocab.get(right, 0)) >= _FIRST_PIECE:
                merges.append((-scores[index], index, vocab[left], [left, right]))
    merges.sort()
    added = [
        {
            "id": index,
            "content": content,
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
            "special": True,
        }
        for index, content in enumerate(_SPECIAL)
    ]
    tokenizer = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added,
        # Text that is not empty begins with a space.
        "normalizer": {
            "type": "Sequence",
            "normalizers": [
                {"type": "Prepend", "prepend": _SPACE},
                {"type": "Replace", "pattern": {"String": " "}, "content": _SPACE},
            ],
        },
        "pre_tokenizer": None,
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [
                {"SpecialToken": {"id": "<s>", "type_id": 0}},
                {"Sequence": {"id": "A", "type_id": 0}},
            ],
            "pair": [
                {"SpecialToken": {"id": "<s>", "type_id": 0}},
                {"Sequence": {"id": "A", "type_id": 0}},
                {"SpecialToken": {"id": "<s>", "type_id": 1}},
                {"Sequence": {"id": "B", "type_id": 1}},
            ],
            "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}},
        },
        "decoder": {
            "type": "Sequence",
            "decoders": [
                {"type": "Replace", "pattern": {"String": _SPACE}, "content": " "},
                {"type": "ByteFallback"},
                {"type": "Fuse"},
                {"type": "Strip", "content": " ", "start": 1, "stop": 0},
            ],
        },
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": "<unk>",
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": True,
            "byte_fallback": True,
            "ignore_merges": False,
            "vocab": vocab,
            "merges": [pair for _, _, _, pair in merges],
        },
    }
    return json.dumps(tokenizer, ensure_ascii=False, indent=1) + "\n"


def _read(path: Path, vocab_size: int) -> tuple[list[str], list[float]]:
    """Pieces (spaces as U+2581, special ones by their usual names) and scores, by id."""
    data = path.read_bytes()
    pieces, scores, at = [], [], 4
    for index in range(vocab_size):
        if at + 8 > len(data):
            raise UserError(
                f"{path}: ends after {index} of the checkpoint's {vocab_size} pieces; "
                "give the tokenizer of this checkpoint with --tokenizer"
            )
        score, length = struct.unpack_from("<fi", data, at)
        at += 8
        if length < 0 or at + length > len(data):
            raise UserError(f"{path}: damaged at piece {index} (length {length})")
        try:
            piece = data[at : at + length].decode()
        except UnicodeDecodeError as error:
            raise UserError(f"{path}: piece {index} is not UTF-8: {error}") from error
        at += length
        pieces.append(_SPECIAL[index] if index < len(_SPECIAL) else piece.replace(" ", _SPACE))
        scores.append(score)
    if at != len(data):
        raise UserError(
            f"{path}: has more pieces than the checkpoint's vocabulary of {vocab_size}; "
            "give the tokenizer of this checkpoint with --tokenizer"
        )
    for byte, piece in enumerate(pieces[3:_FIRST_PIECE]):
        if piece != f"<0x{byte:02X}>":
            raise UserError(f"{path}: piece {byte + 3} should be <0x{byte:02X}>, but is {piece!r}")
    return pieces, scores
