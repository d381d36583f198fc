"""Element types of 8 bits or less that NumPy lacks: every code, and every way to round to one.

    all codes ── Cast ──▶ float32 == ml_dtypes
    all float16, halfway points and their neighbours ── Cast ──▶ codes == ml_dtypes

Expected values are ml_dtypes', or exact where those round twice; float8e8m0, which differs from the
specification's table at its ends, is rounded here by its definition.
"""

from __future__ import annotations

import math
import subprocess
from pathlib import Path

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import qtale
from low_bit_types import (
    FLOAT8,
    INTEGERS,
    POWER,
    SHORT,
    TYPES,
    Graph,
    bits,
    codes,
    number,
    numpy_type,
    same_bits,
    same_numbers,
)
from qtale.compiler import find_tool

# -- Every code ----------------------------------------------------------------


def test_every_code_is_its_number(compiled, tmp_path: Path):
    graph, wanted = Graph(), {}
    for name in TYPES:
        values = codes(name)
        x = graph.input(f"x_{name}", values)
        targets = {"FLOAT": np.float32, "DOUBLE": np.float64, "BFLOAT16": ml_dtypes.bfloat16}
        if name != POWER:
            targets |= {"FLOAT16": np.float16}
        if name in INTEGERS:
            targets |= {"INT8": np.int8, "INT64": np.int64, "UINT8": np.uint8}
        for target, dtype in targets.items():
            result = graph.node("Cast", [x], number(target), f"{name}_{target}", to=number(target))
            wanted[result] = values.astype(np.float32 if dtype is np.float64 else dtype).astype(
                dtype
            )
        if name not in INTEGERS:
            finite = np.isfinite(values.astype(np.float64))
            wanted[graph.node("Cast", [x], number("BOOL"), f"{name}_BOOL", to=number("BOOL"))] = (
                values.astype(np.float32) != 0
            )
            assert finite.sum() >= 16
        if name in FLOAT8:
            wide = values.astype(np.float32)
            wanted[graph.node("IsNaN", [x], number("BOOL"), f"{name}_nan")] = np.isnan(wide)
            wanted[graph.node("IsInf", [x], number("BOOL"), f"{name}_inf")] = np.isinf(wide)
    results = graph.run(tmp_path)
    assert results.keys() == wanted.keys()
    for name, value in wanted.items():
        same_numbers(results[name], value, name)


# -- Rounding ------------------------------------------------------------------


def finite_numbers(name: str) -> np.ndarray:
    """Ascending, positive, float64."""
    values = codes(name).astype(np.float32).astype(np.float64)
    return np.unique(values[np.isfinite(values) & (values >= 0)])


def halfway_points(name: str) -> np.ndarray:
    values = finite_numbers(name)
    values = np.append(values, 2 * values[-1] - values[-2])  # where overflow begins
    return (values[1:] + values[:-1]) / 2


def singles() -> np.ndarray:
    halves = np.arange(65536, dtype=np.uint16).view(np.float16).astype(np.float32)
    points = [halves]
    for name in [*FLOAT8, *SHORT]:
        middle = halfway_points(name).astype(np.float32)
        for near in (np.nextafter(middle, np.float32(0)), np.nextafter(middle, np.float32(np.inf))):
            points += [near, -near]
        points += [middle, -middle]
    edges = [1e-45, 1.1e-38, 3e38, np.inf, np.nan, 65536, 1e9]
    points += [np.float32(edges), -np.float32(edges)]
    return np.concatenate(points)


def doubles() -> np.ndarray:
    """Where rounding to float32 first would decide a tie wrongly."""
    middle = np.concatenate([halfway_points(name) for name in [*FLOAT8, *SHORT]])
    points = [middle, middle * (1 + 2.0**-40), middle * (1 - 2.0**-40), np.array([1e300, 1e-300])]
    return np.concatenate([*points, *(-p for p in points)])


def rounded(x: np.ndarray, name: str, saturate: bool) -> np.ndarray:
    dtype = numpy_type(name)
    if saturate and name in FLOAT8:
        limit = x.dtype.type(ml_dtypes.finfo(dtype).max)
        x = np.clip(x, -limit, limit)
    return x.astype(dtype)


