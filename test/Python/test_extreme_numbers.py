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
}


@pytest.mark.parametrize(("graph", "feed"), CASES.values(), ids=CASES)
def test_is_as_the_reference_has_it(compiled: Callable, tmp_path: Path, graph: str, feed: dict):
    path = tmp_path / "m.onnxtxt"
    path.write_text(f'<ir_version: 11, opset_import: ["" : 25]> m {graph}')
    judge = ReferenceEvaluator(onnx.parser.parse_model(path.read_text()))
    got = qtale.load(compiled(path)).run(feed)
    for name, wanted in zip(judge.output_names, judge.run(None, feed), strict=True):
        # It leaves fractions to whoever asks for integers.
        np.testing.assert_allclose(got[name], wanted.astype(got[name].dtype), rtol=1e-5)
