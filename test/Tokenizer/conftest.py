"""The driver of the C++ tokenizer, and tokenizers for it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from texts import TOK512

from qtale.exporter.tokenizer import convert_llama2c_tokenizer

ROOT = Path(__file__).resolve().parents[2]


class Driver:
    """`qtale-tokenizer-tests` on one tokenizer.json: many requests, one process."""

    def __init__(self, program: Path, tokenizer: Path):
        self.command = [str(program), str(tokenizer)]

    def _ask(self, lines: list[str]) -> list[str]:
        done = subprocess.run(
            self.command, input="\n".join(lines) + "\n", capture_output=True, text=True, check=False
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


@pytest.fixture(scope="session")
def program() -> Path:
    """The built driver; `QTALE_BUILD` names a build folder other than build/."""
    path = Path(os.environ.get("QTALE_BUILD", ROOT / "build")) / "bin/qtale-tokenizer-tests"
    assert path.exists(), f"{path} is not built"
    return path


@pytest.fixture(scope="session")
def tok512_text() -> str:
    return convert_llama2c_tokenizer(TOK512, 512)


@pytest.fixture
def driver(program: Path, tmp_path: Path) -> Callable[[str], Driver]:
    """Makes a driver from the text of a tokenizer.json."""

    def make(text: str) -> Driver:
        path = tmp_path / "tokenizer.json"
        path.write_text(text, encoding="utf-8")
        return Driver(program, path)

    return make