def rounded_once(x: np.ndarray, name: str, saturate: bool) -> np.ndarray:
    """Doubles to the nearest number; ml_dtypes rounds them to float32 on the way."""
    table = finite_numbers(name)
    largest = len(table) - 1  # positive numbers ascend with their codes
    beyond = np.append(table, 2 * table[-1] - table[-2])
    magnitude = np.minimum(np.abs(x), beyond[-1])
    below = np.minimum(np.searchsorted(beyond, magnitude, "right") - 1, largest)
    gap = (beyond[below + 1] - magnitude) - (magnitude - beyond[below])
    code = below + ((gap < 0) | ((gap == 0) & (below % 2 == 1)))
    overflow = code > largest
    sign = np.signbit(x).astype(int) << (bits(name) - 1)
    if saturate or name in SHORT:
        code = np.minimum(code, largest)
    result = code | sign
    if name.endswith("UZ"):
        result = np.where(overflow & (not saturate), 128, np.where(code == 0, 0, result))
    return result.astype(np.uint8).view(numpy_type(name))


def test_rounding(compiled, tmp_path: Path):
    graph, wanted = Graph(), {}
    with np.errstate(all="ignore"):
        sources = {
            "x": singles(),
            "h": np.arange(65536, dtype=np.uint16).view(np.float16),
            "b": np.arange(65536, dtype=np.uint16).view(ml_dtypes.bfloat16),
            "d": doubles(),
        }
        for source, x in sources.items():
            graph.input(source, x)
            for name in [*FLOAT8, *SHORT]:
                for saturate in (1, 0) if name in FLOAT8 else (1,):
                    result = graph.node(
                        "Cast",
                        [source],
                        number(name),
                        f"{source}_{name}_{saturate}",
                        to=number(name),
                        saturate=saturate,
                    )
                    if source == "d":
                        wanted[result] = rounded_once(x, name, bool(saturate))
                    else:
                        wanted[result] = rounded(x.astype(np.float32), name, bool(saturate))
        results = graph.run(tmp_path)
        for name, value in wanted.items():
            same_bits(results[name], value, name)


def power(x: float, mode: str, saturate: bool) -> int:
    """The code of a positive number as float8e8m0, by the specification's table."""
    if math.isnan(x):
        return 255
    if math.isinf(x):
        return 254 if saturate else 255
    if x < 2.0**-127:
        return 0 if saturate else 255
    fraction, exponent = math.frexp(x)  # x = fraction * 2^exponent, 0.5 <= fraction < 1
    exponent -= 1
    if mode == "up":
        exponent += fraction > 0.5
    elif mode == "nearest":
        exponent += fraction >= 0.75
    limit = 254 if saturate else 255
    return min(exponent + 127, limit)


def test_rounding_to_powers(compiled, tmp_path: Path):
    halves = np.arange(0x7C01, dtype=np.uint16).view(np.float16).astype(np.float32)
    powers = np.ldexp(np.float32(1), np.arange(-127, 128)).astype(np.float32)
    middle = (powers * np.float32(1.5)).astype(np.float32)
    around = [powers, np.nextafter(powers, np.float32(0)), np.nextafter(powers, np.float32(np.inf))]
    around += [middle, np.nextafter(middle, np.float32(0))]
    edges = np.array([0, 1e-45, 3.4e38, np.nan, np.inf], np.float32)
    x = np.concatenate([halves, *around, edges])
    graph, wanted = Graph(), {}
    graph.input("x", x)
    for mode in ("up", "down", "nearest"):
        for saturate in (1, 0):
            result = graph.node(
                "Cast",
                ["x"],
                number(POWER),
                f"{mode}_{saturate}",
                to=number(POWER),
                round_mode=mode,
                saturate=saturate,
            )
            wanted[result] = [power(float(v), mode, bool(saturate)) for v in x]
    results = graph.run(tmp_path)
    for name, value in wanted.items():
        same_bits(results[name], np.array(value, np.uint8).view(numpy_type(POWER)), name)


