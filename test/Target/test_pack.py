"""Packed weights against the equations of qtale.quantization and the layout of #qtale.packed."""

from __future__ import annotations

import numpy as np
import pytest
from weights_module import BFLOAT16, ELEMENTS, Module, tensor_type

from qtale.quantization import quantize

TILE = 16
SCHEMES = [(bits, group, a) for bits in (4, 8) for group in (32, 64, 128) for a in (False, True)]


def packed_integers(w: np.ndarray, bits: int, group: int, asymmetric: bool) -> bytes:
    """w [N, K] float32 -> its bytes, written down from the layout's definition."""
    w = np.pad(w, ((0, -len(w) % TILE), (0, 0)))
    q = quantize(w, bits, group, asymmetric)
    values = q.values.reshape(len(q.values), -1) + (0 if asymmetric else 1 << (bits - 1))
    return in_tiles(values, q.scales, q.zero_points if asymmetric else None, bits, group)


def in_tiles(
    values: np.ndarray, scales: np.ndarray, zeros: np.ndarray | None, bits: int, group: int
) -> bytes:
    """Unsigned values [rows, padded K]; scales and zero points [rows, groups]; whole tiles."""
    rows = len(values)
    out = b""
    for tile in range(0, rows, TILE):
        v = values[tile : tile + TILE].reshape(TILE, -1, 32)  # row, step, k
        if bits == 4:
            v = v[:, :, :16] | v[:, :, 16:] << 4
        v = v.reshape(TILE, v.shape[1], -1, 4)  # row, step, j, i
        steps = v.transpose(1, 2, 0, 3).astype(np.uint8).reshape(-1, group // 32, TILE * bits * 4)
        for g, step in enumerate(steps):
            out += scales[tile : tile + TILE, g].tobytes()
            if zeros is not None:
                out += zeros[tile : tile + TILE, g].astype(np.uint8).tobytes()
            out += step.tobytes()
    return out


def packed_floats(w: np.ndarray) -> bytes:
    """[N/16][K][16] elements."""
    w = np.pad(w, ((0, -len(w) % TILE), (0, 0)))
    return w.reshape(-1, TILE, w.shape[1]).transpose(0, 2, 1).tobytes()


def check(module: Module, recipe: str, w: np.ndarray, bits: int, group: int, a: bool) -> None:
    scheme = f"bits = {bits}, group = {group}" + (", asymmetric = true" if a else "")
    expected = packed_integers(w.astype(np.float32), bits, group, a)
    kind = tensor_type(w.shape, "f32", f"#qtale.packed<#qtale.int<{scheme}>>")
    recipe = f"#qtale.pack<#qtale.quantize<{recipe}, <{scheme}>>>"
    module.weight("w", kind, recipe, len(expected))
    tensors, _ = module.write()
    got = tensors["w"]
    assert got.dtype == np.uint8
    assert got.tobytes() == expected + bytes(-len(expected) % 64)


@pytest.mark.parametrize(("bits", "group", "asymmetric"), SCHEMES)
@pytest.mark.parametrize("shape", [(16, 128), (37, 172), (1, 1), (5, 33), (48, 1000)])
@pytest.mark.parametrize("transposed", [False, True])
def test_schemes(
    module: Module,
    random: np.random.Generator,
    bits: int,
    group: int,
    asymmetric: bool,
    shape: tuple[int, int],
    transposed: bool,
):
    w = random.standard_normal(shape).astype(np.float32)
    w[:, ::7] *= 1e-4
    w[shape[0] // 2] = 0  # a scale of zero
    w[:, -1] = np.abs(w[:, -1])
    recipe = module.source(np.array(w.T, order="C") if transposed else w)
    if transposed:
        recipe = f"#qtale.transpose<{recipe}, [1, 0]>"
    check(module, recipe, w, bits, group, asymmetric)


@pytest.mark.parametrize("dtype", ["float64", "float16", "bfloat16"])
@pytest.mark.parametrize("transposed", [False, True])
def test_element_types(module: Module, random: np.random.Generator, dtype: str, transposed: bool):
    w = random.standard_normal((50, 96)).astype(dtype)
    recipe = module.source(np.array(w.T, order="C") if transposed else w)
    if transposed:
        recipe = f"#qtale.transpose<{recipe}, [1, 0]>"
    check(module, recipe, w, 4, 32, False)


def test_ties_and_extremes(module: Module):
    # With absmax 7 the scale is 1, so that halves are ties; -8 is only reached by rounding.
    row = np.array([7, 0.5, 1.5, 2.5, -0.5, -1.5, -2.5, 6.5] * 4, np.float32)
    tiny = np.full(32, 2.0**-24, np.float32)  # below the smallest scale's half
    subnormal = np.full(32, 1.4 * 7 * 2.0**-24, np.float32)  # a rounded, subnormal scale
    check(
        module,
        module.source(np.stack([row, tiny, subnormal, -row])),
        np.stack([row, tiny, subnormal, -row]),
        4,
        32,
        False,
    )


@pytest.mark.parametrize("bits", [4, 8])
def test_one_sided_groups(module: Module, random: np.random.Generator, bits: int):
    w = random.uniform(1, 2, (32, 64)).astype(np.float32)
    w[16:] *= -1
    check(module, module.source(w), w, bits, 32, True)


@pytest.mark.parametrize("transposed", [False, True])
def test_many_tiles_and_blocks(module: Module, random: np.random.Generator, transposed: bool):
    # More than a chunk, wider and higher than a block of scratch memory.
    w = random.standard_normal((2500, 6000)).astype(np.float16)
    recipe = module.source(np.array(w.T, order="C") if transposed else w)
    if transposed:
        recipe = f"#qtale.transpose<{recipe}, [1, 0]>"
    check(module, recipe, w, 8, 64, False)


def test_tied_parts(module: Module, random: np.random.Generator):
    """q, k and v of a standard graph as one weight: [K, N] sources, sliced, concatenated."""
    parts = [random.standard_normal((70, n)).astype(np.float16) for n in (40, 8, 24)]
    recipes = [f"#qtale.transpose<{module.source(part)}, [1, 0]>" for part in parts]
    recipes[0] = f"#qtale.slice<{recipes[0]}, axis = 0, begin = 3, size = 31>"
    w = np.concatenate([parts[0].T[3:34], parts[1].T, parts[2].T])
    recipe = f"#qtale.concat<[{', '.join(recipes)}], axis = 0>"
    check(module, f"#qtale.cast<{recipe}, f32>", w, 4, 32, True)


def test_dequantized_blocks(module: Module, random: np.random.Generator):
    """ONNX's blocked int4 [K, N], quantized again for integer kernels."""
    q = random.integers(-8, 8, (96, 40)).astype(np.int8)
    s = random.uniform(0.01, 1, (3, 40)).astype(np.float32)
    recipe = (
        f"#qtale.dequantize<{module.source(q, 'i4')}, {module.source(s)}, axis = 0, block = 32>"
    )
    w = (q.astype(np.float32) * np.repeat(s, 32, 0)).T
    check(module, f"#qtale.transpose<{recipe}, [1, 0]>", w, 4, 32, False)


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("shape", [(16, 64), (33, 7), (1, 1), (300, 2048)])
@pytest.mark.parametrize("transposed", [False, True])
def test_floats(
    module: Module,
    random: np.random.Generator,
    dtype: str,
    shape: tuple[int, int],
    transposed: bool,
):
    w = random.standard_normal(shape).astype(np.float32)
    element = ELEMENTS[dtype]
    recipe = module.source(np.array(w.T, order="C") if transposed else w)
    if transposed:
        recipe = f"#qtale.transpose<{recipe}, [1, 0]>"
    rounded = w.astype(BFLOAT16 if dtype == "bfloat16" else dtype)
    expected = packed_floats(rounded)
    module.weight(
        "w",
        tensor_type(shape, element, f"#qtale.packed<{element}>"),
        f"#qtale.pack<#qtale.cast<{recipe}, {element}>>",
        len(expected),
    )
    tensors, _ = module.write()
    assert tensors["w"].tobytes() == expected + bytes(-len(expected) % 64)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8])
