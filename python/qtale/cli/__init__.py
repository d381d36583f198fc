"""The command `qtale`: one file per subcommand.

    qtale export    checkpoint            -> ONNX
    qtale compile   ONNX                  -> artifact      (is qtale-compile)
    qtale generate  artifact, prompt      -> text          (is qtale-run)
    qtale eval      artifact, text        -> perplexity

Exit: 0 done, 1 the input, model or file was at fault, 2 wrong usage.
"""

from __future__ import annotations

import argparse
import os
import sys

import qtale
from qtale.cli import export_command
from qtale.errors import UsageError, UserError

_COMMANDS = (export_command,)

_EPILOG = """\
From a checkpoint to text:
  qtale export stories260K.bin -o stories/model.onnx
  qtale compile stories/model.onnx -o stories.so
  qtale generate stories.so --prompt "Once upon a time" --steps 200
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
    for command in _COMMANDS:
        command.register(commands)
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Runs one command; every user's error becomes one message."""
    parsed = _parser().parse_args(arguments)
    try:
        return parsed.run(parsed) or 0
    except UsageError as error:
        print(f"qtale: {error}", file=sys.stderr)
        return 2
    except (UserError, qtale.Error) as error:
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