def test_integers(compiled, tmp_path: Path):
    """Higher bits are dropped; fractions too; and integers become floats by value."""
    graph, wanted = Graph(), {}
    random = np.random.default_rng(1)
    whole = {
        "q": random.integers(-(2**62), 2**62, 500),
        "i": np.arange(-600, 600, dtype=np.int32),
        "c": np.arange(-128, 128, dtype=np.int8),
        "u": np.arange(256, dtype=np.uint8),
        "t": np.array([True, False]),
    }
    for source, x in whole.items():
        graph.input(source, x)
        for name in INTEGERS:
            mask = (1 << bits(name)) - 1
            result = graph.node("Cast", [source], number(name), f"{source}_{name}", to=number(name))
            wanted[result] = (x.astype(np.int64) & mask).astype(np.uint8).view(numpy_type(name))
        for name in [*FLOAT8, *SHORT]:
            result = graph.node("Cast", [source], number(name), f"{source}_{name}", to=number(name))
            wanted[result] = rounded(x.astype(np.float64), name, True)
    x = graph.input("x", np.arange(-9, 17, 0.25, dtype=np.float32))
    for name in INTEGERS:
        result = graph.node("Cast", [x], number(name), f"x_{name}", to=number(name))
        kept = np.trunc(graph.values[x]).astype(np.int64) & ((1 << bits(name)) - 1)
        wanted[result] = kept.astype(np.uint8).view(numpy_type(name))
    results = graph.run(tmp_path)
    for name, value in wanted.items():
        same_bits(results[name], value, name)


# -- Moved, stored, given and returned -------------------------------------------


def tensor(values: np.ndarray, typed: bool) -> TensorProto:
    """As raw data, or as int32_data in ONNX's layout."""
    result = numpy_helper.from_array(values)
    if typed:
        raw = np.frombuffer(result.raw_data, np.uint8)
        if "float6" in values.dtype.name:
            raw = values.view(np.uint8).ravel()
        result.ClearField("raw_data")
        result.int32_data.extend(raw.tolist())
    return result


@pytest.mark.parametrize("name", TYPES)
def test_movement(name: str, compiled, tmp_path: Path):
    """Of inputs, small and large constants, in both encodings; sizes that fill no byte."""
    random = np.random.default_rng(2)

    def some(*shape: int) -> np.ndarray:
        return random.choice(codes(name), shape)

    element = number(name)
    graph, wanted = Graph(), {}
    x = some(3, 5, 7)
    graph.input("x", x)
    for size, shape in (("small", (3, 5)), ("large", (71, 73))):
        for typed in (False, True):
            value = some(*shape)
            constant = graph.constant(tensor(value, typed), f"{size}_{typed}")
            if name in SHORT[:2]:
                result = graph.node("Cast", [constant], number("FLOAT"), f"{constant}_f", to=1)
                wanted[result] = value.astype(np.float32)
                continue
            wanted[graph.node("Identity", [constant], element, f"{constant}_same")] = value
            wanted[graph.node("Transpose", [constant], element, f"{constant}_t")] = value.T
    if name in SHORT[:2]:
        wanted[graph.node("Cast", ["x"], number("FLOAT"), "x_f", to=1)] = x.astype(np.float32)
    else:
        shape = graph.constant(numpy_helper.from_array(np.array([5, 21])), "shape")
        two = graph.constant(numpy_helper.from_array(np.array([2, 3])), "two")
        axis = graph.constant(numpy_helper.from_array(np.array([1])), "axis")
        value = some(1)
        wanted |= {
            graph.node("Transpose", ["x"], element, "turned", perm=[2, 0, 1]): x.transpose(2, 0, 1),
            graph.node("Reshape", ["x", shape], element, "reshaped"): x.reshape(5, 21),
            graph.node("Flatten", ["x"], element, "flat"): x.reshape(3, 35),
            graph.node("Unsqueeze", ["x", axis], element, "more"): x[:, None],
            graph.node("Squeeze", ["more", axis], element, "less"): x,
            graph.node("Identity", ["x"], element, "same"): x,
            graph.node("Shape", ["x"], number("INT64"), "sizes"): np.array([3, 5, 7]),
            graph.node("Size", ["x"], number("INT64"), "size"): np.array(105),
            graph.node("Constant", [], element, "made", value=tensor(x[0], True)): x[0],
            graph.node(
                "ConstantOfShape", [two], element, "filled", value=tensor(value, False)
            ): np.broadcast_to(value, (2, 3)),
        }
    results = graph.run(tmp_path)
    for key, value in wanted.items():
        (same_numbers if value.dtype == np.float32 else same_bits)(results[key], value, key)


def test_other_bits_of_an_input_are_ignored(compiled, tmp_path: Path):
    graph = Graph()
    x = graph.input("x", codes("INT4"))
    graph.node("Cast", [x], number("INT32"), "y", to=number("INT32"))
    graph.node("Identity", [x], number("INT4"), "z")
    wanted = graph.run(tmp_path)
    with qtale.load(tmp_path / "m.so") as artifact:
        got = artifact.run({"x": codes("INT4").view(np.uint8) | 0xA0})
    np.testing.assert_array_equal(got["y"], [*range(8), *range(-8, 0)])
    same_bits(got["z"], wanted["z"])


