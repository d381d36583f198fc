"""The reference's routed models against their goldens, and what the goldens don't show."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from goldens import NAMES, THRESHOLDS, checkpoint, golden
from qtale.reference import Reference, Scheme
from qtale.reference_weights import Weights
from qtale.testing import TINY, write_random_checkpoint


@pytest.fixture(scope="module", params=NAMES)
def oracle(request: pytest.FixtureRequest) -> tuple[str, Reference]:
    return request.param, Reference(checkpoint(request.param))


@pytest.mark.parametrize("threshold", THRESHOLDS)
def test_golden(oracle: tuple[str, Reference], threshold: float):
    """To the last bit of the goldens, which are float64 rounded to float32."""
    name, reference = oracle
    expected = golden(name, threshold)
    got = reference.run(expected.ids, threshold)
    assert (got.kept == expected.kept).all()
    assert np.abs(got.probability - expected.probability).max() <= 2**-24
    error = np.abs(got.logits - expected.logits)
    assert (error <= 2**-24 * np.abs(expected.logits) + 1e-9 * np.abs(expected.logits).max()).all()


def test_cache_holds_what_the_policy_says(oracle: tuple[str, Reference]):
    _, reference = oracle
    routing = reference.config.routing
    ids = golden("tiny", 0.5).ids[:20]
    run = reference.run(ids, 0.5)
    for layer, stored in enumerate(run.stored):
        kept = run.kept[layer].reshape(routing.units, -1)[0]  # attention comes first
        evicts = routing.kv_policy == "evict" and routing.routes(layer)
        assert stored.tolist() == (np.flatnonzero(kept) if evicts else np.arange(20)).tolist()


def test_text_does_not_see_its_future(oracle: tuple[str, Reference]):
    name, reference = oracle
    ids = golden(name, 0.5).ids
    whole, half = reference.run(ids, 0.5), reference.run(ids[:9], 0.5)
    np.testing.assert_allclose(whole.logits[:9], half.logits, atol=1e-12)
    assert (whole.kept[..., :9] == half.kept).all()


def test_thresholds_of_units(oracle: tuple[str, Reference]):
    """Each unit has its own; one above 1 skips all but the first tokens, and no other unit."""
    name, reference = oracle
    routing, ids = reference.config.routing, golden(name, 0.0).ids
    layers, skipping = reference.config.num_layers, reference.config.num_layers - 2
    thresholds = np.zeros((layers, 2) if routing.units == 2 else layers)
    thresholds[(skipping, 1) if routing.units == 2 else skipping] = 1.5
    kept = reference.run(ids, thresholds).kept
    expected = np.ones_like(kept)
    last = expected[skipping, 1] if routing.units == 2 else expected[skipping]
    last[routing.always_execute_tokens :] = False
    assert (kept == expected).all()
    # One for each layer means both of its units.
    both = reference.run(ids, np.where(np.arange(layers) == skipping, 1.5, 0.0)).kept
    assert not both[skipping, ..., routing.always_execute_tokens :].any()


def test_model_threshold_is_the_default(oracle: tuple[str, Reference]):
    name, reference = oracle
    expected = golden(name, reference.config.routing.threshold)
    assert (reference.run(expected.ids).kept == expected.kept).all()


def test_budget(oracle: tuple[str, Reference]):
    """A token runs its first willing units; those that always run cost nothing."""
    name, reference = oracle
    routing, ids = reference.config.routing, golden(name, 0.5).ids
    first, always = routing.first_routed_layer, routing.always_execute_tokens
    free = reference.run(ids, 0.5)
    for budget in (0, 2):
        run = reference.run(ids, 0.5, budget)
        assert run.kept[..., :always].all()
        assert run.kept[:first].all()
        units = run.kept[first:].reshape(-1, len(ids)).T
        willing = (run.probability[first:] >= 0.5).reshape(-1, len(ids)).T
        for token in range(always, len(ids)):
            left = budget
            for kept, wants in zip(units[token], willing[token], strict=True):
                assert kept == (wants and left > 0)
                left -= int(kept)
    assert (run.kept != free.kept).any()
    everything = reference.run(ids, 0.5, budget=100)
    np.testing.assert_array_equal(everything.logits, free.logits)


def test_only_large_router_matrices_are_rounded():
    """Integer weights leave routers float: fc1 in half precision."""
    reference = Reference(checkpoint("tiny"), Scheme("int8"))
    weights, name = reference.weights, "model.layers.2.router.fc1"
    exact = Weights(weights.checkpoint, Scheme()).router_matrix(name)
    rounded = weights.router_matrix(name)
    assert (rounded == exact.astype(np.float16)).all()
    assert (rounded != exact).any()
    x = np.random.default_rng(0).standard_normal((7, 64))
    p = reference.probability(x, "model.layers.2.router")
    q = Reference(checkpoint("tiny")).probability(x, "model.layers.2.router")
    assert 0 < np.abs(p - q).max() < 1e-3


@pytest.mark.parametrize(
    "thresholds", [-0.1, np.nan, np.zeros(3), np.zeros((6, 2)), [0.5] * 5 + [np.nan]]
)
def test_unusable_thresholds(thresholds: float | np.ndarray):
    with pytest.raises(ValueError, match="threshold"):
        Reference(checkpoint("tiny")).run([1, 2], thresholds)


def test_unusable_budget():
    with pytest.raises(ValueError, match="budget"):
        Reference(checkpoint("tiny")).run([1, 2], budget=-1)


@pytest.mark.parametrize("policy", ["evict", "compute", "copy"])
@pytest.mark.parametrize("scheme", [{}, {"weights": "int8", "activations": "int8", "kv": "int8"}])
def test_nothing_runs(tmp_path: Path, policy: str, scheme: dict):
    """Where no token must run and none wants to, rows pass every routed layer unchanged."""
    routing = {"router": "linear", "first_routed_layer": 1, "always_execute_tokens": 0}
    routing |= {"kv_policy": policy, "threshold": 1.5}
    folder = write_random_checkpoint(tmp_path / "routed", TINY | {"qtale": routing})
    ids = [3, 1, 4]
    run = Reference(folder, Scheme(**scheme)).run(ids)
    assert not run.kept[1:].any()

    # The same tensors, without the layers that were skipped.
    tensors = load_file(folder / "model.safetensors")
    (tmp_path / "dense").mkdir()
    above = re.compile(r"model\.layers\.[12]\.")
    save_file(
        {name: value for name, value in tensors.items() if not above.match(name)},
        tmp_path / "dense/model.safetensors",
    )
    config = json.loads((folder / "config.json").read_text()) | {"num_hidden_layers": 1}
    del config["qtale"]
    (tmp_path / "dense/config.json").write_text(json.dumps(config))
    expected = Reference(tmp_path / "dense", Scheme(**scheme)).logits(ids)
    np.testing.assert_allclose(run.logits, expected, atol=1e-12)
