"""Every recipe against NumPy, alone and nested."""

from __future__ import annotations

import numpy as np
import pytest
from weights_module import BFLOAT16, ELEMENTS, Module, tensor_type


def evaluate(module: Module, recipe: str, expected: np.ndarray) -> None:
    """Compares bits."""
    expected = np.array(expected, order="C")
    kind = tensor_type(expected.shape, ELEMENTS[str(expected.dtype)])
    module.weight("w", kind, recipe, expected.nbytes)
    tensors, _ = module.write()
    raw = tensors["w"].tobytes()
    assert raw[: expected.nbytes] == expected.tobytes()
    assert not any(raw[expected.nbytes :]), "padding is zero"


@pytest.mark.parametrize("dtype", list(ELEMENTS))
def test_source_keeps_bits(module: Module, random: np.random.Generator, dtype: str):
    if dtype == "bool":
        array = random.integers(0, 2, (5, 7)).astype(bool)
    elif dtype == "bfloat16":
        array = random.standard_normal((5, 7)).astype(BFLOAT16)
    else:
        size = np.dtype(dtype).itemsize
        array = np.frombuffer(random.bytes(35 * size), dtype).reshape(5, 7)
    evaluate(module, module.source(array), array)


def test_scalar(module: Module):
    array = np.array(3.5, np.float32)
    evaluate(module, module.source(array), array)


@pytest.mark.parametrize("perm", [(0, 1, 2), (2, 1, 0), (1, 2, 0), (2, 0, 1)])
def test_transpose(module: Module, random: np.random.Generator, perm: tuple[int, ...]):
    array = random.standard_normal((17, 5, 33)).astype(np.float16)
    recipe = f"#qtale.transpose<{module.source(array)}, {list(perm)}>"
    evaluate(module, recipe, array.transpose(perm))


def test_slice(module: Module, random: np.random.Generator):
    array = random.standard_normal((6, 9, 4)).astype(np.float32)
    recipe = f"#qtale.slice<{module.source(array)}, axis = 1, begin = 3, size = 5>"
    evaluate(module, recipe, array[:, 3:8])


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_concat(module: Module, random: np.random.Generator, axis: int):
    shapes = [[3, 4, 5], [3, 4, 5], [3, 4, 5]]
    shapes[1][axis] = 1
    shapes[2][axis] = 7
    arrays = [random.standard_normal(shape).astype(np.float32) for shape in shapes]
    inputs = ", ".join(module.source(array) for array in arrays)
    evaluate(module, f"#qtale.concat<[{inputs}], axis = {axis}>", np.concatenate(arrays, axis))


@pytest.mark.parametrize("shape", [(24, 35), (5, 7, 24), (840,), (2, 3, 4, 5, 7)])
def test_reshape_of_moved(module: Module, random: np.random.Generator, shape: tuple[int, ...]):
    array = random.standard_normal((8, 15, 7)).astype(np.float32)
    moved = f"#qtale.transpose<{module.source(array)}, [1, 2, 0]>"
    recipe = f"#qtale.reshape<{moved}, {tensor_type(shape, 'f32')}>"
    evaluate(module, recipe, array.transpose(1, 2, 0).reshape(shape))


def test_transpose_of_reshape_of_slice(module: Module, random: np.random.Generator):
    array = random.standard_normal((10, 6, 4)).astype(np.float32)
    part = f"#qtale.slice<{module.source(array)}, axis = 1, begin = 1, size = 3>"
    flat = f"#qtale.reshape<{part}, tensor<30x4xf32>>"
    recipe = f"#qtale.transpose<{flat}, [1, 0]>"
    evaluate(module, recipe, array[:, 1:4].reshape(30, 4).T)


def test_reshape_of_split_axes(module: Module, random: np.random.Generator):
    array = random.standard_normal((12, 10)).astype(np.float32)
    moved = f"#qtale.transpose<{module.source(array)}, [1, 0]>"
    split = f"#qtale.reshape<{moved}, tensor<5x2x3x4xf32>>"
    recipe = f"#qtale.transpose<{split}, [2, 0, 3, 1]>"
    evaluate(module, recipe, array.T.reshape(5, 2, 3, 4).transpose(2, 0, 3, 1))