# -- Files -----------------------------------------------------------------------


def test_npy_files(compiled, tmp_path: Path):
    """What numpy.save writes of ml_dtypes' arrays is read and written; bits serve, too."""
    graph = Graph()
    arrays = {
        "e": codes("FLOAT8E4M3FN"),
        "n": codes("INT4"),
        "b": np.arange(-3, 3).astype(ml_dtypes.bfloat16),
    }
    for name, value in arrays.items():
        graph.input(name, value)
        element = helper.np_dtype_to_tensor_dtype(value.dtype)
        graph.node("Identity", [name], element, f"{name}_out")
    graph.run(tmp_path)

    def command(*more: str) -> subprocess.CompletedProcess:
        inputs = [f"--input={name}={tmp_path / name}.npy" for name in arrays]
        return subprocess.run(
            [find_tool("qtale-run"), tmp_path / "m.so", *inputs, *more],
            capture_output=True,
            text=True,
        )

    for kind in ("void", "bits"):
        for name, value in arrays.items():
            raw = value.view(np.uint8 if value.itemsize == 1 else np.uint16)
            np.save(tmp_path / f"{name}.npy", value if kind == "void" else raw)
        out = tmp_path / kind
        done = command(f"--output-dir={out}")
        assert done.returncode == 0, done.stderr
        for name, value in arrays.items():
            saved = np.load(out / f"{name}_out.npy")
            assert saved.dtype.kind == "V"
            same_bits(saved.view(value.dtype), value, name)
            np.save(tmp_path / "numpy.npy", value)
            assert (out / f"{name}_out.npy").read_bytes() == (tmp_path / "numpy.npy").read_bytes()

    shown = command().stdout.splitlines()
    assert shown[0] == "e_out  float8_e4m3fn [256]  min -448  max 448  mean 0  NaN 2"
    assert shown[1] == "n_out  int4 [16]  min -8  max 7  mean -0.5"

    np.save(tmp_path / "e.npy", codes("FLOAT8E4M3FN").astype(np.float32))
    failed = command()
    assert failed.returncode == 1
    assert "input 'e' is float32, but the model takes float8_e4m3fn" in failed.stderr


def test_names_in_messages(compiled, tmp_path: Path):
    graph = Graph()
    graph.input("x", codes("UINT2"))
    graph.node("Identity", ["x"], number("UINT2"), "y")
    graph.run(tmp_path)
    with qtale.load(tmp_path / "m.so") as artifact:
        assert artifact.inputs == [("x", "uint2", (4,))]
        assert artifact.info["outputs"] == [{"name": "y", "dtype": "uint2", "shape": [4]}]
        with pytest.raises(qtale.Error, match="is uint4, but the model takes uint2"):
            artifact.run({"x": codes("UINT4")[:4]})


@pytest.mark.parametrize(
    ("element", "reason"),
    [("STRING", "text"), ("COMPLEX64", "complex"), ("COMPLEX128", "complex")],
)
def test_refused_types(element: str, reason: str, compiled, tmp_path: Path):
    kind = number(element)
    values = [helper.make_tensor_value_info(name, kind, [2]) for name in ("x", "y")]
    node = helper.make_node("Identity", ["x"], ["y"], name="same")
    graph = helper.make_graph([node], "g", values[:1], values[1:])
    onnx.save(helper.make_model(graph), tmp_path / "m.onnx")
    with pytest.raises(qtale.Error) as failure:
        qtale.compile(tmp_path / "m.onnx", tmp_path / "m.so", cpu="native")
    message = str(failure.value)
    assert "input 'x'" in message
    assert element.lower() in message
    assert reason in message
    assert not (tmp_path / "m.so").exists()


def test_refused_kinds(compiled, tmp_path: Path):
    tensor = helper.make_tensor_type_proto(1, [2])
    kind = helper.make_sequence_type_proto(tensor)
    values = [helper.make_value_info(name, kind) for name in ("x", "y")]
    graph = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["y"])], "g", values[:1], values[1:]
    )
    onnx.save(helper.make_model(graph), tmp_path / "m.onnx")
    with pytest.raises(qtale.Error, match="input 'x' is no tensor, but a sequence"):
        qtale.compile(tmp_path / "m.onnx", tmp_path / "m.so", cpu="native")
