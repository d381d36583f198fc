"""The command `qtale`: one file per subcommand.

    qtale export    checkpoint            -> ONNX
    qtale compile   ONNX                  -> artifact      (is qtale-compile)
    qtale generate  artifact, prompt      -> text          (is qtale-run)
    qtale eval      artifact, text        -> perplexity
    qtale calibrate artifact, text        -> thresholds by ratio, in the artifact
    qtale plot      statistics            -> a picture of what ran
    qtale bench     shape                 -> speed, beside rivals and the machine's limit

Exit: 0 done, 1 the input, model or file was at fault, 2 wrong usage.
"""

from __future__ import annotations

import argparse
import os
import sys

import qtale
from qtale.cli import (
    bench_command,
    calibrate_command,
    eval_command,
    export_command,
    plot_command,
    tool_commands,
)
from qtale.errors import Error, UsageError, UserError

_EPILOG = """\
From a checkpoint to text:
  qtale export stories260K.bin -o stories/model.onnx
  qtale compile stories/model.onnx -o stories.so
  qtale generate stories.so --prompt "Once upon a time" --steps 200

`qtale COMMAND --help` explains a command and its options.
"""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="qtale",
        description="Compiles language models ahead of time, and runs them.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"qtale {qtale.__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for module in (
        export_command,
        tool_commands,
        eval_command,
        calibrate_command,
        plot_command,
        bench_command,
    ):
        module.register(commands)
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Runs one command; every user's error becomes one message."""
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        if arguments and arguments[0] in tool_commands.TOOLS:
            return tool_commands.execute(arguments[0], arguments[1:])
        parsed = _parser().parse_args(arguments)
        parsed.run(parsed)
        sys.stdout.flush()
        return 0
    except UsageError as error:
        print(f"qtale: {error}", file=sys.stderr)
        return 2
    except (UserError, Error) as error:
        print(f"qtale: error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("qtale: interrupted", file=sys.stderr)
        return 1
    except BrokenPipeError:
        # The reader has had enough (`| head`). Nothing more can be said to it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        print(f"qtale: error: {where}{error.strerror or error}", file=sys.stderr)
        return 1
    except MemoryError:
        print("qtale: error: out of memory", file=sys.stderr)
        return 1
