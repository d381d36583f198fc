"""Engines in turn, so that all meet the same machine; ratios of what stood next to each other.

    round 1    bandwidth │ prefill A B C │ decode A B C │ B C A │ C A B │ …
    round 2    bandwidth │ prefill B C A │ …

A ratio is the median over all pairs: rival's time ÷ qtale's, of the same round and position. Rounds
in which others were busy are repeated: chosen by others' work, never by a time that came out.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from qtale.bench.engine import Engine
from qtale.bench.machine import OthersShare

#: Others' part of the processors' time, up to which a round is quiet.
QUIET = 0.03
#: So many times the rounds wanted, at most, where others are busy; then the quietest count.
_PATIENCE = 4
#: Seconds before each call, in which the threads of the engine before go to sleep.
_SETTLE = 0.003


@dataclass(frozen=True)
class Plan:
    prompt: int = 128
    decode: int = 32
    rounds: int = 5


@dataclass
class Round:
    """Seconds by engine; others' share (0 where that is not known), GB/s of the memory."""

    bandwidth: float
    prefill: dict[str, float] = field(default_factory=dict)
    decode: dict[str, list[float]] = field(default_factory=dict)
    others: float = 0


@dataclass(frozen=True)
class Times:
    """Of one engine, in seconds, and what it said last."""

    prefill: np.ndarray  # [rounds]
    decode: np.ndarray  # [rounds, steps]
    logits: np.ndarray  # float32 [vocab]


class Measurement:
    """`run()` leaves what counts in `rounds`, and `times` gives an engine's part of it.

    text: int32 tokens, at least as many as the plan's prompt and decode together.
    """

    def __init__(
        self,
        engines: Mapping[str, Engine],
        text: np.ndarray,
        plan: Plan,
        bandwidth: Callable[[], float],
        others: Callable[[], OthersShare] = OthersShare,
    ):
        self._engines, self._text, self._plan = engines, text, plan
        self._bandwidth, self._others = bandwidth, others
        self._logits: dict[str, np.ndarray] = {}
        self.rounds: list[Round] = []

    def run(self) -> None:
        # Uncounted, it brings weights into memory.
        self._round(0, steps=min(2, self._plan.decode))
        rounds: list[Round] = []
        while sum(r.others <= QUIET for r in rounds) < self._plan.rounds:
            if len(rounds) == _PATIENCE * self._plan.rounds:
                break
            others = self._others()
            rounds.append(self._round(len(rounds), self._plan.decode))
            rounds[-1].others = others.so_far() or 0
        self.rounds = sorted(rounds, key=lambda r: r.others)[: self._plan.rounds]

    def times(self, name: str) -> Times:
        return Times(
            np.array([r.prefill[name] for r in self.rounds]),
            np.array([r.decode[name] for r in self.rounds]),
            self._logits[name],
        )

    def _round(self, index: int, steps: int) -> Round:
        begin = self._plan.prompt
        result = Round(self._bandwidth(), decode={name: [] for name in self._engines})
        for name in self._turn(index):
            self._engines[name].reset()
            result.prefill[name] = self._timed(name, self._text[:begin])
        for step in range(steps):
            for name in self._turn(index + step):
                token = self._text[begin + step : begin + step + 1]
                result.decode[name].append(self._timed(name, token))
        return result

    def _turn(self, count: int) -> list[str]:
        names = list(self._engines)
        first = count % len(names)
        return names[first:] + names[:first]

    def _timed(self, name: str, tokens: np.ndarray) -> float:
        time.sleep(_SETTLE)
        begin = time.perf_counter()
        logits = self._engines[name].step(tokens)
        end = time.perf_counter()
        self._logits[name] = logits.copy()
        return end - begin


def agreement(a: np.ndarray, b: np.ndarray) -> float:
    """Cosine of the angle between two rows of logits: 1 where they say the same."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))
