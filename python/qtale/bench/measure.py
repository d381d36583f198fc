"""Rounds in which engines take turns, and which of them count.

    round 1    limit │ A B C │ B C A │ …        what takes turns: parts.py
    round 2    limit │ B C A │ C A B │ …

A ratio is the median over all pairs: rival's time ÷ qtale's, of the same round and position. Rounds
in which others were busy are repeated: chosen by others' work, never by a time that came out.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field

import numpy as np

from qtale.bench.machine import OthersShare

#: Others' part of the processors' time, up to which a round is quiet.
QUIET = 0.03
#: So many times the rounds wanted, at most, where others are busy; then the quietest count. Nor is
#: a round repeated after so many seconds: a suite has to end.
_PATIENCE, _PATIENCE_SECONDS = 3, 40
#: Seconds before each call, in which the threads of the engine before go to sleep: OpenMP's, as
#: llama.cpp has them, spin some 10 ms for more to do, onnxruntime's 40.
_SETTLE = 0.06


@dataclass
class Round:
    """Seconds of what was called; the machine's limit beside them; others' share, 0 if unknown."""

    seconds: dict[Hashable, list[float]] = field(default_factory=dict)
    limit: float | None = None
    others: float = 0

    def timed(self, key: Hashable, call: Callable[[], object], settle: bool = True) -> None:
        """Calls it, and keeps the time it took. settle: another engine may have run before."""
        if settle:
            time.sleep(_SETTLE)
        begin = time.perf_counter()
        call()
        self.seconds.setdefault(key, []).append(time.perf_counter() - begin)


@dataclass
class Rounds:
    """Those that count."""

    rounds: list[Round]

    def seconds(self, key: Hashable) -> np.ndarray:
        """[rounds, calls], in the order in which all keys were called."""
        return np.array([r.seconds[key] for r in self.rounds])

    def median(self, key: Hashable) -> float:
        return float(np.median(self.seconds(key)))

    def ratio(self, of: Hashable, to: Hashable) -> float:
        """The median of paired times."""
        return float(np.median(self.seconds(of) / self.seconds(to)))

    @property
    def limit(self) -> float | None:
        limits = [r.limit for r in self.rounds if r.limit is not None]
        return float(np.median(limits)) if limits else None

    @property
    def others(self) -> float:
        return max(r.others for r in self.rounds)


def quiet_rounds(
    run: Callable[[int], Round],
    wanted: int,
    others: Callable[[], OthersShare] = OthersShare,
) -> Rounds:
    """run: does the round of this number."""
    rounds: list[Round] = []
    begin = time.monotonic()
    while sum(r.others <= QUIET for r in rounds) < wanted:
        late = time.monotonic() - begin > _PATIENCE_SECONDS
        if len(rounds) == _PATIENCE * wanted or (late and len(rounds) >= wanted):
            break
        share = others()
        rounds.append(run(len(rounds)))
        rounds[-1].others = share.so_far() or 0
    return Rounds(sorted(rounds, key=lambda r: r.others)[:wanted])


def turn(items: Sequence, count: int) -> list:
    """The items, another one first each time."""
    first = count % len(items)
    return [*items[first:], *items[:first]]


def agreement(a: np.ndarray, b: np.ndarray) -> float:
    """Cosine of the angle between two rows of logits: 1 where they say the same."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))
