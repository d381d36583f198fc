"""`qtale plot`: a picture of which token ran which layer."""

from __future__ import annotations

import argparse
from pathlib import Path

from qtale.errors import UsageError


def register(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "plot",
        help="draw which token ran which layer",
        description=(
            "Draws the statistics of a routed model: tokens to the right, layers upwards, dark "
            "where a token ran. Make them with: qtale generate ARTIFACT --stats=STATS.json …"
        ),
    )
    parser.add_argument("statistics", type=Path, metavar="STATS.json", help="what to draw")
    parser.add_argument(
        "-o",
        dest="output",
        type=Path,
        required=True,
        metavar="FILE.png|.svg",
        help="the picture to write",
    )
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> None:
    from qtale.plot import FORMATS, plot, read_statistics

    if arguments.output.suffix not in FORMATS:
        raise UsageError(f"-o {arguments.output}: the name must end in {' or '.join(FORMATS)}")
    plot(read_statistics(arguments.statistics), arguments.output)
