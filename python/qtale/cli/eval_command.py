"""`qtale eval`: how well a compiled model predicts a text."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import time
from pathlib import Path

from qtale.cli.progress import Progress
from qtale.cli.text_input import add_text_options, read_tokens


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
    add_text_options(parser)
    parser.add_argument(
        "--context",
        type=int,
        metavar="N",
        help="tokens of a window (default: as many as the model takes)",
    )
    routing = parser.add_mutually_exclusive_group()
    routing.add_argument(
        "--ratio",
        type=float,
        metavar="R",
        help="share of a routed model's units that run (needs a calibrated model)",
    )
    routing.add_argument(
        "--threshold",
        type=float,
        metavar="X",
        help="units of a routed model run where their probability reaches this",
    )
    parser.add_argument("--threads", type=int, metavar="N", help="default: all cores")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> None:
    from qtale.artifact import load
    from qtale.perplexity import perplexity

    with load(arguments.artifact) as artifact:
        tokens = read_tokens(arguments, artifact)
        start = time.perf_counter()
        with Progress("Evaluating", "tokens") as bar:
            result = perplexity(
                artifact,
                tokens,
                arguments.context,
                arguments.threads,
                arguments.threshold,
                arguments.ratio,
                bar.advance,
            )
        seconds = time.perf_counter() - start
    if arguments.json:
        print(json.dumps(dataclasses.asdict(result)))
    else:
        print(f"perplexity {result.perplexity:.4f}")
    if result.ratio is not None:
        print(f"{100 * result.ratio:.1f}% of what routers decide about ran", file=sys.stderr)
    print(
        f"{result.tokens} tokens in {result.windows} windows of {result.context}, "
        f"{result.tokens / seconds:.0f} tokens/s",
        file=sys.stderr,
    )
