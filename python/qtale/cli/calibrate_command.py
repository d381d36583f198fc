"""`qtale calibrate`: which thresholds make which share of a routed model run."""

from __future__ import annotations

import argparse
from itertools import pairwise
from pathlib import Path

from qtale.cli.progress import Progress
from qtale.cli.text_input import add_text_options, read_tokens


def register(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "calibrate",
        help="let a compiled routed model run at a chosen ratio",
        description=(
            "Measures on a text which thresholds make 30%, 40%, ... 100% of the routed units run, "
            "and writes them into the artifact, in place of an earlier table. Then --ratio, and "
            "session.ratio in Python, take any ratio from the lowest to the highest. Text of the "
            "kind that the model will work on is best; some thousand tokens are enough."
        ),
    )
    parser.add_argument("artifact", type=Path, metavar="ARTIFACT", help="a compiled model (m.so)")
    add_text_options(parser)
    parser.add_argument(
        "--context",
        type=int,
        metavar="N",
        help="read the text in windows of N tokens (default: the model's context, at most 2048)",
    )
    parser.add_argument(
        "--ratios",
        type=_ratios,
        metavar="R,R,...",
        help="the table's ratios, ascending, at most 16 (default: 0.3,0.4, ... 1)",
    )
    parser.add_argument(
        "--also",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="write the table into this artifact of the same model too, as a program of its own "
        "(which can't be measured: calibrate a library); may be repeated",
    )
    parser.add_argument("--threads", type=int, metavar="N", help="default: all cores")
    parser.set_defaults(run=_run)


def _ratios(text: str) -> tuple[float, ...]:
    from qtale.calibration_table import CAPACITY

    try:
        ratios = tuple(float(word) for word in text.split(","))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no list of numbers") from error
    below = (0.0, *ratios)
    if not all(low < high <= 1 for low, high in pairwise(below)):
        raise argparse.ArgumentTypeError(f"{text!r} must ascend, from above 0 to at most 1")
    if len(ratios) > CAPACITY:
        raise argparse.ArgumentTypeError(f"{text!r} has more than {CAPACITY} ratios")
    return ratios


def _run(arguments: argparse.Namespace) -> None:
    from qtale.artifact import load
    from qtale.calibration import RATIOS, calibrate
    from qtale.calibration_table import check_table, write_table

    targets = (arguments.artifact, *arguments.also)
    with load(arguments.artifact) as artifact:
        # Measuring takes long: what can't be written is said first.
        if artifact.routing is not None:
            for target in targets:
                check_table(target, artifact.routing.routed.size)
        tokens = read_tokens(arguments, artifact)
        with Progress("Calibrating", "tokens") as bar:
            result = calibrate(
                artifact,
                tokens,
                arguments.ratios or RATIOS,
                context=arguments.context,
                threads=arguments.threads,
                progress=bar.advance,
            )
    count = len(result.ratios)
    for target in targets:
        write_table(target, result.ratios, result.thresholds.reshape(count, -1))
    print("ratio   ran   perplexity")
    for ratio, ran, perplexity in zip(
        result.ratios, result.measured, result.perplexities, strict=True
    ):
        print(f"{ratio:5.2f} {ran:5.3f} {perplexity:12.4f}")
