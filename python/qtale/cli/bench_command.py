"""`qtale bench`: the speed of a model of a real shape, beside rivals and the machine's limits."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from qtale.errors import UsageError

if TYPE_CHECKING:
    from qtale.bench.run import Plan

_EPILOG = """\
Without --prompt, --context, --rows or --load the whole suite runs: prefill of 128 and 512 tokens,
decode at 128 and 2048, steps of 1 to 16 rows; with one thread and with all. Otherwise only what is
named, with all threads:
  qtale bench --work ~/bench --json bench.json --plot bench.svg     the suite
  qtale bench --work ~/bench --context 2048                         decode behind 2048 tokens
  qtale bench --work ~/bench --context 128 --load 2                 beside two busy processes
"""


def register(commands: argparse._SubParsersAction) -> None:
    from qtale.bench.rivals import RIVALS
    from qtale.bench.shapes import SHAPES

    parser = commands.add_parser(
        "bench",
        help="measure speed beside rivals and the machine's limits",
        description=(
            "Makes a model of a real shape with random weights, and runs it, a few steps a turn, "
            "with the rivals, which have the same weights. Prints tokens per second, ratios "
            "(above 1: qtale is faster), and the share of what the machine can do. Wants a quiet "
            "machine, and some GB of disk."
        ),
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--shape", choices=SHAPES, default="llama-3.2-1b", help="%(default)s")
    parser.add_argument(
        "--work", type=Path, metavar="FOLDER", help="keep the models there for the next run"
    )
    parser.add_argument("--weights", choices=("int4", "int8"), default="int4", help="%(default)s")
    parser.add_argument("--group", type=int, choices=(32, 64, 128), default=32, help="%(default)s")
    parser.add_argument(
        "--threads", type=_counts, metavar="N,…", help="one after the other (default: all cores)"
    )
    parser.add_argument("--prompt", type=_counts, metavar="N,…", help="time prefills so long")
    parser.add_argument(
        "--context", type=_counts, metavar="N,…", help="time decoding behind so many tokens"
    )
    parser.add_argument(
        "--rows", type=_counts, metavar="A-B|N,…", help="time qtale's steps of so many rows"
    )
    parser.add_argument(
        "--load",
        type=_count,
        metavar="N",
        help="time decoding at --context (128) without and beside so many busy processes",
    )
    for option, default, text in (
        ("decode", 16, "tokens decoded in a round"),
        ("rounds", 3, "how often all that"),
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


def _counts(text: str) -> tuple[int, ...]:
    """Numbers with commas between, and ranges A-B; each once, in rising order."""
    numbers: set[int] = set()
    for item in text.split(","):
        first, dash, last = item.partition("-")
        begin = _count(first)
        end = _count(last) if dash else begin
        if end < begin:
            raise argparse.ArgumentTypeError(f"{item!r} must rise: {end}-{begin}")
        # A slip of the finger must not fill the memory.
        if end - begin >= 1024:
            raise argparse.ArgumentTypeError(f"{item!r} must have at most 1024 numbers")
        numbers |= set(range(begin, end + 1))
    return tuple(sorted(numbers))


def _rivals(text: str) -> tuple[str, ...]:
    from qtale.bench.rivals import RIVALS

    names = () if text == "none" else tuple(dict.fromkeys(text.split(",")))
    for name in names:
        if name not in RIVALS:
            raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(RIVALS)}; or: none")
    return names


def _run(arguments: argparse.Namespace) -> None:
    from qtale.bench.engine import Scheme
    from qtale.bench.picture import draw
    from qtale.bench.report import table
    from qtale.bench.run import Options, bench
    from qtale.exporter.output import OutputFiles
    from qtale.plot import FORMATS, need_matplotlib, save

    plan = _plan(arguments)
    if arguments.plot and arguments.plot.suffix not in FORMATS:
        raise UsageError(f"--plot {arguments.plot}: must end in {' or '.join(FORMATS)}")
    if arguments.plot:
        need_matplotlib()
    with tempfile.TemporaryDirectory() as temporary:
        options = Options(
            work=arguments.work or Path(temporary),
            shape=arguments.shape,
            scheme=Scheme(int(arguments.weights[3:]), arguments.group),
            threads=_threads(arguments),
            plan=plan,
            # They have no part in steps of several rows.
            rivals=arguments.rivals if plan.prompts or plan.contexts else (),
        )
        result = bench(options, lambda text: print(text, file=sys.stderr, flush=True))
    print(table(result))
    if arguments.json:
        with OutputFiles(arguments.json.parent) as files:
            files.path(arguments.json.name).write_text(json.dumps(result, indent=1) + "\n")
    if arguments.plot:
        save(lambda: draw(result), arguments.plot)


def _is_suite(arguments: argparse.Namespace) -> bool:
    return not (arguments.prompt or arguments.context or arguments.rows or arguments.load)


def _threads(arguments: argparse.Namespace) -> tuple[int, ...]:
    processors = len(os.sched_getaffinity(0))
    threads = arguments.threads or tuple({1, processors} if _is_suite(arguments) else {processors})
    if max(threads) > processors:
        raise UsageError(f"--threads {max(threads)}: there are {processors} processors")
    return threads


def _plan(arguments: argparse.Namespace) -> Plan:
    from qtale.bench.load import MOST
    from qtale.bench.onnxruntime_model import CONTEXT
    from qtale.bench.run import Plan
    from qtale.bench.shapes import SHAPES

    decode, rounds = arguments.decode, arguments.rounds
    most = min(CONTEXT, SHAPES[arguments.shape]["max_position_embeddings"])
    processors = len(os.sched_getaffinity(0))
    if arguments.load and arguments.load > MOST * processors:
        raise UsageError(
            f"--load {arguments.load}: at most {MOST * processors}, {MOST} for each processor"
        )
    if arguments.load and (arguments.prompt or arguments.rows):
        raise UsageError("--load is about decoding; measure --prompt and --rows in another run")
    if _is_suite(arguments):
        suite = Plan(decode=decode, rounds=rounds)
        longest = max(1, most - decode)
        contexts = tuple(dict.fromkeys(min(context, longest) for context in suite.contexts))
        prompts = tuple(dict.fromkeys(min(prompt, most) for prompt in suite.prompts))
        plan = Plan(prompts, contexts, suite.rows, decode=decode, rounds=rounds)
    else:
        contexts = arguments.context or ((128,) if arguments.load else ())
        plan = Plan(
            prompts=arguments.prompt or (),
            contexts=contexts,
            rows=arguments.rows or (),
            load=arguments.load or 0,
            decode=decode,
            rounds=rounds,
        )
    if plan.text > most:
        raise UsageError(
            f"a text of {arguments.shape} has at most {most} tokens here, but --prompt, --rows, or "
            f"--context and the {decode} tokens behind it (--decode) come to {plan.text}"
        )
    return plan
