"""The reference's own parts, against readings of their equations one number at a time."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from qtale.checkpoint import Rotary, open_checkpoint
from qtale.reference import Reference
from qtale.testing import TINY, write_random_checkpoint


def test_frequencies():
    """Plain, linear and llama3 rotations, by wavelength."""
    plain = [500000.0 ** (-2 * i / 64) for i in range(32)]
    np.testing.assert_allclose(Rotary(500000.0).frequencies(64), plain, rtol=1e-14)
    linear = Rotary(500000.0, scaling={"rope_type": "linear", "factor": 4.0})
    np.testing.assert_allclose(linear.frequencies(64), np.array(plain) / 4, rtol=1e-14)

    scaling = {
        "rope_type": "llama3",
        "factor": 32.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192.0,
    }
    kinds, expected = set(), []
    for f in plain:
        wavelength = 2 * math.pi / f
        if wavelength < 8192 / 4:
            kinds.add("kept")
            expected.append(f)
        elif wavelength > 8192:
            kinds.add("stretched")
            expected.append(f / 32)
        else:
            kinds.add("between")
            s = (8192 / wavelength - 1) / 3
            expected.append((1 - s) * f / 32 + s * f)
    assert len(kinds) == 3
    got = Rotary(500000.0, scaling=scaling).frequencies(64)
    np.testing.assert_allclose(got, expected, rtol=1e-13)


@pytest.mark.parametrize("interleaved", [False, True])
def test_rotation(stories: Path, tmp_path: Path, interleaved: bool):
    """Pairs are neighbours in llama2.c's format and halves in Hugging Face's; they turn left."""
    checkpoint = (
        open_checkpoint(stories / "stories260K.bin")
        if interleaved
        else open_checkpoint(write_random_checkpoint(tmp_path, TINY))
    )
    oracle, d = Reference(checkpoint), checkpoint.config.head_dim
    x = np.zeros((4, 1, d))
    x[:, 0, 0] = 1
    partner = 1 if interleaved else d // 2
    expected = np.zeros_like(x)
    expected[:, 0, 0], expected[:, 0, partner] = np.cos(range(4)), np.sin(range(4))
    np.testing.assert_allclose(oracle.rotary(x, np.arange(4)), expected, atol=1e-15)


def test_text_does_not_see_its_future(tmp_path: Path):
    oracle = Reference(write_random_checkpoint(tmp_path, TINY))
    ids = [3, 1, 4, 1, 5, 9, 2, 6]
    np.testing.assert_allclose(oracle.logits(ids)[:5], oracle.logits(ids[:5]), atol=1e-12)
    assert np.abs(oracle.logits(ids) - oracle.logits([7, *ids[1:]])).max() > 1e-3
