"""`qtale generate --chat`: a conversation in the model's own form, then qtale-run.

    --prompt, --system, --messages  ──chat_template──▶  ids  ──▶  qtale-run ARTIFACT --ids …

Everything else is qtale-run's own option, handed on as it is.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from pathlib import Path

import numpy as np

from qtale.errors import UsageError


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="qtale generate --chat",
        description=(
            "Answers a conversation: renders it with the chat template of the model and lets "
            "qtale-run go on. All options of `qtale generate` but --ids and --input go with it."
        ),
        allow_abbrev=False,
    )
    parser.add_argument("artifact", type=Path, metavar="ARTIFACT", help="a compiled model (m.so)")
    parser.add_argument("--chat", action="store_true", required=True)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--prompt", metavar="TEXT", help="what the user says")
    what.add_argument(
        "--messages",
        type=Path,
        metavar="FILE.json",
        help='the conversation so far: [{"role": "user", "content": "Hi"}, …]',
    )
    parser.add_argument("--system", metavar="TEXT", help="the system's message before it")
    parser.add_argument(
        "--chat-template",
        type=Path,
        metavar="FILE|FOLDER",
        help="chat_template.jinja or tokenizer_config.json, or where one of them is "
        "(default: beside ARTIFACT)",
    )
    return parser


def run(tool: Path, arguments: list[str]) -> int:
    """Renders, then runs `tool` with the ids; its exit code."""
    from qtale.artifact import load
    from qtale.chat import ChatTemplate, chat_prompt, read_messages

    parsed, others = _parser().parse_known_args(arguments)
    for option in others:
        if option.split("=")[0] in ("--ids", "--input", "--info", "--bench"):
            raise UsageError(f"{option.split('=')[0]} does not go with --chat")
    if parsed.messages is not None:
        messages = read_messages(parsed.messages)
    else:
        messages = [{"role": "user", "content": parsed.prompt}]
    if parsed.system is not None:
        messages = [{"role": "system", "content": parsed.system}, *messages]
    template = ChatTemplate.find(parsed.chat_template or parsed.artifact.parent)
    with load(parsed.artifact) as artifact:
        ids = chat_prompt(artifact, messages, template)
    # A file, since a long conversation does not fit a command line.
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "ids.npy"
        np.save(file, np.array(ids, np.int32))
        done = subprocess.run([tool, parsed.artifact, "--ids", str(file), *others], check=False)
    return done.returncode if done.returncode >= 0 else 1