@pytest.mark.parametrize("shape", [(16, 64), (33, 7), (1, 1), (300, 2050)])
@pytest.mark.parametrize("transposed", [False, True])
def test_bytes(
    module: Module,
    random: np.random.Generator,
    dtype: type,
    shape: tuple[int, int],
    transposed: bool,
):
    """Sums of a tile's rows, then 4 k at a time; stored unsigned."""
    low = np.iinfo(dtype).min
    w = random.integers(low, low + 256, shape).astype(dtype)
    w[shape[0] // 2] = low + 255
    stored = np.pad(
        w.astype(np.int32) - low,
        [(0, -size % step) for size, step in zip(shape, (16, 4), strict=True)],
    )
    expected = b""
    for tile in stored.reshape(-1, TILE, stored.shape[1]):
        values = tile.astype(np.uint8).reshape(TILE, -1, 4).transpose(1, 0, 2)
        expected += tile.sum(1, dtype=np.int32).tobytes() + values.tobytes()
    recipe = module.source(np.array(w.T, order="C") if transposed else w)
    if transposed:
        recipe = f"#qtale.transpose<{recipe}, [1, 0]>"
    element = ELEMENTS[np.dtype(dtype).name]
    kind = tensor_type(shape, element, f"#qtale.packed<{element}>")
    module.weight("w", kind, f"#qtale.pack<{recipe}>", len(expected))
    tensors, _ = module.write()
    assert tensors["w"].tobytes() == expected + bytes(-len(expected) % 64)
