"""How numbers become small integers: the definition that compiled kernels follow.

Everything here is computed in float32, each operation rounded once; `rne` rounds half to even. A
weight W is [N, K] (N outputs); every row is cut along K into groups of G = 32, 64 or 128. K is
padded to whole groups with zeros, which changes no scale and adds nothing to a product.

Weights, symmetric, b = 4 or 8 bits; one scale per group, stored as float16:

    s = f16(max|w| / (2^(b-1) - 1))
    q = clamp(rne(w / s), lowest, 2^(b-1) - 1)    lowest: -8 for b = 4, -127 for b = 8
    w ~ q s                                       a scale of 0 gives q = 0

Weights, asymmetric; a zero point per group besides:

    l = min(min w, 0),  h = max(max w, 0)         so that 0 is exact
    s = f16((h - l) / (2^b - 1))
    z = clamp(rne(-l / s), 0, 2^b - 1)
    q = clamp(rne(w / s) + z, 0, 2^b - 1)
    w ~ (q - z) s                                 a scale of 0 gives z = q = 0

Integers are found with the *rounded* scale, so that its error is not added to theirs. Subnormal
scales are used as they are. A group of weights so small that s rounds to 0 becomes 0 (below 2.1e-7
for 4 bits, 3.8e-6 for 8). A group so large that s is infinite (above 4.5e5, 8.3e6) has no such
representation and is refused, and so are weights that are not finite.

Activations, with integer weights: per row and block of 32 columns, a float32 scale

    xs = max|x| / 127,   xq = clamp(rne(x / xs), -127, 127)       xs = 0 gives xq = 0

Products: y[t, n] = sum over blocks of (sum over k of xq (q - z)) xs s, the inner sum an integer. A
block never crosses a group, as G is a multiple of 32.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

#: Columns of an activation that share a scale.
BLOCK = 32
GROUPS = (32, 64, 128)


@dataclass(frozen=True)
class Quantized:
    """Integers of a weight [N, K]."""

    #: int32 [N, ceil(K / G), G]; the padding holds the integer of zero.
    values: np.ndarray
    #: float16 [N, ceil(K / G)]
    scales: np.ndarray
    #: int32 [N, ceil(K / G)]; zeros where the scheme is symmetric
    zero_points: np.ndarray
    #: K without padding
    columns: int

    def dequantize(self) -> np.ndarray:
        """float64 [N, K]."""
        centred = self.values - self.zero_points[..., None]
        w = centred * self.scales[..., None].astype(np.float64)
        return w.reshape(w.shape[0], -1)[:, : self.columns]

    def matmul(self, x: np.ndarray) -> np.ndarray:
        """x [T, K] with int8 activations -> float64 [T, N]."""
        n, groups, group = self.values.shape
        blocks = groups * group // BLOCK
        xq, xs = quantize_activations(x, groups * group)
        wq = (self.values - self.zero_points[..., None]).reshape(n, blocks, BLOCK)
        ws = np.repeat(self.scales.astype(np.float64), group // BLOCK, axis=1)
        # [B, T, 32] x [B, 32, N]: integers below 2^53 are exact in float64.
        dots = xq.transpose(1, 0, 2).astype(np.float64) @ wq.transpose(1, 2, 0).astype(np.float64)
        return np.einsum("btn,tb,nb->tn", dots, xs.astype(np.float64), ws)


def quantize(w: np.ndarray, bits: int, group: int = 32, asymmetric: bool = False) -> Quantized:
    """w [N, K] to integers of 4 or 8 bits, as the head of this file says."""
    if bits not in (4, 8):
        raise ValueError(f"bits must be 4 or 8, but is {bits}")
    if group not in GROUPS:
        raise ValueError(f"group must be 32, 64 or 128, but is {group}")
    w = np.asarray(w, np.float32)
    if not np.isfinite(w).all():
        raise ValueError("weights must be finite")
    n, columns = w.shape
    w = np.pad(w, ((0, 0), (0, -columns % group))).reshape(n, -1, group)
    if asymmetric:
        top = (1 << bits) - 1
        low = np.minimum(w.min(-1), np.float32(0))
        high = np.maximum(w.max(-1), np.float32(0))
        scales = _scale((high - low) / np.float32(top))
        zero_points = np.clip(_divide(-low, scales), 0, top)
        values = np.clip(_divide(w, scales[..., None]) + zero_points[..., None], 0, top)
    else:
        top = (1 << (bits - 1)) - 1
        scales = _scale(np.abs(w).max(-1) / np.float32(top))
        zero_points = np.zeros(scales.shape, np.int32)
        values = np.clip(_divide(w, scales[..., None]), -8 if bits == 4 else -127, top)
    return Quantized(values, scales, zero_points, columns)


def quantize_activations(x: np.ndarray, padded: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """x [T, K] -> int32 [T, B, 32] and float32 scales [T, B]; K padded with zeros to `padded`."""
    x = np.asarray(x, np.float32)
    rows, columns = x.shape
    padding = -columns % BLOCK if padded is None else padded - columns
    x = np.pad(x, ((0, 0), (0, padding))).reshape(rows, (columns + padding) // BLOCK, BLOCK)
    scales = np.abs(x).max(-1) / np.float32(127)
    return np.clip(_divide(x, scales[..., None]), -127, 127), scales


def _scale(scale: np.ndarray) -> np.ndarray:
    """Rounded to the stored type."""
    with np.errstate(over="ignore"):
        rounded = scale.astype(np.float16)
    if np.isinf(rounded).any():
        raise ValueError(f"weights are too large: a scale of {scale.max():g} exceeds float16")
    return rounded


def _divide(values: np.ndarray, scales: np.ndarray) -> np.ndarray:
    """rne(values / scales) as int32; 0 where the scale is 0."""
    scales = scales.astype(np.float32)
    safe = np.where(scales == 0, np.float32(1), scales)
    return np.where(scales == 0, np.float32(0), np.rint(values / safe)).astype(np.int32)
