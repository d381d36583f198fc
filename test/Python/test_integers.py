"""Integers at the ends of their types, where onnxruntime is no judge: it traps, or has no kernel.

Expected: NumPy on the same types.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import qtale

LOWEST = np.iinfo(np.int64).min


@pytest.fixture
def artifact(compiled: Callable, tmp_path: Path) -> Callable:
    def artifact(signature: str, body: str) -> qtale.Artifact:
        path = tmp_path / "m.onnxtxt"
        header = '<ir_version: 10, opset_import: ["" : 21]>'
        path.write_text(f"{header}\ng {signature} {{\n{body}\n}}\n")
        return qtale.load(compiled(path))

    return artifact


# Concat asks for each number of its inputs, so what follows is arithmetic on lists.
@pytest.mark.parametrize("listed", ["w = Concat <axis: int = 0> (a, b)", "w = Identity (a)"])
def test_division_that_traps(artifact: Callable, listed: str):
    run = artifact(
        "(int64[1] a, int64[1] b) => (int64[W] w, int64[1] y)", f"{listed}\ny = Div (a, b)"
    ).run
    for a, b in ((LOWEST, -1), (LOWEST, 2), (7, -1), (-7, 2), (7, -2), (LOWEST, LOWEST)):
        wanted = np.array(-a if b == -1 and a != LOWEST else int(a / b) if b != -1 else a)
        got = run({"a": np.array([a]), "b": np.array([b])})["y"]
        np.testing.assert_array_equal(got, wanted.reshape(1))


def test_product_divided_by_minus_one(artifact: Callable):
    model = artifact(
        "(int64[1] a) => (int64[2] w, int64[1] y)",
        """w = Concat <axis: int = 0> (a, a)
        low = Constant <value: tensor = int64[1] {-9223372036854775808}> ()
        minus = Constant <value: tensor = int64[1] {-1}> ()
        product = Mul (a, low)
        y = Div (product, minus)""",
    )
    for a in (1, 2, 3):
        got = model.run({"a": np.array([a])})["y"]
        np.testing.assert_array_equal(got, -(np.array([a]) * np.array([LOWEST])))


def test_range_of_too_many(artifact: Callable):
    model = artifact("(int64 a, int64 b, int64 c) => (int64[N] y)", "y = Range (a, b, c)")
    with pytest.raises(qtale.Error, match="scratch memory"):
        model.run({"a": np.array(0), "b": np.array(LOWEST), "c": np.array(-1)})
    got = model.run({"a": np.array(5), "b": np.array(LOWEST), "c": np.array(LOWEST)})["y"]
    np.testing.assert_array_equal(got, [5, 5 + LOWEST])


def test_known_range_of_too_many(artifact: Callable):
    with pytest.raises(qtale.Error, match="9223372036854775807"):
        artifact(
            "() => (int64[N] y)",
            """first = Constant <value: tensor = int64 {0}> ()
            last = Constant <value: tensor = int64 {-9223372036854775808}> ()
            step = Constant <value: tensor = int64 {-1}> ()
            y = Range (first, last, step)""",
        )


def test_bytes_in_a_list(artifact: Callable):
    model = artifact(
        "(uint8[1] a, uint8[1] b) => (uint8[2] w, bool[1] y, uint8[1] z)",
        """w = Concat <axis: int = 0> (a, b)
        sum = Add (a, b)
        y = Greater (sum, a)
        z = Div (sum, a)""",
    )
    a, b = np.array([200], np.uint8), np.array([100], np.uint8)
    got = model.run({"a": a, "b": b})
    np.testing.assert_array_equal(got["y"], a + b > a)
    np.testing.assert_array_equal(got["z"], (a + b) // a)


def test_unsigned_exponent(artifact: Callable):
    model = artifact(
        "(float[2] x) => (float[2] y)",
        "power = Constant <value: tensor = uint8[1] {255}> ()\ny = Pow (x, power)",
    )
    x = np.array([1.01, 0.99], np.float32)
    np.testing.assert_allclose(model.run({"x": x})["y"], x**255, rtol=1e-4)


def test_sizes_beyond_int32(artifact: Callable):
    model = artifact(
        "(float[N, M] x) => (int32[2] y, int64[2] z)",
        """z = Shape (x)
        y = Cast <to: int = 6> (z)""",
    )
    got = model.run({"x": np.zeros((2**31 - 1, 0), np.float32)})
    np.testing.assert_array_equal(got["y"], [2**31 - 1, 0])
    with pytest.raises(qtale.Error, match="a size does not fit int32; compute it in int64"):
        model.run({"x": np.zeros((2**31, 0), np.float32)})
