"""`qtale eval`: how well a compiled model predicts a text."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import time
from pathlib import Path

import numpy as np

from qtale.cli.progress import Progress
from qtale.errors import UserError


def register(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "eval",
        help="measure the perplexity of a compiled model on a text",
        description=(
            "Perplexity: exp of the mean negative log-likelihood (nats) of every token but "
            "the first in windows of N tokens, without overlap. Lower is better; use it to compare "
            "the same model compiled with other --weights."
        ),
    )
    parser.add_argument("artifact", type=Path, metavar="ARTIFACT", help="a compiled model (m.so)")
    text = parser.add_mutually_exclusive_group(required=True)
    text.add_argument(
        "--text",
        type=Path,
        metavar="FILE",
        help="UTF-8 text; BOS goes before it, once",
    )
    text.add_argument(
        "--ids", type=Path, metavar="FILE.npy", help="token ids, integers of shape [N] or [1, N]"
    )
    parser.add_argument(
        "--context",
        type=int,
        metavar="N",
        help="tokens of a window (default: as many as the model takes)",
    )
    parser.add_argument("--threads", type=int, metavar="N", help="default: all cores")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> None:
    from qtale.artifact import load
    from qtale.perplexity import perplexity

    with load(arguments.artifact) as artifact:
        if artifact.vocab == 0:
            raise UserError(f"{arguments.artifact}: is no language model with a session")
        if arguments.ids:
            tokens = _read_ids(arguments.ids)
        else:
            bos = [] if artifact.bos is None else [artifact.bos]
            ids = artifact.tokenizer.encode(_read_text(arguments.text))
            tokens = np.array(bos + ids, np.int32)
        start = time.perf_counter()
        with Progress("Evaluating", "tokens") as bar:
            result = perplexity(artifact, tokens, arguments.context, arguments.threads, bar.advance)
        seconds = time.perf_counter() - start
    if arguments.json:
        print(json.dumps(dataclasses.asdict(result)))
    else:
        print(f"perplexity {result.perplexity:.4f}")
    print(
        f"{result.tokens} tokens in {result.windows} windows of {result.context}, "
        f"{result.tokens / seconds:.0f} tokens/s",
        file=sys.stderr,
    )


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
