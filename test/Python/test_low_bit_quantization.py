"""QuantizeLinear and DequantizeLinear of every type and granularity, against onnx's reference."""

from __future__ import annotations

from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from onnx import numpy_helper

import qtale
from low_bit_types import (
    FLOAT8,
    INTEGERS,
    SHORT,
    TYPES,
    Graph,
    codes,
    number,
    numpy_type,
    same_bits,
    same_numbers,
)

QUANTIZED = [*FLOAT8, *SHORT, *INTEGERS, "INT8", "UINT8", "INT16", "UINT16"]


def zero_point(name: str, shape: tuple[int, ...]) -> np.ndarray | None:
    if name in FLOAT8:
        return np.zeros(shape, np.uint8).view(numpy_type(name))
    if name in SHORT:
        return None
    return np.ones(shape, np.int8).astype(numpy_type(name))


@pytest.mark.parametrize("element", ["FLOAT", "FLOAT16"])
def test_quantize(element: str, compiled, tmp_path: Path):
    random = np.random.default_rng(3)
    dtype = numpy_type(element)
    graph = Graph()
    x = (random.standard_normal((4, 6, 8)) * 30).astype(dtype)
    x.flat[:2] = [0.0, -0.0]
    graph.input("x", x)
    scales = {
        "tensor": (np.array(0.75), {}),
        "axis": (np.array([0.5, 1, 2, 3.5, 0.25, 7]), {"axis": 1}),
        "block": (random.uniform(0.5, 2, (4, 6, 3)), {"axis": -1, "block_size": 3}),
    }
    for kind, (scale, attributes) in scales.items():
        graph.input(kind, scale.astype(dtype))
        for name in QUANTIZED:
            zero = zero_point(name, scale.shape)
            inputs, result = ["x", kind], f"{kind}_{name}"
            more = dict(attributes)
            if zero is None or kind == "axis":
                more["output_dtype"] = number(name)
            else:
                inputs.append(graph.input(f"zero_{kind}_{name}", zero))
            if name in FLOAT8:
                more["saturate"] = int(kind == "tensor")
            graph.node("QuantizeLinear", inputs, number(name), result, **more)
    with np.errstate(all="ignore"):
        wanted = graph.reference()
    results = graph.run(tmp_path)
    for name, value in wanted.items():
        same_bits(results[name], value, name)


def test_precision_of_the_division(compiled, tmp_path: Path):
    """A quotient that is rounded to float16 first falls on the other side of a tie."""
    graph = Graph()
    x = np.arange(-2000, 2000, dtype=np.float32) / 7
    graph.input("x", x)
    graph.constant(numpy_helper.from_array(np.array(0.3, np.float32)), "scale")
    for precision in ("FLOAT", "FLOAT16"):
        graph.node(
            "QuantizeLinear",
            ["x", "scale"],
            number("INT16"),
            precision,
            precision=number(precision),
            output_dtype=number("INT16"),
        )
    wanted, results = graph.reference(), graph.run(tmp_path)
    assert (wanted["FLOAT"] != wanted["FLOAT16"]).any()
    for name, value in wanted.items():
        same_bits(results[name], value, name)


@pytest.mark.parametrize("stored", ["inputs", "constants"])
def test_dequantize(stored: str, compiled, tmp_path: Path):
    """Constants of this size are weights, which are unpacked when they are written."""
    random = np.random.default_rng(4)
    graph, wanted = Graph(), {}

    def operand(name: str, value: np.ndarray) -> str:
        if stored == "inputs":
            return graph.input(name, value)
        return graph.constant(numpy_helper.from_array(value), name)

    shape = (24, 128)
    scales = {
        "tensor": (np.array(0.75), {}),
        "axis": (random.uniform(0.5, 2, 24), {"axis": 0}),
        "block": (random.uniform(0.5, 2, (24, 4)), {"axis": 1, "block_size": 32}),
    }
    for kind, (scale, _) in scales.items():
        operand(kind, scale.astype(np.float32))
        operand(f"{kind}_16", scale.astype(np.float16))
    operand("powers", (2.0 ** random.integers(-3, 4, (24, 4))).astype(ml_dtypes.float8_e8m0fnu))
    for name in QUANTIZED:
        x = random.choice(codes(name) if name in TYPES else np.arange(-9, 9), shape)
        x = x.astype(numpy_type(name))
        if name in TYPES and name not in INTEGERS:
            x[~np.isfinite(x.astype(np.float32))] = 1
        operand(f"x_{name}", x)
        for kind, (_, attributes) in scales.items():
            zero = zero_point(name, scales[kind][0].shape)
            inputs = [f"x_{name}", kind]
            if zero is not None and kind != "axis":
                inputs.append(operand(f"zero_{kind}_{name}", zero))
            graph.node("DequantizeLinear", inputs, 1, f"{kind}_{name}", **attributes)
        for scale, output in (
            ("block_16", "FLOAT16"),
            ("block_16", "FLOAT"),
            ("powers", "FLOAT16"),
        ):
            graph.node(
                "DequantizeLinear",
                [f"x_{name}", scale],
                number(output),
                f"{scale}_{name}_{output}",
                output_dtype=number(output),
                **scales["block"][1],
            )
    wanted, results = graph.reference(), graph.run(tmp_path)
    for name, value in wanted.items():
        same_numbers(results[name], value, name)


@pytest.mark.parametrize("name", ["FLOAT8E4M3FN", "FLOAT4E2M1", "INT2"])
def test_weights(name: str, compiled, tmp_path: Path):
    """A matrix in blocks is a weight of a matmul."""
    random = np.random.default_rng(5)
    graph = Graph()
    w = random.choice(codes(name), (64, 96))
    if name in FLOAT8:
        w[~np.isfinite(w.astype(np.float32))] = 1
    graph.input("x", random.standard_normal((5, 64)).astype(np.float32))
    graph.constant(numpy_helper.from_array(w), "w")
    scale = random.uniform(0.01, 0.02, (2, 96)).astype(np.float32)
    graph.constant(numpy_helper.from_array(scale), "scale")
    graph.node("DequantizeLinear", ["w", "scale"], None, "unpacked", axis=0, block_size=32)
    graph.node("MatMul", ["x", "unpacked"], 1, "y")
    results = graph.run(tmp_path)
    wide = w.astype(np.float64) * np.repeat(scale.astype(np.float64), 32, 0)
    wanted = graph.values["x"].astype(np.float64) @ wide
    np.testing.assert_allclose(results["y"], wanted, rtol=1e-4, atol=1e-4)
    with qtale.load(tmp_path / "m.so") as artifact:
        assert artifact.info["weights"]["bytes"] >= 64 * 96 * 4  # as float32: it is a weight
