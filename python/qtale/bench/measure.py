"""Engines in turn, so that all meet the same machine; ratios of what stood next to each other.

    round 1    bandwidth │ prefill A B C │ decode A B C │ B C A │ C A B │ …
    round 2    bandwidth │ prefill B C A │ …

A ratio is the median over all pairs: rival's time ÷ qtale's, of the same round and position.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from qtale.bench.engine import Engine

#: Seconds before each call, in which the threads of the engine before go to sleep.
_SETTLE = 0.003


@dataclass(frozen=True)
class Times:
    """Of one engine, in seconds, and what it said last."""

    prefill: np.ndarray  # [rounds]
    decode: np.ndarray  # [rounds, steps]
    logits: np.ndarray  # float32 [vocab]


@dataclass(frozen=True)
class Plan:
    prompt: int = 128
    decode: int = 32
    rounds: int = 5


def measure(
    engines: Mapping[str, Engine],
    text: np.ndarray,
    plan: Plan,
    before_round: Callable[[], None] = lambda: None,
) -> dict[str, Times]:
    """text: int32 tokens, at least as many as the plan's prompt and decode together."""
    names = list(engines)
    prefill = {name: np.empty(plan.rounds) for name in names}
    decode = {name: np.empty((plan.rounds, plan.decode)) for name in names}
    last: dict[str, np.ndarray] = {}

    def timed(name: str, tokens: np.ndarray) -> float:
        time.sleep(_SETTLE)
        begin = time.perf_counter()
        logits = engines[name].step(tokens)
        end = time.perf_counter()
        last[name] = logits.copy()
        return end - begin

    def turn(count: int) -> list[str]:
        first = count % len(names)
        return names[first:] + names[:first]

    # The first round, uncounted, brings weights into memory.
    for index in range(-1, plan.rounds):
        if index >= 0:
            before_round()
        at = max(index, 0)
        for name in turn(at):
            engines[name].reset()
            prefill[name][at] = timed(name, text[: plan.prompt])
        for step in range(plan.decode if index >= 0 else min(2, plan.decode)):
            token = text[plan.prompt + step : plan.prompt + step + 1]
            for name in turn(at + step):
                decode[name][at, step] = timed(name, token)
    return {name: Times(prefill[name], decode[name], last[name]) for name in names}


def agreement(a: np.ndarray, b: np.ndarray) -> float:
    """Cosine of the angle between two rows of logits: 1 where they say the same."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))
