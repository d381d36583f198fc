"""`qtale bench`: the speed of a model of a real shape, beside rivals and the machine's limit."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path

from qtale.errors import UsageError


def register(commands: argparse._SubParsersAction) -> None:
    from qtale.bench.rivals import RIVALS
    from qtale.bench.shapes import SHAPES

    parser = commands.add_parser(
        "bench",
        help="measure speed beside rivals and the machine's limit",
        description=(
            "Makes a model of a real shape with random weights, and runs it step by step in turn "
            "with the rivals, which have the same weights. Prints tokens per second, ratios "
            "(above 1: qtale is faster), and the share of the machine's read bandwidth. Wants a "
            "quiet machine, and some GB of disk."
        ),
    )
    parser.add_argument("--shape", choices=SHAPES, default="llama-3.2-1b", help="%(default)s")
    parser.add_argument(
        "--work", type=Path, metavar="FOLDER", help="keep the models there for the next run"
    )
    parser.add_argument("--weights", choices=("int4", "int8"), default="int4", help="%(default)s")
    parser.add_argument("--group", type=int, choices=(32, 64, 128), default=32, help="%(default)s")
    parser.add_argument("--threads", type=_count, metavar="N", help="default: all cores")
    for option, default, text in (
        ("prompt", 128, "tokens of the prefill"),
        ("decode", 32, "tokens decoded behind it"),
        ("rounds", 5, "how often all that"),
    ):
        parser.add_argument(
            f"--{option}", type=_count, default=default, metavar="N", help=f"{text} (%(default)s)"
        )
    parser.add_argument(
        "--rivals",
        type=_rivals,
        default=tuple(RIVALS),
        metavar="NAME,…|none",
        help=f"{', '.join(RIVALS)} (default: all)",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there too")
    parser.add_argument("--plot", type=Path, metavar="FILE.png|.svg", help="draw them")
    parser.set_defaults(run=_run)


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} must be a number from 1 on")
    return int(text)


def _rivals(text: str) -> tuple[str, ...]:
    from qtale.bench.rivals import RIVALS

    names = () if text == "none" else tuple(dict.fromkeys(text.split(",")))
    for name in names:
        if name not in RIVALS:
            raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(RIVALS)}; or: none")
    return names


def _run(arguments: argparse.Namespace) -> None:
    from qtale.bench.engine import Scheme
    from qtale.bench.measure import Plan
    from qtale.bench.onnxruntime_model import CONTEXT
    from qtale.bench.report import draw, table
    from qtale.bench.run import Options, bench
    from qtale.bench.shapes import SHAPES
    from qtale.exporter.output import OutputFiles
    from qtale.plot import FORMATS, need_matplotlib, save

    context = min(CONTEXT, SHAPES[arguments.shape]["max_position_embeddings"])
    if arguments.prompt + arguments.decode > context:
        raise UsageError(f"--prompt and --decode: a text has at most {context} tokens")
    if arguments.plot and arguments.plot.suffix not in FORMATS:
        raise UsageError(f"--plot {arguments.plot}: must end in {' or '.join(FORMATS)}")
    if arguments.plot:
        need_matplotlib()
    processors = len(os.sched_getaffinity(0))
    threads = arguments.threads or processors
    if threads > processors:
        raise UsageError(f"--threads {threads}: there are {processors} processors")
    with tempfile.TemporaryDirectory() as temporary:
        options = Options(
            work=arguments.work or Path(temporary),
            shape=arguments.shape,
            scheme=Scheme(int(arguments.weights[3:]), arguments.group),
            threads=threads,
            plan=Plan(arguments.prompt, arguments.decode, arguments.rounds),
            rivals=arguments.rivals,
        )
        result = bench(options, lambda text: print(text, file=sys.stderr, flush=True))
    print(table(result))
    if arguments.json:
        with OutputFiles(arguments.json.parent) as files:
            files.path(arguments.json.name).write_text(json.dumps(result, indent=1) + "\n")
    if arguments.plot:
        save(lambda: draw(result), arguments.plot)
