"""One measurement from beginning to end: `bench(options, note)` gives what --json writes.

{"shape", "scheme", "threads", "prompt", "decode", "rounds",
 "machine": {"cpu", "cores", "others_share"},
 "bandwidth_gb_s", "bandwidths_gb_s": [per round], "bytes_per_token",
 "engines": {"qtale" | rival: {"version", "decode_ms", "decode_tokens_per_s", "prefill_ms",
                               "prefill_tokens_per_s"}
             qtale besides:   {"read_gb_s", "share_of_limit"}
             a rival besides: {"decode_ratio", "prefill_ratio", "agreement"}
             or, instead:     {"not_measured": why}}}
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from qtale.bench.bandwidth import Bandwidth
from qtale.bench.engine import Engine, Qtale, Scheme
from qtale.bench.machine import cpu_name
from qtale.bench.measure import Measurement, Plan, Times, agreement
from qtale.bench.models import Models, bytes_per_token
from qtale.bench.rivals import RIVALS, NotMeasuredError, open_rival
from qtale.bench.shapes import SHAPES


@dataclass(frozen=True)
class Options:
    work: Path
    shape: str = "llama-3.2-1b"
    scheme: Scheme = field(default_factory=Scheme)
    threads: int = 1
    plan: Plan = field(default_factory=Plan)
    rivals: tuple[str, ...] = tuple(RIVALS)


def bench(options: Options, note: Callable[[str], None] = lambda text: None) -> dict:
    config = SHAPES[options.shape]
    models = Models(options.work / options.shape, config, note)
    plan, threads = options.plan, options.threads
    context = plan.prompt + plan.decode
    result: dict = {
        "shape": options.shape,
        "scheme": str(options.scheme),
        "threads": threads,
        "prompt": plan.prompt,
        "decode": plan.decode,
        "rounds": plan.rounds,
        "machine": {"cpu": cpu_name(), "cores": os.cpu_count(), "others_share": None},
    }
    engines: dict[str, Engine] = {}
    absent: dict[str, dict] = {}
    with ExitStack() as stack:
        artifact = models.artifact(options.scheme)
        engines["qtale"] = Qtale(artifact, threads)
        stack.callback(engines["qtale"].close)
        for name in options.rivals:
            try:
                engines[name] = open_rival(name, models, options.scheme, threads, context)
                stack.callback(engines[name].close)
            except NotMeasuredError as error:
                absent[name] = {"not_measured": str(error)}
        note(f"{options.shape}: measuring")
        limit = Bandwidth(threads)
        text = np.random.default_rng(1).integers(3, config["vocab_size"], context, np.int32)
        measurement = Measurement(engines, text, plan, limit.measure)
        measurement.run()
        times = {name: measurement.times(name) for name in engines}
        rates = [r.bandwidth for r in measurement.rounds]
        result["machine"]["others_share"] = max(r.others for r in measurement.rounds)
        result["bandwidth_gb_s"] = float(np.median(rates))
        result["bandwidths_gb_s"] = rates
        result["bytes_per_token"] = bytes_per_token(artifact, config["tie_word_embeddings"])
        rows = {name: _row(engines[name], times[name], plan) for name in engines}
    ours = rows["qtale"]
    ours["read_gb_s"] = result["bytes_per_token"] / ours["decode_ms"] / 1e6
    ours["share_of_limit"] = ours["read_gb_s"] / result["bandwidth_gb_s"]
    for name in set(rows) - {"qtale"}:
        rows[name] |= _comparison(times["qtale"], times[name])
    result["engines"] = {"qtale": ours} | {n: rows.get(n) or absent[n] for n in options.rivals}
    return result


def _row(engine: Engine, times: Times, plan: Plan) -> dict:
    decode, prefill = (float(np.median(part)) for part in (times.decode, times.prefill))
    return {
        "version": engine.version,
        "decode_ms": 1e3 * decode,
        "decode_tokens_per_s": 1 / decode,
        "prefill_ms": 1e3 * prefill,
        "prefill_tokens_per_s": plan.prompt / prefill,
    }


def _comparison(ours: Times, theirs: Times) -> dict:
    """Above 1: qtale is faster."""
    return {
        "decode_ratio": float(np.median(theirs.decode / ours.decode)),
        "prefill_ratio": float(np.median(theirs.prefill / ours.prefill)),
        "agreement": agreement(ours.logits, theirs.logits),
    }
