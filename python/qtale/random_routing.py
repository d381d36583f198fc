"""Random routed models, and thresholds at which rounding decides nothing.

    p of a unit      ..:.  .  . : .         .  .: ..
    threshold                        ^ the middle of the widest gap

A program that computes p with small errors decides as one without: p lies far from the threshold.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from qtale.checkpoint.routing import KV_POLICIES, ROUTERS, UNITS
from qtale.reference import Reference


def random_routed_config(rng: np.random.Generator) -> dict:
    """A small model's config.json with a "qtale" block, for `write_random_checkpoint`.

    Sizes are no multiples of anything; heads share keys or not; every kind of router, unit and
    policy, with and without scaling and adapters, is about equally likely.
    """

    def integer(low: int, high: int) -> int:
        return int(rng.integers(low, high + 1))

    def flag() -> bool:
        return bool(rng.integers(2))

    layers, kv_heads = integer(2, 5), integer(1, 3)
    router, unit, policy = (str(rng.choice(kinds)) for kinds in (ROUTERS, list(UNITS), KV_POLICIES))
    routing = {
        "router": router,
        "unit": unit,
        "first_routed_layer": integer(1 if policy == "copy" else 0, min(2, layers - 1)),
        "always_execute_tokens": integer(0, 3),
        "kv_policy": policy,
        "scale_kept": flag(),
        "adapter_size": integer(3, 24) if unit == "block" and flag() else 0,
        "threshold": round(float(rng.uniform(0.3, 0.7)), 3),
    }
    if router != "linear":
        routing["router_hidden_size"] = integer(3, 40)
        routing["router_norm_eps"] = float(rng.choice([1e-6, 1e-5, 1e-3]))
    return {
        "hidden_size": integer(17, 72),
        "intermediate_size": integer(20, 120),
        "num_hidden_layers": layers,
        "num_attention_heads": kv_heads * integer(1, 3),
        "num_key_value_heads": kv_heads,
        "head_dim": 2 * integer(2, 10),
        "vocab_size": integer(40, 120),
        "max_position_embeddings": 128,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "attention_bias": flag(),
        "tie_word_embeddings": flag(),
        "qtale": routing,
    }


def widest_gap_threshold(p: np.ndarray) -> float:
    """The middle, a float32, of the widest gap between values of p that are neighbours in order.

    The lowest and the highest fifth stay on their sides, so that some run and some don't.
    """
    values = np.sort(np.asarray(p, np.float64), axis=None)
    tail = len(values) // 5
    values = np.concatenate([[0.0], values, [1.0]])[tail : len(values) + 2 - tail]
    at = int(np.argmax(np.diff(values)))
    return float(np.float32((values[at] + values[at + 1]) / 2))


def separating_thresholds(
    reference: Reference, texts: Sequence[Sequence[int] | np.ndarray]
) -> np.ndarray:
    """For each unit the widest gap of its p over all texts: [layers] or [layers, 2].

    Unit by unit, from the first on: what runs below moves the p above.
    """
    routing, layers = reference.config.routing, reference.config.num_layers
    if routing is None:
        raise ValueError("a dense model has no thresholds")
    thresholds = np.zeros(layers if routing.units == 1 else (layers, routing.units))
    for at in np.ndindex(thresholds.shape):
        if routing.routes(at[0]):
            runs = (reference.run(text, thresholds) for text in texts)
            p = [run.probability[at][routing.always_execute_tokens :] for run in runs]
            thresholds[at] = widest_gap_threshold(np.concatenate(p))
    return thresholds
