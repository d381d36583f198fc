"""One measurement from beginning to end: `bench(options, note)` gives what --json writes.

{"shape", "scheme", "decode",
 "machine": {"cpu", "cores", "others_share", "integer_peak": instruction | {"not_measured": why}},
 "engines": {name: {"version"} | {"not_measured": why}},
 "threads": [{"threads", "bandwidth_gb_s", "integer_peak_gmac_s",
              "prefill": [by prompt], "decode": [by context], "loaded": [by context], "rows": {}}],
 "seconds"}

The parts are as summary.py says; a part that is not wanted is missing.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from qtale.bench import summary
from qtale.bench.engine import Engine, Qtale, Scheme
from qtale.bench.limits import Bandwidth, IntegerPeak
from qtale.bench.load import fair_share
from qtale.bench.machine import cpu_name
from qtale.bench.measure import Rounds, quiet_rounds
from qtale.bench.models import Models
from qtale.bench.parts import Decode, Loaded, Prefill, Rows
from qtale.bench.rivals import RIVALS, NotMeasuredError, open_rival
from qtale.bench.shapes import SHAPES
from qtale.bench.sizes import Sizes, bytes_per_token

#: Tokens that sequences hold while steps of several rows are timed.
_ROWS_CONTEXT = 128
_ROWS_REPEATS = 3


@dataclass(frozen=True)
class Plan:
    """What is measured; empty: not that. load: busy processes, beside which decoding is timed."""

    prompts: tuple[int, ...] = (128, 512)
    contexts: tuple[int, ...] = (128, 2048)
    rows: tuple[int, ...] = tuple(range(1, 17))
    load: int = 0
    decode: int = 16
    rounds: int = 3

    @property
    def text(self) -> int:
        """Tokens of the longest text that it needs."""
        decoded = [context + self.decode for context in self.contexts]
        return max([*self.prompts, *decoded, *self.rows])


@dataclass(frozen=True)
class Options:
    work: Path
    shape: str = "llama-3.2-1b"
    scheme: Scheme = field(default_factory=Scheme)
    threads: tuple[int, ...] = (1,)
    plan: Plan = field(default_factory=Plan)
    rivals: tuple[str, ...] = tuple(RIVALS)


def bench(options: Options, note: Callable[[str], None] = lambda text: None) -> dict:
    begin = time.monotonic()
    run = _Run(options, note)
    parts = [run.with_threads(threads) for threads in options.threads]
    others = [row["others_share"] for part in parts for row in _measured(part)]
    return {
        "shape": options.shape,
        "scheme": str(options.scheme),
        "decode": options.plan.decode,
        "machine": {
            "cpu": cpu_name(),
            "cores": os.cpu_count(),
            "others_share": max(others),
            "integer_peak": run.integer_peak,
        },
        "engines": {name: run.engines[name] for name in ("qtale", *options.rivals)},
        "threads": parts,
        "seconds": time.monotonic() - begin,
    }


def _measured(part: dict) -> list[dict]:
    return [
        *part.get("prefill", ()),
        *part.get("decode", ()),
        *part.get("loaded", ()),
        *filter(None, [part.get("rows")]),
    ]


class _Run:
    def __init__(self, options: Options, note: Callable[[str], None]):
        self._options, self._plan, self._note = options, options.plan, note
        config = SHAPES[options.shape]
        folder = options.work / options.shape
        self._sizes = Sizes(options.shape, config, options.scheme)
        engines = ("qtale", *options.rivals)
        self._sizes.check_memory(engines, self._plan.text)
        self._sizes.check_disk(engines, folder)
        self._models = Models(folder, config, note)
        self._artifact = self._models.artifact(options.scheme)
        self._weights = bytes_per_token(self._artifact)
        self._text = np.random.default_rng(1).integers(
            3, config["vocab_size"], max(self._plan.text, _ROWS_CONTEXT), np.int32
        )
        self._rows_context = min(
            _ROWS_CONTEXT, config["max_position_embeddings"] - max(self._plan.rows, default=0)
        )
        #: By name: its version, or why it is not measured.
        self.engines: dict[str, dict] = {}
        self.integer_peak: str | dict | None = None

    def with_threads(self, threads: int) -> dict:
        plan = self._plan
        result: dict = {"threads": threads}
        with ExitStack() as stack:
            engines = self._open(threads, stack)
            bandwidth = Bandwidth(threads).measure
            if plan.load:
                result["loaded"] = [self._loaded(engines, threads, n) for n in plan.contexts]
                return result
            if plan.prompts:
                peak = self._peak(threads, stack)
                result["prefill"] = [self._prefill(engines, n, peak) for n in plan.prompts]
                result["integer_peak_gmac_s"] = _middle(result["prefill"], "integer_peak_gmac_s")
            if plan.contexts:
                result["decode"] = [self._decode(engines, n, bandwidth) for n in plan.contexts]
                result["bandwidth_gb_s"] = _middle(result["decode"], "bandwidth_gb_s")
            if plan.rows:
                result["rows"] = self._rows(engines["qtale"])
        return result

    def _open(self, threads: int, stack: ExitStack) -> dict[str, Engine]:
        options = self._options
        engines: dict[str, Engine] = {"qtale": Qtale(self._artifact, threads)}
        stack.callback(engines["qtale"].close)
        for name in options.rivals:
            try:
                engines[name] = open_rival(
                    name, self._models, options.scheme, threads, self._plan.text
                )
                stack.callback(engines[name].close)
            except NotMeasuredError as error:
                self.engines[name] = {"not_measured": str(error)}
        self.engines |= {name: {"version": engine.version} for name, engine in engines.items()}
        self._note(f"{options.shape}: threads: {threads}")
        return engines

    def _peak(self, threads: int, stack: ExitStack) -> Callable[[], float | None]:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        try:
            unit = IntegerPeak(folder)
        except NotMeasuredError as error:
            self.integer_peak = {"not_measured": str(error)}
            return lambda: None
        self.integer_peak = unit.instruction
        return lambda: unit.measure(threads)

    def _prefill(
        self, engines: dict[str, Engine], prompt: int, peak: Callable[[], float | None]
    ) -> dict:
        part = Prefill(engines, self._text, prompt, peak)
        rounds = self._rounds(part, f"prefill of {prompt}")
        return summary.prefill(rounds, part.logits, prompt, self._sizes.macs(prompt))

    def _decode(
        self, engines: dict[str, Engine], context: int, bandwidth: Callable[[], float]
    ) -> dict:
        part = Decode(engines, self._text, context, self._plan.decode, bandwidth)
        rounds = self._rounds(part, f"decode at {context}")
        cache = engines["qtale"].cache_bytes
        return summary.decode(rounds, part.logits, context, self._weights, cache)

    def _loaded(self, engines: dict[str, Engine], threads: int, context: int) -> dict:
        load = self._plan.load
        part = Loaded(load, engines, self._text, context, self._plan.decode)
        rounds = self._rounds(part, f"decode at {context}, load {load}")
        fair = fair_share(threads, load, len(os.sched_getaffinity(0)))
        return summary.loaded(rounds, part.logits, context, load, fair)

    def _rows(self, engine: Qtale) -> dict:
        counts = self._plan.rows
        text = self._text[: self._rows_context]
        with engine.batch(text, max(counts)) as batch:
            part = Rows(batch, self._text, counts, _ROWS_REPEATS)
            rounds = self._rounds(part, "steps of several rows")
        return summary.rows(rounds, counts, len(text))

    def _rounds(self, part: Prefill | Decode | Rows, title: str) -> Rounds:
        self._note(f"{self._options.shape}: {title}")
        part.warm()
        return quiet_rounds(part.round, self._plan.rounds)


def _middle(rows: list[dict], key: str) -> float | None:
    values = [row[key] for row in rows if row[key] is not None]
    return float(np.median(values)) if values else None
