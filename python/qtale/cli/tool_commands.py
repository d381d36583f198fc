"""`qtale compile` and `qtale generate` are qtale-compile and qtale-run, with the same options.

`qtale generate --chat` is more than qtale-run can: it renders the model's chat template first.
"""

from __future__ import annotations

import argparse
import os

from qtale.compiler import find_tool
from qtale.errors import UserError

#: Command, program, and what the list of commands says.
TOOLS = {
    "compile": ("qtale-compile", "compile an ONNX model to native code"),
    "generate": ("qtale-run", "run a compiled model: write text, or call it as a function"),
}


def register(commands: argparse._SubParsersAction) -> None:
    for command, (_, text) in TOOLS.items():
        commands.add_parser(command, help=text, add_help=False)


def execute(command: str, arguments: list[str]) -> int:
    """Becomes the program: its options, output and exit code are the user's."""
    tool = find_tool(TOOLS[command][0])
    if command == "generate" and "--chat" in arguments:
        from qtale.cli import chat_command

        return chat_command.run(tool, arguments)
    try:
        os.execv(tool, [str(tool), *arguments])
    except OSError as error:
        raise UserError(f"{tool}: {error.strerror}") from error
