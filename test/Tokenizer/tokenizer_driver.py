"""The driver of the C++ tokenizer, and a tokenizer for it."""

from __future__ import annotations

import functools
import os
import subprocess
from pathlib import Path

from texts import TOK512

from qtale.exporter.tokenizer import convert_llama2c_tokenizer

ROOT = Path(__file__).resolve().parents[2]
# `QTALE_BUILD` names a build folder other than build/.
PROGRAM = Path(os.environ.get("QTALE_BUILD", ROOT / "build")) / "bin/qtale-tokenizer-tests"


@functools.cache
def tok512_text() -> str:
    """The tokenizer.json of stories260K."""
    return convert_llama2c_tokenizer(TOK512, 512)


class Driver:
    """`qtale-tokenizer-tests` on one tokenizer.json: many requests, one process."""

    def __init__(self, text: str, folder: Path):
        path = folder / "tokenizer.json"
        path.write_text(text, encoding="utf-8")
        self.command = [str(PROGRAM), str(path)]
        self.timeout: float | None = None  # seconds, of a call

    def _ask(self, lines: list[str]) -> list[str]:
        done = subprocess.run(
            self.command,
            input="\n".join(lines) + "\n",
            capture_output=True,
            text=True,
            check=False,
            timeout=self.timeout,
        )
        assert done.returncode == 0, done.stderr
        answers = done.stdout.split("\n")[:-1]
        assert len(answers) == len(lines), done.stdout + done.stderr
        return answers

    def encode(self, texts: list[bytes]) -> list[list[int]]:
        answers = self._ask([f"encode {text.hex()}" for text in texts])
        return [[int(word) for word in answer.split()] for answer in answers]

    def decode(self, requests: list[tuple[int, list[int]]]) -> list[bytes]:
        lines = [" ".join(map(str, ["decode", previous, *ids])) for previous, ids in requests]
        return [bytes.fromhex(answer) for answer in self._ask(lines)]

    def decode_error(self, previous: int, ids: list[int]) -> str:
        return self._ask([" ".join(map(str, ["decode", previous, *ids]))])[0]
