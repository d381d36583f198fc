"""Routing in the bindings, against an artifact written by hand (fake_model.c) with known p.

3 layers, the first without routers; the first 2 positions run everything.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import qtale

TOKENS = [1, 2, 3, 8, 12, 15]
P = np.array(TOKENS, np.float32) / 16


@pytest.fixture
def a(fake_routed: Path) -> Iterator[qtale.Artifact]:
    with qtale.load(fake_routed) as artifact:
        yield artifact


def code_of(call, *arguments, **options) -> tuple[str, str]:
    with pytest.raises(qtale.Error) as caught:
        call(*arguments, **options)
    return caught.value.code, str(caught.value)


def expected(units: int, thresholds: list[float], budget: int = 99) -> tuple[np.ndarray, ...]:
    """kept and p as fake_model.c says: unit by unit; thresholds are those of routed units."""
    kept = np.ones((3 * units, len(TOKENS)), bool)
    p = np.ones((3 * units, len(TOKENS)), np.float32)
    for at in range(len(TOKENS)):
        left = budget
        for index, threshold in enumerate(thresholds):
            unit = units + index
            p[unit, at] = P[at] if kept[unit - 1, at] else 1 - P[at]
            if at >= 2:
                kept[unit, at] = p[unit, at] >= threshold and left > 0
                left -= kept[unit, at]
    shape = (3, -1) if units == 1 else (3, units, len(TOKENS))
    return kept.reshape(shape), p.reshape(shape)


def test_description(a: qtale.Artifact):
    routing = a.routing
    assert (routing.layers, routing.always_execute, routing.ratios) == (3, 2, None)
    assert routing.shape == ((3,) if routing.units == 1 else (3, 2))
    np.testing.assert_array_equal(routing.routed.reshape(3, -1)[:, 0], [False, True, True])
    np.testing.assert_array_equal(routing.thresholds, np.full(routing.shape, 0.5, np.float32))


def test_kept_and_probability(a: qtale.Artifact):
    """With the model's own threshold, in one step and in several."""
    s = a.session(record=True)
    s.step(TOKENS)
    units = a.routing.units
    kept, p = expected(units, [0.5] * 2 * units)
    assert (s.kept.dtype, s.probability.dtype) == (bool, np.float32)
    np.testing.assert_array_equal(s.kept, kept)
    np.testing.assert_array_equal(s.probability, p)
    assert a.routing.ratio(s.kept) == kept.reshape(3 * units, -1)[units:, 2:].mean()
    s.truncate(3)
    np.testing.assert_array_equal(s.kept, kept[..., :3])
    s.step(TOKENS[3:])
    np.testing.assert_array_equal(s.kept, kept)
    s.reset()
    assert s.kept.shape == (*a.routing.shape, 0)
    assert a.routing.ratio(s.kept) == 1


@pytest.mark.parametrize("threshold", [0, 0.3, 1.5])
def test_one_threshold(a: qtale.Artifact, threshold: float):
    s = a.session(record=True, threshold=threshold)
    np.testing.assert_array_equal(s.threshold, np.full(a.routing.shape, threshold, np.float32))
    s.step(TOKENS)
    kept, _ = expected(a.routing.units, [threshold] * 2 * a.routing.units)
    np.testing.assert_array_equal(s.kept, kept)


def test_thresholds_of_layers_and_units(a: qtale.Artifact):
    units = a.routing.units
    s = a.session(record=True, threshold=[7, 0.2, 0.7])
    assert s.threshold.shape == a.routing.shape
    np.testing.assert_allclose(s.threshold.reshape(3, -1)[:, -1], [7, 0.2, 0.7])
    s.step(TOKENS)
    np.testing.assert_array_equal(s.kept, expected(units, [0.2] * units + [0.7] * units)[0])
    each = np.array([7, 7, 0.2, 0.4, 0.6, 0.8] if units == 2 else [7, 0.3, 0.6])
    s.threshold = each.reshape(a.routing.shape)
    s.reset()
    s.step(TOKENS)
    np.testing.assert_array_equal(s.kept, expected(units, each[units:].tolist())[0])


def test_budget(a: qtale.Artifact):
    units = a.routing.units
    s = a.session(record=True, threshold=0)
    assert s.budget is None
    for budget in (0, 1, 2):
        s.budget = budget
        s.reset()
        s.step(TOKENS)
        assert s.budget == budget
        np.testing.assert_array_equal(s.kept, expected(units, [0] * 2 * units, budget)[0])
    s.budget = None
    s.step(3)
    assert s.kept[..., -1].all()


def test_fork_takes_it_over(a: qtale.Artifact):
    s = a.session(record=True, threshold=0.25)
    s.budget = 5
    s.step(TOKENS)
    t = s.fork()
    np.testing.assert_array_equal(t.threshold, s.threshold)
    assert (t.budget, t.ratio) == (5, None)
    np.testing.assert_array_equal(t.kept, s.kept)


def test_ratio_needs_a_table(a: qtale.Artifact):
    assert code_of(a.session, ratio=0.6) == ("INVALID_ARGUMENT", "no such ratio in the table")
    s = a.session()
    assert s.ratio is None
    with pytest.raises(qtale.Error, match="ratio must be a number, but is 'half'"):
        s.ratio = "half"


def test_errors(a: qtale.Artifact):
    s = a.session()
    assert code_of(lambda: s.kept) == ("INVALID_ARGUMENT", "made without record")
    assert code_of(lambda: s.probability)[0] == "INVALID_ARGUMENT"
    for value, message in (
        (-1, "below 0"),
        (np.nan, "below 0"),
        ([0.5] * 4, "or have the shape [3]"),
        ([[0.5]] * 3, "has [3, 1]"),
        ("high", "must be numbers"),
    ):
        code, text = code_of(setattr, s, "threshold", value)
        assert code == "INVALID_ARGUMENT"
        assert message in text
    for value in (-1, 0.5, 1 << 63, "all"):
        code, text = code_of(setattr, s, "budget", value)
        assert code == "INVALID_ARGUMENT"
        assert "budget must be an integer" in text
    assert code_of(a.session, threshold=0.5, ratio=0.5)[0] == "INVALID_ARGUMENT"
    np.testing.assert_array_equal(s.threshold, a.routing.thresholds)


def test_models_without_routers(fake: Path):
    with qtale.load(fake) as a:
        assert a.routing is None
        s = a.session()
        for name in ("threshold", "ratio", "budget", "kept", "probability"):
            code, message = code_of(getattr, s, name)
            assert code == "UNSUPPORTED"
            assert "no routers" in message
        for name in ("threshold", "ratio", "budget"):
            assert code_of(setattr, s, name, 1)[0] == "UNSUPPORTED"
        assert code_of(a.session, threshold=0.5)[0] == "UNSUPPORTED"
