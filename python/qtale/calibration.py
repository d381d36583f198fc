"""Measuring thresholds by the ratio that they lead to.

               unit 1         unit 2         unit 3
    0.3   ──▶  t: 30% of p ──▶ t: 30% of p ──▶ …        a session for each ratio; unit by
    …          are above       are above                unit, since what ran below
    1.0   ──▶  0          ──▶  0          ──▶ …        moves p above

The text is read once for each unit, by the sessions of all ratios in one step: with the thresholds
found so far, while nothing above runs. p counts from position `always_execute` on.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np

from qtale.artifact import Artifact
from qtale.errors import UserError
from qtale.perplexity import LOGITS_BYTES, check_tokens
from qtale.reference import negative_log_likelihood
from qtale.routing import Routing
from qtale.session import Session

#: The ratios of a table.
RATIOS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)

#: Tokens that the quantiles of p need to mean something.
_LEAST_TOKENS = 100

#: A session for each ratio holds a window in its caches.
_LONGEST_WINDOW = 2048

#: More than any probability: only what must run does.
_NOTHING = 2.0


@dataclass(frozen=True)
class Calibration:
    """Thresholds, and what they lead to on the text that they were measured on."""

    #: Ascending.
    ratios: tuple[float, ...]
    #: float32 [ratios, layers] or [ratios, layers, 2]; 0 where there is no router.
    thresholds: np.ndarray
    #: The share that really ran, for each ratio.
    measured: tuple[float, ...]
    #: For each ratio.
    perplexities: tuple[float, ...]


def calibrate(
    artifact: Artifact,
    tokens: np.ndarray,
    ratios: Sequence[float] = RATIOS,
    context: int | None = None,
    threads: int | None = None,
    progress: Callable[[int, int], None] = lambda step, total: None,
) -> Calibration:
    """tokens: integers [count], read in windows of `context`; progress as perplexity's."""
    routing = artifact.routing
    if routing is None:
        raise UserError(f"{artifact.path}: the model has no routers; there is nothing to calibrate")
    context = min(artifact.context, _LONGEST_WINDOW) if context is None else context
    check_tokens(artifact, tokens, context)
    windows = [tokens[begin : begin + context] for begin in range(0, len(tokens), context)]
    counted = sum(max(0, len(window) - routing.always_execute) for window in windows)
    if counted < _LEAST_TOKENS:
        raise UserError(
            f"the text has {counted} tokens that routers decide about; give one of at least "
            f"{_LEAST_TOKENS}"
        )
    units = [tuple(unit) for unit in np.argwhere(routing.routed)]
    total = len(tokens) * (len(units) + 1)
    with ExitStack() as stack:
        sessions = [
            stack.enter_context(artifact.session(threads=threads, record=True)) for _ in ratios
        ]
        readers = _Readers(artifact, routing, sessions, windows, lambda n: progress(n, total))
        for unit in units:
            for index, p in enumerate(readers.probabilities(unit)):
                readers.thresholds[(index, *unit)] = _threshold(p, ratios[index])
        measured, perplexities = readers.outcome()
    return Calibration(tuple(ratios), readers.thresholds, measured, perplexities)


class _Readers:
    """The sessions of all ratios; they read the text side by side."""

    def __init__(
        self,
        artifact: Artifact,
        routing: Routing,
        sessions: list[Session],
        windows: list[np.ndarray],
        progress: Callable[[int], None],
    ):
        self.artifact = artifact
        self.routing = routing
        self.sessions = sessions
        self.windows = windows
        self.progress = progress
        #: float32 [sessions, layers] or [sessions, layers, 2]
        self.thresholds = np.zeros((len(sessions), *routing.shape), np.float32)
        self.thresholds[:, routing.routed] = _NOTHING

    def _begin(self) -> None:
        for session, values in zip(self.sessions, self.thresholds, strict=True):
            session.reset()
            session.threshold = values

    def probabilities(self, unit: tuple[int, ...]) -> list[np.ndarray]:
        """p of one unit for each session, float32 [tokens that count]."""
        found: list[list[np.ndarray]] = [[] for _ in self.sessions]
        for window in self.windows:
            self._begin()
            self.artifact.step([(session, window) for session in self.sessions], logits="none")
            for values, session in zip(found, self.sessions, strict=True):
                values.append(session.probability[unit][self.routing.always_execute :])
            self.progress(len(window))
        return [np.concatenate(values) for values in found]

    def outcome(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """What ran and the perplexity, for each session."""
        kept: list[list[np.ndarray]] = [[] for _ in self.sessions]
        losses: list[list[np.ndarray]] = [[] for _ in self.sessions]
        rows = max(1, LOGITS_BYTES // (4 * self.artifact.vocab * len(self.sessions)))
        for window in self.windows:
            self._begin()
            for at in range(0, len(window), rows):
                chunk = window[at : at + rows]
                following = window[at : at + len(chunk) + 1]
                items = [(session, chunk) for session in self.sessions]
                for values, logits in zip(losses, self.artifact.step(items, "all"), strict=True):
                    assert logits is not None  # "all"
                    values.append(negative_log_likelihood(logits, following))
                self.progress(len(chunk))
            for texts, session in zip(kept, self.sessions, strict=True):
                texts.append(session.kept)
        means = [float(np.concatenate(values).mean()) for values in losses]
        return (
            tuple(self.routing.ratio(*texts) for texts in kept),
            tuple(math.exp(min(mean, 700)) for mean in means),
        )


def _threshold(p: np.ndarray, ratio: float) -> np.float32:
    """Between the last p that runs and the first that does not."""
    if ratio >= 1:
        return np.float32(0)
    falling = -np.sort(-p)
    last = max(1, round(ratio * len(p)))
    runs, skips = falling[last - 1], falling[min(last, len(p) - 1)]
    between = np.float32((np.float64(runs) + np.float64(skips)) / 2)
    return between if between > skips else runs
