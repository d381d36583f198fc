"""What is measured: something that takes tokens and gives the last one's logits."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol

import numpy as np

import qtale


@dataclass(frozen=True)
class Scheme:
    """How weights are stored: symmetric integers, a scale for each group along the input."""

    bits: int = 4
    group: int = 32

    def __str__(self) -> str:
        return f"int{self.bits}/{self.group}"


class Engine(Protocol):
    version: str
    #: Tokens held.
    position: int

    def truncate(self, length: int) -> None:
        """Forgets all from position `length` on."""

    def step(self, tokens: np.ndarray) -> np.ndarray:
        """Appends int32 [count]; float32 [vocab], valid until the next step."""

    def close(self) -> None: ...


class Qtale:
    """A session of a compiled artifact."""

    version = qtale.__version__

    def __init__(self, path: Path, threads: int):
        self._artifact = qtale.load(path)
        self._threads = threads
        self._session = self._artifact.session(threads=threads)

    @property
    def position(self) -> int:
        return self._session.position

    @property
    def cache_bytes(self) -> int:
        """Of the text held; a token reads them all."""
        return self._session.kv_bytes

    def truncate(self, length: int) -> None:
        self._session.truncate(length)

    def step(self, tokens: np.ndarray) -> np.ndarray:
        logits = self._session.step(tokens)
        assert logits is not None  # "last"
        return logits[0]

    def batch(self, text: np.ndarray, most: int) -> Batch:
        """With `most` sequences, each of which holds the text."""
        return Batch(self._artifact, self._threads, text, most)

    def close(self) -> None:
        self._artifact.close()


class Batch:
    """Steps of several rows: of a row each for several sequences, or several for one."""

    def __init__(self, artifact: qtale.Artifact, threads: int, text: np.ndarray, most: int):
        self._artifact = artifact
        self._length = len(text)
        first = artifact.session(threads=threads, max_rows=most)
        first.step(text, logits="none")
        self._sessions = [first, *(first.fork() for _ in range(most - 1))]

    def step_batch(self, tokens: np.ndarray) -> None:
        """A token for each of as many sequences, which all give logits."""
        self._artifact.step(list(zip(self._sessions, tokens.tolist(), strict=False)))

    def step_chunk(self, tokens: np.ndarray) -> None:
        """Several tokens for one sequence, of which the last gives logits."""
        self._sessions[0].step(tokens)

    def rewind(self) -> None:
        for session in self._sessions:
            session.truncate(self._length)

    def __enter__(self) -> Batch:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for session in self._sessions:
            session.close()
