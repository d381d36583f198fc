"""The text that a command measures on: --text FILE, or --ids FILE.npy."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from qtale.artifact import Artifact
from qtale.errors import UserError


def add_text_options(parser: argparse.ArgumentParser) -> None:
    text = parser.add_mutually_exclusive_group(required=True)
    text.add_argument(
        "--text",
        type=Path,
        metavar="FILE",
        help="UTF-8 text; BOS goes before it, once, if its tokenizer has one there",
    )
    text.add_argument(
        "--ids", type=Path, metavar="FILE.npy", help="token ids, integers of shape [N] or [1, N]"
    )


def read_tokens(arguments: argparse.Namespace, artifact: Artifact) -> np.ndarray:
    """Integers [count]."""
    if artifact.vocab == 0:
        raise UserError(f"{artifact.path}: is no language model with a session")
    if arguments.ids:
        return _read_ids(arguments.ids)
    bos = [] if artifact.bos is None else [artifact.bos]
    ids = artifact.tokenizer.encode(_read_text(arguments.text))
    return np.array(bos + ids, np.int32)


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 ({error})") from error


def _read_ids(path: Path) -> np.ndarray:
    try:
        ids = np.load(path, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise UserError(f"{path}: not a .npy file: {error}") from error
    if (
        not isinstance(ids, np.ndarray)
        or ids.dtype.kind not in "iu"
        or ids.shape not in ((ids.size,), (1, ids.size))
    ):
        raise UserError(f"{path}: must hold integers of shape [N] or [1, N]")
    return ids.reshape(-1)
