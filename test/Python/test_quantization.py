"""The numerics' definition, against values worked out by hand and a scalar reading of the text."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from qtale.quantization import quantize, quantize_activations
from qtale.reference import Reference, Scheme
from qtale.testing import TINY, write_random_checkpoint


def row(*values: float, size: int = 32) -> np.ndarray:
    """[1, size]: the values, then zeros."""
    return np.pad(np.array([values], np.float32), ((0, 0), (0, size - len(values))))


def test_int4_by_hand():
    """Half to even, the asymmetric range -8 .. 7, one scale per group."""
    q = quantize(row(7, 0.5, 1.5, 2.5, -0.5, -1.5, -7), bits=4)
    assert q.scales.tolist() == [[1.0]]
    assert q.values[0, 0, :7].tolist() == [7, 0, 2, 2, 0, -2, -7]
    assert not q.zero_points.any()
    # 1/7 in float16 is below 1/7: -1 becomes -7.003, and still fits; it never needs -8.
    q = quantize(row(1, -1), bits=4)
    assert q.scales[0, 0] == np.float16(1 / 7)
    assert q.values[0, 0, :2].tolist() == [7, -7]


def test_int4_reaches_minus_eight():
    """A subnormal scale is coarse: integers found with it go beyond 7 and are clamped."""
    tiny = float(np.float16(2**-24))
    q = quantize(row(10.4 * tiny, -10.4 * tiny), bits=4)  # the scale rounds down to one unit
    assert q.scales[0, 0] == np.float16(tiny)
    assert q.values[0, 0, :2].tolist() == [7, -8]


def test_int8_by_hand():
    q = quantize(row(127, 2.5, 3.5, -127), bits=8)
    assert q.scales.tolist() == [[1.0]]
    assert q.values[0, 0, :4].tolist() == [127, 2, 4, -127]
    tiny = float(np.float16(2**-24))
    q = quantize(row(190 * tiny, -190 * tiny), bits=8)
    assert q.values[0, 0, :2].tolist() == [127, -127]


def test_asymmetric_by_hand():
    q = quantize(row(-5, 10, 0, 0.5, 1.5), bits=4, asymmetric=True)
    assert (q.scales[0, 0], q.zero_points[0, 0]) == (1, 5)
    assert q.values[0, 0, :5].tolist() == [0, 15, 5, 5, 7]
    assert q.values[0, 0, 5:].tolist() == [5] * 27  # zero is exact
    # All of one sign: the range still holds zero.
    q = quantize(np.full((1, 32), 30, np.float32), bits=4, asymmetric=True)
    assert (q.scales[0, 0], q.zero_points[0, 0]) == (2, 0)
    assert set(q.values.flat) == {15}
    q = quantize(np.full((1, 32), -30, np.float32), bits=4, asymmetric=True)
    assert (q.scales[0, 0], q.zero_points[0, 0]) == (2, 15)
    assert set(q.values.flat) == {0}


def test_limits_of_the_scale():
    for bits in (4, 8):
        for asymmetric in (False, True):
            zero = quantize(np.zeros((2, 40), np.float32), bits, 32, asymmetric)
            assert not zero.dequantize().any()
            small = quantize(row(1e-9, -1e-9), bits, 32, asymmetric)
            assert not small.scales.any()
            assert not small.dequantize().any()
            for bad in (1e9, np.inf, np.nan):
                with pytest.raises(ValueError, match=r"too large|finite"):
                    quantize(row(bad), bits, 32, asymmetric)


@pytest.mark.parametrize("asymmetric", [False, True])
@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("group", [32, 64, 128])
def test_scalar_reading(bits: int, group: int, asymmetric: bool):
    """Element by element in Python, as the text says it; K = 172 is no multiple of any group."""
    f32, f16 = np.float32, np.float16
    w = np.random.default_rng(bits + group).standard_normal((3, 172)).astype(f32)
    w[1] = np.abs(w[1])
    q = quantize(w, bits, group, asymmetric)
    assert q.values.shape == (3, -(-172 // group), group)
    for n in range(3):
        for k in range(172):
            g = k // group
            part = [*w[n, g * group : (g + 1) * group], f32(0)]
            if asymmetric:
                top = 2**bits - 1
                scale = f16((max(part) - min(part)) / f32(top))
                zero = min(max(round(float(-min(part) / f32(scale))), 0), top)
                value = min(max(round(float(w[n, k] / f32(scale))) + zero, 0), top)
            else:
                top = 2 ** (bits - 1) - 1
                scale, zero = f16(max(map(abs, part)) / f32(top)), 0
                lowest = -8 if bits == 4 else -127
                value = min(max(round(float(w[n, k] / f32(scale))), lowest), top)
            got = (q.values[n, g, k % group], q.scales[n, g], q.zero_points[n, g])
            assert got == (value, scale, zero)
            assert q.dequantize()[n, k] == (value - zero) * float(scale)


def test_activations():
    x = np.zeros((2, 40), np.float32)
    x[0, :4] = [127, 0.5, -1.5, -127]
    x[0, 32:34] = [-1, 1]
    q, s = quantize_activations(x)
    assert q.shape == (2, 2, 32)
    assert q[0, 0, :4].tolist() == [127, 0, -2, -127]
    assert q[0, 1, :3].tolist() == [-127, 127, 0]
    np.testing.assert_array_equal(s, np.array([[1, 1 / 127], [0, 0]], np.float32))
    assert not q[1].any()


@pytest.mark.parametrize(("bits", "group", "asymmetric"), [(4, 32, False), (8, 128, True)])
def test_product(bits: int, group: int, asymmetric: bool):
    """The integer product is the product of what both sides stand for."""
    generator = np.random.default_rng(0)
    w = generator.standard_normal((5, 172)).astype(np.float32)
    x = generator.standard_normal((4, 172)).astype(np.float32)
    weight = quantize(w, bits, group, asymmetric)
    xq, xs = quantize_activations(x)
    stands_for = (xq * xs[..., None].astype(np.float64)).reshape(4, -1)[:, :172]
    np.testing.assert_allclose(weight.matmul(x), stands_for @ weight.dequantize().T, rtol=1e-12)
    error = np.abs(weight.matmul(x) - x @ w.T.astype(np.float64)).max()
    assert 0 < error < (4 if bits == 4 else 0.5)


def test_schemes_of_a_model(tmp_path: Path):
    """More bits lie nearer to the exact model; integer activations change little on top."""
    config = TINY | {"hidden_size": 192, "intermediate_size": 300, "tie_word_embeddings": True}
    folder = write_random_checkpoint(tmp_path, config)
    ids = np.random.default_rng(0).integers(0, TINY["vocab_size"], 20)
    exact = Reference(folder).logits(ids)

    def error(**scheme) -> float:
        difference = Reference(folder, Scheme(**scheme)).logits(ids) - exact
        return float(np.sqrt(np.mean(difference**2)) / np.std(exact))

    assert 0.1 < error(weights="int4") < 0.5
    assert 0.005 < error(weights="int8") < 0.03
    assert error(weights="int8") < error(weights="int8", activations="int8") < 0.05
    assert error(weights="int4", asymmetric=True) < error(weights="int4")
    assert error(weights="int4") < error(weights="int4", group=128)
    assert 0 < error(kv="f16") < 0.001
    for wrong in ({"weights": "int3"}, {"activations": "int8"}, {"kv": "int4"}):
        with pytest.raises(ValueError, match=r"must be one of|need int4"):
            Scheme(**wrong)
