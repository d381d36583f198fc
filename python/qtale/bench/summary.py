"""Of the rounds of a part, the figures that are reported; times in ms, ratios above 1: qtale leads.

{"others_share", "rounds", LIMIT, "engines": {name: {"ms", "tokens_per_s", …}}}
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np

from qtale.bench.measure import Rounds, agreement

_KINDS = ("batch", "chunk")


def prefill(rounds: Rounds, logits: Mapping[str, np.ndarray], prompt: int, macs: int) -> dict:
    """qtale besides: "gmac_s", and "share_of_limit" where the integer peak is known."""
    engines = {name: _speed(rounds, name, prompt) for name in logits}
    ours = engines["qtale"]
    ours["gmac_s"] = macs / ours["ms"] / 1e6
    if rounds.limit:
        ours["share_of_limit"] = ours["gmac_s"] / rounds.limit
    _compare(engines, rounds, logits)
    return {
        "prompt": prompt,
        "macs": macs,
        **_facts(rounds),
        "integer_peak_gmac_s": rounds.limit,
        "engines": engines,
    }


def decode(
    rounds: Rounds, logits: Mapping[str, np.ndarray], context: int, weights: int, cache: int
) -> dict:
    """qtale besides: "read_gb_s", "share_of_limit". weights, cache: bytes read for a token."""
    engines = {name: _speed(rounds, name, 1) for name in logits}
    ours = engines["qtale"]
    ours["read_gb_s"] = (weights + cache) / ours["ms"] / 1e6
    ours["share_of_limit"] = ours["read_gb_s"] / rounds.limit
    _compare(engines, rounds, logits)
    return {
        "context": context,
        "weight_bytes": weights,
        "cache_bytes": cache,
        **_facts(rounds),
        "bandwidth_gb_s": rounds.limit,
        "engines": engines,
    }


def loaded(
    rounds: Rounds, logits: Mapping[str, np.ndarray], context: int, processes: int, fair: float
) -> dict:
    """Of each state: tokens ÷ all their time, the median step and the worst decile.

    "share": loaded ÷ quiet speed. Not of medians: a thread that has to wait does so for many of its
    steps at once, and the others are as fast as ever.
    """
    engines = {}
    total = {key: rounds.seconds(key).sum(axis=1) for key in rounds.rounds[0].seconds}
    for name in logits:
        row = engines[name] = {}
        for state in ("quiet", "loaded"):
            seconds = rounds.seconds((name, state))
            row[state] = {
                "tokens_per_s": float(np.median(seconds.shape[1] / total[name, state])),
                "ms": 1e3 * float(np.median(seconds)),
                "worst_decile_ms": 1e3 * float(np.quantile(seconds, 0.9)),
            }
        row["share"] = float(np.median(total[name, "quiet"] / total[name, "loaded"]))
        row["worst_decile_share"] = (
            row["quiet"]["worst_decile_ms"] / row["loaded"]["worst_decile_ms"]
        )
        if name != "qtale":
            row["ratio"] = float(np.median(total[name, "loaded"] / total["qtale", "loaded"]))
            row["agreement"] = agreement(logits["qtale"], logits[name])
    return {
        "context": context,
        "processes": processes,
        "fair_share": fair,
        **_facts(rounds),
        "engines": engines,
    }


def rows(rounds: Rounds, counts: Sequence[int], context: int) -> dict:
    """Of each kind a list by rows, and the largest step up of the time per row."""
    result = {"context": context, **_facts(rounds)}
    for kind in _KINDS:
        times = [1e3 * rounds.median((kind, count)) for count in counts]
        result[kind] = [
            {"rows": count, "ms": ms, "ms_per_row": ms / count}
            for count, ms in zip(counts, times, strict=True)
        ]
        # Of paired times, so that a slower minute is no step.
        steps = [
            {"from": a, "to": b, "ratio": rounds.ratio((kind, b), (kind, a)) * a / b}
            for a, b in pairwise(counts)
        ]
        result[f"{kind}_largest_step"] = max(steps, key=lambda s: s["ratio"], default=None)
    return result


def _speed(rounds: Rounds, key: object, tokens: int) -> dict:
    seconds = rounds.median(key)
    return {"ms": 1e3 * seconds, "tokens_per_s": tokens / seconds}


def _compare(engines: dict, rounds: Rounds, logits: Mapping[str, np.ndarray]) -> None:
    for name, row in engines.items():
        if name != "qtale":
            row["ratio"] = rounds.ratio(name, "qtale")
            row["agreement"] = agreement(logits["qtale"], logits[name])


def _facts(rounds: Rounds) -> dict:
    return {"others_share": rounds.others, "rounds": len(rounds.rounds)}
