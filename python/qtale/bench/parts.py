"""The parts of a measurement: what one round of each calls.

    Prefill(512)    of every engine in turn: forget all │ 512 tokens
    Decode(2048)    fill every engine up to 2048, untimed, once
                    each round: back to 2048 │ a token A B C │ a token B C A │ …
    Loaded(2, 128)  each round: 16 tokens A, 16 B, 16 C │ the same beside two busy processes
    Rows(1 … 16)    of qtale: steps of 1, 2, … rows, of as many sequences or of one

Engines hold a beginning of one text all the time, so what one part has filled serves the next.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Mapping, Sequence

import numpy as np

from qtale.bench.engine import Batch, Engine
from qtale.bench.load import Load
from qtale.bench.measure import Round, turn

#: Tokens of a chunk while an engine is filled.
_CHUNK = 512
#: Tokens that an engine decodes before it is another's turn: as in use, most follow one at once.
_BURST = 4
#: Seconds that the processes of a load run before anything is timed.
_STARTING = 0.1


class _Part:
    def __init__(self, engines: Mapping[str, Engine], text: np.ndarray):
        self._engines, self._text = engines, text
        #: What each engine said last.
        self.logits: dict[str, np.ndarray] = {}

    def _step(self, name: str, begin: int, end: int) -> None:
        self.logits[name] = self._engines[name].step(self._text[begin:end])

    def _keep_logits(self) -> None:
        """The next step overwrites them."""
        self.logits = {name: row.copy() for name, row in self.logits.items()}

    def _hold(self, name: str, length: int) -> None:
        engine = self._engines[name]
        if engine.position > length:
            engine.truncate(length)
        while engine.position < length:
            self._step(name, engine.position, min(length, engine.position + _CHUNK))


class Prefill(_Part):
    """limit: measures the integer peak, or gives None."""

    def __init__(
        self,
        engines: Mapping[str, Engine],
        text: np.ndarray,
        prompt: int,
        limit: Callable[[], float | None],
    ):
        super().__init__(engines, text)
        self._prompt, self._limit = prompt, limit

    def warm(self) -> None:
        """Brings weights and code into memory; a few rows are enough."""
        for name in self._engines:
            self._hold(name, 0)
            self._step(name, 0, min(16, self._prompt))

    def round(self, index: int) -> Round:
        result = Round(limit=self._limit())
        for name in turn(list(self._engines), index):
            self._hold(name, 0)
            result.timed(name, lambda name=name: self._step(name, 0, self._prompt))
        self._keep_logits()
        return result


class Decode(_Part):
    """limit: measures the read bandwidth."""

    def __init__(
        self,
        engines: Mapping[str, Engine],
        text: np.ndarray,
        context: int,
        steps: int,
        limit: Callable[[], float | None],
    ):
        super().__init__(engines, text)
        self._context, self._steps, self._limit = context, steps, limit

    def warm(self) -> None:
        for name in self._engines:
            self._hold(name, self._context)
            self._step(name, self._context, self._context + 1)

    def round(self, index: int) -> Round:
        result = Round(limit=self._limit())
        for name in self._engines:
            self._hold(name, self._context)
        for begin in range(0, self._steps, _BURST):
            for name in turn(list(self._engines), index + begin // _BURST):
                for at in range(begin, min(begin + _BURST, self._steps)):
                    self._timed_token(result, name, name, at, settle=at == begin)
        self._keep_logits()
        return result

    def _timed_token(
        self, result: Round, key: Hashable, name: str, at: int, settle: bool = True
    ) -> None:
        begin = self._context + at
        result.timed(key, lambda: self._step(name, begin, begin + 1), settle)


class Loaded(Decode):
    """Keys are (engine, "quiet") and (engine, "loaded").

    An engine's tokens follow each other without a pause: one that has slept is served first by the
    system, and feels less of the load.
    """

    def __init__(
        self,
        processes: int,
        engines: Mapping[str, Engine],
        text: np.ndarray,
        context: int,
        steps: int,
    ):
        super().__init__(engines, text, context, steps, lambda: None)
        self._processes = processes

    def round(self, index: int) -> Round:
        result = Round()
        self._texts(result, index, "quiet")
        with Load(self._processes):
            time.sleep(_STARTING)
            self._texts(result, index, "loaded")
        self._keep_logits()
        return result

    def _texts(self, result: Round, index: int, state: str) -> None:
        for name in turn(list(self._engines), index):
            self._hold(name, self._context)
            for at in range(self._steps):
                self._timed_token(result, (name, state), name, at, settle=at == 0)


class Rows:
    """Keys are ("batch", rows) and ("chunk", rows)."""

    def __init__(self, batch: Batch, text: np.ndarray, counts: Sequence[int], repeats: int):
        self._batch, self._text, self._repeats = batch, text, repeats
        self._calls = [(kind, rows) for kind in ("batch", "chunk") for rows in counts]

    def warm(self) -> None:
        self._all(Round(), 0)

    def round(self, index: int) -> Round:
        result = Round()
        for repeat in range(self._repeats):
            self._all(result, index * self._repeats + repeat)
        return result

    def _all(self, result: Round, count: int) -> None:
        # Up and down in turn: neighbours stand next to each other, each first as often as last.
        calls = turn(self._calls, count)
        for kind, rows in calls if count % 2 else reversed(calls):
            step = getattr(self._batch, f"step_{kind}")
            result.timed((kind, rows), lambda step=step, rows=rows: step(self._text[:rows]))
            self._batch.rewind()