@pytest.mark.parametrize("source", ["float64", "float32", "float16", "bfloat16"])
@pytest.mark.parametrize("target", ["float32", "float16", "bfloat16"])
def test_cast(module: Module, random: np.random.Generator, source: str, target: str):
    scale = np.exp2(random.integers(-30, 18, (40, 50)))
    finite = np.clip(random.standard_normal((40, 50)) * scale, -65504, 65504)
    array = finite.astype(source)
    edges = [0.0, -0.0, np.inf, -np.inf, 65504, 65519.99, 65520, 2.0**-25, 2.0**-24, 1.5 * 2.0**-24]
    with np.errstate(over="ignore"):
        array[0, : len(edges)] = np.array(edges).astype(source)
    recipe = f"#qtale.cast<{module.source(array)}, {ELEMENTS[target]}>"
    with np.errstate(over="ignore", invalid="ignore"):
        if (source, target) == ("float64", "bfloat16"):
            # ml_dtypes rounds doubles twice; the exact result from halves' neighbours.
            expected = round_once_to_bfloat16(array)
        else:
            expected = array.astype(target)
    evaluate(module, recipe, expected)


def round_once_to_bfloat16(array: np.ndarray) -> np.ndarray:
    near = array.astype(np.float32).astype(BFLOAT16)
    bits = near.view(np.uint16).astype(np.int32)
    best, distance = near, np.abs(near.astype(np.float64) - array)
    for step in (-1, 1):
        other = (bits + step).astype(np.uint16).view(BFLOAT16)
        gap = np.abs(other.astype(np.float64) - array)
        even = (other.view(np.uint16) & 1) == 0
        better = (gap < distance) | ((gap == distance) & even)
        best = np.where(better, other, best)
        distance = np.where(better, gap, distance)
    return best


def test_cast_rounds_doubles_once(module: Module):
    # Just above the middle of two halves: through f32 it would be the tie, and go to even.
    array = np.array([1 + 2.0**-11 + 2.0**-40, -1 - 2.0**-11 - 2.0**-40])
    recipe = f"#qtale.cast<{module.source(array)}, f16>"
    evaluate(module, recipe, np.array([1 + 2.0**-10, -1 - 2.0**-10], np.float16))


INTEGERS = {
    "i4": (-8, 8, np.int8),
    "ui4": (0, 16, np.uint8),
    "i8": (-128, 128, np.int8),
    "ui8": (0, 256, np.uint8),
    "i16": (-(2**15), 2**15, np.int16),
    "i32": (-(2**31), 2**31, np.int32),
}


@pytest.mark.parametrize("element", list(INTEGERS))
@pytest.mark.parametrize("scale_type", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize(("axis", "block"), [(None, 0), (0, 0), (1, 0), (0, 4), (1, 8), (1, 1)])
@pytest.mark.parametrize("moved", [False, True])
def test_dequantize(
    module: Module,
    random: np.random.Generator,
    element: str,
    scale_type: str,
    axis: int | None,
    block: int,
    moved: bool,
):
    low, high, dtype = INTEGERS[element]
    shape = (11, 21)
    q = random.integers(low, high, shape).astype(dtype)
    scale_shape = () if axis is None else (shape[axis],)
    if block:
        scale_shape = tuple(
            -(-size // block) if i == axis else size for i, size in enumerate(shape)
        )
    s = random.uniform(0.01, 2, scale_shape).astype(scale_type)
    z = random.integers(low, high, scale_shape).astype(dtype)
    if element == "i32":
        z = np.zeros_like(z)  # as ONNX demands

    def spread(x: np.ndarray) -> np.ndarray:
        x = x.astype(np.float32)
        if block:
            return np.repeat(x, block, axis)[: shape[0], : shape[1]]
        return x[:, None] if axis == 0 else x

    with np.errstate(over="ignore"):
        expected = ((q.astype(np.float32) - spread(z)) * spread(s)).astype(scale_type)
    nibbles = element if element in ("i4", "ui4") else None
    recipe = (
        f"#qtale.dequantize<{module.source(q, nibbles)}, {module.source(s)} "
        f"zero = {module.source(z, nibbles)}, axis = {axis or 0}, block = {block}>"
    )
    if moved:
        recipe = f"#qtale.transpose<{recipe}, [1, 0]>"
        recipe = f"#qtale.slice<{recipe}, axis = 0, begin = 5, size = 13>"
        expected = expected.T[5:18]
    evaluate(module, recipe, expected)


def test_dequantize_without_zero(module: Module, random: np.random.Generator):
    q = random.integers(-8, 8, (3, 9)).astype(np.int8)
    s = np.array([0.5], np.float32)
    recipe = f"#qtale.dequantize<{module.source(q, 'i4')}, {module.source(s)}, axis = 0, block = 0>"
    evaluate(module, recipe, q.astype(np.float32) * s)


def test_large_tensor_in_chunks(module: Module, random: np.random.Generator):
    array = random.standard_normal((1500, 4099)).astype(np.float32)
    recipe = f"#qtale.transpose<{module.source(array)}, [1, 0]>"
    evaluate(module, f"#qtale.cast<{recipe}, f16>", array.T.astype(np.float16))
