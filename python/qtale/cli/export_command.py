"""`qtale export`: from a checkpoint to ONNX."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from qtale.cli.progress import Progress
from qtale.errors import UsageError


def register(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "export",
        help="write a checkpoint as ONNX",
        description=(
            "Writes a checkpoint as an ONNX model that any runtime executes and that `qtale "
            "compile` compiles. Weights are streamed: memory does not grow with the model."
        ),
    )
    parser.add_argument(
        "checkpoint",
        type=Path,
        metavar="CHECKPOINT",
        help="a llama2.c .bin file, or a Hugging Face folder (config.json and *.safetensors)",
    )
    parser.add_argument(
        "-o",
        dest="output",
        type=Path,
        required=True,
        metavar="DIR/model.onnx",
        help="the model to write; model.onnx.data, tokenizer.json and generation_config.json are "
        "written beside it",
    )
    parser.add_argument(
        "--tokenizer",
        type=Path,
        metavar="FILE",
        help="tokenizer.json, or llama2.c's tok*.bin; default: the one in the checkpoint's folder",
    )
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> None:
    # onnx takes a while to import; --help shall not.
    from qtale.exporter import export

    if arguments.output.suffix != ".onnx":
        raise UsageError(f"-o {arguments.output}: the name must end in .onnx")
    with Progress("Writing weights", "B") as bar:
        export(
            arguments.checkpoint,
            arguments.output,
            arguments.tokenizer,
            progress=bar.advance,
            note=lambda message: print(f"qtale: note: {message}", file=sys.stderr),
        )
