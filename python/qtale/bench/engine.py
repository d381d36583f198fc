"""What is measured: something that takes tokens and gives the last one's logits."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
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

    def reset(self) -> None:
        """Forgets the text."""

    def step(self, tokens: np.ndarray) -> np.ndarray:
        """Appends int32 [count]; float32 [vocab], valid until the next step."""

    def close(self) -> None: ...


class Qtale:
    """A session of a compiled artifact."""

    version = qtale.__version__

    def __init__(self, path: Path, threads: int):
        self._artifact = qtale.load(path)
        self._session = self._artifact.session(threads=threads)

    def reset(self) -> None:
        self._session.reset()

    def step(self, tokens: np.ndarray) -> np.ndarray:
        logits = self._session.step(tokens)
        assert logits is not None  # "last"
        return logits[0]

    def close(self) -> None:
        self._artifact.close()
