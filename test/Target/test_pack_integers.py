"""A model's own integers, packed: every value, scale and zero point where the layout wants it."""

from __future__ import annotations

import numpy as np
import pytest
from test_pack import TILE, in_tiles
from weights_module import BFLOAT16, Module, tensor_type

ELEMENTS = {"i4": (-8, 8), "ui4": (0, 16), "i8": (-128, 128), "ui8": (0, 256)}


def padded(array: np.ndarray, rows: int, columns: int, fill: int = 0) -> np.ndarray:
    pad = ((0, rows - array.shape[0]), (0, columns - array.shape[1]))
    return np.pad(array, pad, constant_values=fill)


@pytest.mark.parametrize("element", ELEMENTS)
@pytest.mark.parametrize("scales", ["float16", "float32", "bfloat16"])
@pytest.mark.parametrize(
    ("shape", "group", "block"),
    [((16, 128), 64, 64), ((37, 172), 32, 96), ((5, 70), 32, "rows"), ((48, 1000), 128, "one")],
)
@pytest.mark.parametrize("zeros", [False, True])
@pytest.mark.parametrize("transposed", [False, True])
def test_forms(
    module: Module,
    random: np.random.Generator,
    element: str,
    scales: str,
    shape: tuple[int, int],
    group: int,
    block: int | str,
    zeros: bool,
    transposed: bool,
):
    (n, k), (low, high) = shape, ELEMENTS[element]
    bits, signed = int(element[-1]), element[0] == "i"
    q = random.integers(low, high, shape)
    q[0, :2] = low, high - 1
    span = block if isinstance(block, int) else k
    small = (1 if block == "one" else n, -(-k // span))
    s = random.standard_normal(small).astype(BFLOAT16 if scales == "bfloat16" else scales)
    z = random.integers(low, high, small)

    def recipe(values: np.ndarray, kind: str | None) -> str:
        values = np.array(values.T, order="C") if transposed else values
        if kind in ("i8", "ui8"):
            values, kind = values.astype("int8" if kind == "i8" else "uint8"), None
        source = module.source(values, kind)
        return f"#qtale.transpose<{source}, [1, 0]>" if transposed else source

    asymmetric = zeros or not signed
    scheme = f"bits = {bits}, group = {group}"
    scheme += ", asymmetric = true" if asymmetric else ""
    scheme += "" if scales == "float16" else ", scales = f32"
    point = f" zero = {recipe(z, element)}" if zeros else ""
    integers = (
        f"#qtale.integers<{recipe(q, element)}, {recipe(s, None)}{point}, "
        f"block = {block if block == span else 0}, <{scheme}>>"
    )

    # By the definition, without blocks: a scale and a zero point for each element.
    bias = 1 << (bits - 1) if signed else 0
    rows, columns = n + -n % TILE, k + -k % group
    wide = [np.repeat(np.broadcast_to(a, (n, small[1])), span, 1)[:, :k] for a in (s, z)]
    stored = np.float16 if scales == "float16" else np.float32
    group_scales = padded(wide[0][:, ::group].astype(stored), rows, columns // group)
    group_zeros = wide[1][:, ::group] * zeros + bias
    values = np.repeat(group_zeros, group, 1)  # what is beyond K is worth 0
    values[:, :k] = q + bias
    expected = in_tiles(
        padded(values, rows, columns),
        group_scales,
        padded(group_zeros, rows, columns // group) if asymmetric else None,
        bits,
        group,
    )
    kind = tensor_type(shape, "f32", f"#qtale.packed<#qtale.int<{scheme}>>")
    module.weight("w", kind, f"#qtale.pack<{integers}>", len(expected))
    tensors, _ = module.write()
    assert tensors["w"].tobytes() == expected + bytes(-len(expected) % 64)


def test_large(module: Module, random: np.random.Generator):
    """More than a chunk, wider and higher than a block of scratch memory; [K, N] in the file."""
    q = random.integers(-8, 8, (6016, 2512)).astype(np.int8)
    s = random.standard_normal((47, 2512)).astype(np.float32)
    recipe = (
        f"#qtale.integers<#qtale.transpose<{module.source(q, 'i4')}, [1, 0]>, "
        f"#qtale.transpose<{module.source(s)}, [1, 0]>, block = 128, "
        "<bits = 4, group = 64, scales = f32>>"
    )
    expected = in_tiles(q.T + 8, np.repeat(s.T, 2, 1), None, 4, 64)
    kind = "tensor<2512x6016xf32, #qtale.packed<#qtale.int<bits = 4, group = 64, scales = f32>>>"
    module.weight("w", kind, f"#qtale.pack<{recipe}>", len(expected))
    tensors, _ = module.write()
    assert tensors["w"].tobytes() == expected + bytes(-len(expected) % 64)


def test_scale_that_is_no_number(module: Module):
    q = np.zeros((3, 64), np.int8)
    s = np.array([[1, 2], [3, np.nan], [5, 6]], np.float32)
    kind = "tensor<3x64xf32, #qtale.packed<#qtale.int<bits = 8, group = 32, scales = f32>>>"
    recipe = f"#qtale.integers<{module.source(q)}, {module.source(s)}, block = 32, "
    recipe += "<bits = 8, group = 32, scales = f32>>"
    module.weight("w", kind, f"#qtale.pack<{recipe}>", 64)
    message = "row 1, from column 32 on, has a scale that is not a finite number"
    assert message in module.refuse()
