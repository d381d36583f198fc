"""Numbers at the end of their types, where onnxruntime has no kernel: onnx.reference judges."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator

import qtale

HUGE = 2**63 - 1
RNG = np.random.default_rng(3)


def normal() -> np.ndarray:
    return RNG.standard_normal((1, 1, 3, 2)).astype(np.float32)


# A graph and its inputs.
CASES = {
    "windows": (
        f"""(float[1, 1, 3, 2] q, float[1, 1, 3, 2] k, float[1, 1, 3, 2] v)
            => (float[1, 1, 3, 2] left, float[1, 1, 3, 2] right) {{
            left = Attention <left_window_size: int = {HUGE}> (q, k, v)
            right = Attention <right_window_size: int = {HUGE}> (q, k, v) }}""",
        {"q": normal(), "k": normal(), "v": normal()},
    ),
    "indices_without_a_sign": (
        """(uint64[2] x) => (float[2, 3] y) <int64 depth = {3}, float[2] both = {0, 1}>
            { y = OneHot (x, depth, both) }""",
        {"x": np.array([2**64 - 1, 1], np.uint64)},
    ),
    "fractions_of_integers": (
        """(int32[1, 2] a, int32[2, 1] b, int32[1] c)
            => (int32[1, 1] y, int32[1, 1] z, int32[1, 1] w) {
            y = Gemm <alpha: float = 0.5> (a, b)
            z = Gemm <alpha: float = 0.5, beta: float = 0.5> (a, b, c)
            w = Gemm <alpha: float = 2.0, beta: float = 3.0> (a, b, c) }""",
        {
            "a": np.array([[2, 3]], np.int32),
            "b": np.array([[1], [2]], np.int32),
            "c": np.array([2], np.int32),
        },
    ),
    "doubles_beside_the_middle_of_halves": (
        """(double[4] x) => (float16[4] y) { y = Cast <to: int = 10> (x) }""",
        {"x": np.array([1 + 2.0**-11 + 2.0**-40, 1 + 3 * 2.0**-11 - 2.0**-40, 65519.9999, 1e300])},
    ),
    "integers_that_shrink": (
        """(int32[4] x) => (int32[4] y) {
            y = Shrink <lambd: float = 0.5, bias: float = 0.0> (x) }""",
        {"x": np.array([2**24 + 1, 2**31 - 1, -(2**31), 0], np.int32)},
    ),
}


@pytest.mark.parametrize(("graph", "feed"), CASES.values(), ids=CASES)
def test_is_as_the_reference_has_it(compiled: Callable, tmp_path: Path, graph: str, feed: dict):
    path = tmp_path / "m.onnxtxt"
    path.write_text(f'<ir_version: 11, opset_import: ["" : 25]> m {graph}')
    judge = ReferenceEvaluator(onnx.parser.parse_model(path.read_text()))
    got = qtale.load(compiled(path)).run(feed)
    for name, wanted in zip(judge.output_names, judge.run(None, feed), strict=True):
        # It leaves fractions to whoever asks for integers.
        exact = got[name].dtype.kind in "iu"
        np.testing.assert_allclose(
            got[name], wanted.astype(got[name].dtype), rtol=0 if exact else 1e-5
        )


def test_wide_numbers_are_rounded_once_to_bfloat16(compiled: Callable, tmp_path: Path):
    """Eight bits: just above the middle between two is the upper one, which f32 forgets."""
    path = tmp_path / "m.onnxtxt"
    path.write_text("""<ir_version: 11, opset_import: ["" : 25]>
        m (double[2] x, int32[2] i) => (float[2] y, float[2] z) {
            short = Cast <to: int = 16> (x)
            y = Cast <to: int = 1> (short)
            shorter = Cast <to: int = 16> (i)
            z = Cast <to: int = 1> (shorter) }""")
    feed = {
        "x": np.array([1 + 2.0**-8 + 2.0**-40, -1 - 2.0**-8 - 2.0**-40]),
        "i": np.array([2**24 + 2**16 + 1, -(2**24) - 2**16], np.int32),
    }
    got = qtale.load(compiled(path)).run(feed)
    assert got["y"].tolist() == [1 + 2.0**-7, -1 - 2.0**-7]
    assert got["z"].tolist() == [2**24 + 2**17, -(2**24)]
