"""Matmuls that round where docs/Numerics.md says, in NumPy, and what is hard for them.

"Within 1e-5" is relative to the sum of |w x|: where terms cancel, their sum may have no
digit that rounding has not touched.
"""

from dataclasses import dataclass

import numpy as np
from execute import run
from hardware import compile_level
from packed import IntMatrix, int_matrix, pack_float
from program import Program

f32 = np.float32
random = np.random.default_rng(17)
#: A sum of so many terms may lose that much where results are subnormal.
TINY = 1e-42


def activations(k: int) -> np.ndarray:
    """Rows, each hard in its own way."""
    x = random.standard_normal((15, k)).astype(f32)
    at = random.integers(k)
    x[1] = 127
    x[2] = np.where(random.random(k) < 0.5, -127, 127)
    x[3] = 0
    x[4] = -0.0
    x[5, np.arange(k) // 32 % 2 == 0] = 0
    x[6] *= f32(1e-40)
    x[7] = 0
    x[7, at] = 1e-45  # the scale rounds to zero
    x[8] *= f32(1e-37)  # the scale is subnormal
    x[9] *= f32(1e-3)
    x[9, at] = 1e30
    x[10, at] = -3e38
    x[11] = np.arange(k) % 32 - 15.5  # halves round to even
    x[11, ::32] = 127
    x[12] *= f32(10) ** np.repeat(random.integers(-44, 30, k // 32 + 1), 32)[:k].astype(f32)
    x[13] = f32(2) ** random.integers(-149, -120, k).astype(f32)
    x[14] = -x[1]
    return x


@dataclass
class Emulation:
    values: np.ndarray  # float32 [T, N]
    size: np.ndarray  # [T, N], sum of |w x|


def fma(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
    """Products of two float32 are exact in float64."""
    return (a.astype(np.float64) * b.astype(np.float64) + c).astype(f32)


def in_integers(matrix: IntMatrix, x: np.ndarray) -> Emulation:
    n, k = matrix.q.shape
    groups, group = matrix.scales.shape[1], matrix.group
    padded = ((0, 0), (0, groups * group - k))
    blocks = np.pad(x, padded).reshape(len(x), -1, 32)
    xs = np.abs(blocks).max(2) / f32(127)
    divisor = np.where(xs == 0, f32(1), xs)[..., None]
    xq = np.clip(np.where(xs[..., None] == 0, 0, np.rint(blocks / divisor)), -127, 127)
    q = np.pad(matrix.q.astype(np.int64) - np.repeat(matrix.zeros, group, 1)[:, :k], padded)
    q = q.reshape(n, -1, 32)
    y, size = np.zeros((len(x), n), f32), np.zeros((len(x), n))
    for block in range(xs.shape[1]):
        scales = matrix.scales[:, block * 32 // group].astype(f32)
        factor = scales * xs[:, block : block + 1]
        y = fma((xq[:, block] @ q[:, block].T).astype(f32), factor, y)
        size += np.abs(xq[:, block]) @ np.abs(q[:, block].T) * np.abs(factor.astype(np.float64))
    return Emulation(y, size)


def in_floats(w: np.ndarray, x: np.ndarray) -> Emulation:
    """w: float32 [N, K]."""
    y = np.zeros((len(x), len(w)), f32)
    for k in range(x.shape[1]):
        y = fma(x[:, k : k + 1], w[:, k], y)
    return Emulation(y, np.abs(x.astype(np.float64)) @ np.abs(w.T.astype(np.float64)))


def compare(result: np.ndarray, expected: Emulation, what: str, slack: float = 0) -> None:
    finite = np.isfinite(expected.values)
    np.testing.assert_array_equal(np.isfinite(result), finite, err_msg=what)
    error = np.abs(result[finite].astype(np.float64) - expected.values[finite])
    allowed = 1e-5 * expected.size[finite] + TINY + slack
    worst = (error / allowed).max(initial=0)
    assert worst <= 1, f"{what}: off by {worst} of what is allowed"


def integers(n: int, k: int, bits: int, group: int, asymmetric: bool) -> IntMatrix:
    matrix = int_matrix(random, n, k, bits, group, asymmetric)
    scales = np.array([1, 0.5, -0.0123, 2e-5, 6e-8, 0], np.float16)
    matrix.scales = random.choice(scales, matrix.scales.shape)
    return matrix


def floats(n: int, k: int, element: str) -> tuple[bytes, np.ndarray]:
    """(packed, float32 values); subnormals, zeros of both signs and large ones."""
    w = random.standard_normal((n, k)).astype(f32)
    w[0] = 0
    w[1 % n] = -0.0
    w[2 % n] *= f32(1e-6 if element == "f16" else 1e-39)
    w[3 % n] = 65504
    if element == "f16":
        half = w.astype(np.float16)
        return pack_float(half), half.astype(f32)
    if element == "bf16":
        bits = (w.view(np.uint32) >> 16).astype(np.uint16)
        return pack_float(bits), (bits.astype(np.uint32) << 16).view(f32)
    return pack_float(w), w


INTEGERS = [
    (67, 100, 4, 32, False),
    (40, 257, 4, 64, True),
    (16, 130, 4, 128, False),
    (1, 33, 8, 32, True),
    (130, 70, 8, 64, False),
    (19, 300, 8, 128, True),
]
FLOATS = [(67, 100, "f32"), (17, 31, "f16"), (80, 1, "bf16"), (33, 64, "bf16")]


def check(level: str, program: Program, inputs: list[np.ndarray], expected: list) -> None:
    """expected: (what, emulation of all rows) of each result."""
    library = compile_level(str(program), level)
    kinds = [(2, f32)] * len(expected)
    code, whole = run(library, inputs, kinds, program.weights, threads=3)
    assert code == 0
    for result, (what, emulation) in zip(whole, expected, strict=True):
        compare(result, emulation, f"{level}, {what}")
    for rows in range(1, 10):
        first = int(random.integers(len(inputs[0]) - rows + 1))
        some = slice(first, first + rows)
        part = [x[some].copy() for x in inputs]
        code, results = run(library, part, kinds, program.weights, threads=1 + rows % 2 * 2)
        assert code == 0
        for result, all_rows in zip(results, whole, strict=True):
            np.testing.assert_array_equal(
                result.view(np.uint32), all_rows[some].view(np.uint32), err_msg=f"{level}, {rows}"
            )
    # What is not finite stays in its row, and is seen there.
    poisoned = [x.copy() for x in inputs]
    for x in poisoned:
        x[4, -1], x[9, 0] = np.nan, np.inf
    code, results = run(library, poisoned, kinds, program.weights, threads=3)
    assert code == 0
    others = [i for i in range(len(inputs[0])) if i not in (4, 9)]
    for result, all_rows, (what, _) in zip(results, whole, expected, strict=True):
        np.testing.assert_array_equal(result[others], all_rows[others], err_msg=what)
        assert not np.isfinite(result[[4, 9]]).any(), f"{level}, {what}: {result[[4, 9]]}"
