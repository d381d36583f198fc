# RUN: %python %s
#
# The kernels that work row by row, against NumPy: lookups in every format, int8
# activations, norms, rotations, float matmuls; columns that fill no vector.

import numpy as np
from execute import execute
from packed import declare, int_matrix, pack_float

f32 = np.float32
random = np.random.default_rng(11)


def bfloat16(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Bits, and the values that they stand for: here, what needs no rounding."""
    bits = (values.view(np.uint32) >> 16).astype(np.uint16)
    return bits, (bits.astype(np.uint32) << 16).view(f32)


def lookups_and_products() -> None:
    """Each table is looked up in, and multiplied by; ids beyond it are clamped."""
    n, k = 37, 70
    table = random.standard_normal((n, k), f32)
    half = table.astype(np.float16)
    bits, brain = bfloat16(table)
    int4 = int_matrix(random, n, k, 4, 32, True)
    int8 = int_matrix(random, n, k, 8, 64, False)
    formats = [
        ("f32", "", pack_float(table), table),
        ("f16", "", pack_float(half), half.astype(f32)),
        ("bf16", "", pack_float(bits), brain),
        ("f32", int4.scheme, int4.pack(), int4.values),
        ("f32", int8.scheme, int8.pack(), int8.values),
    ]
    declarations, lines, weights, expected = [], [], b"", []
    ids = np.array([0, 36, 17, -5, 1000, 16], np.int32)
    x = random.standard_normal((6, k), f32)
    for i, (element, scheme, data, values) in enumerate(formats):
        text, type_ = declare(f"w{i}", (n, k), element, scheme)
        declarations.append(text)
        lines += [
            f"%w{i} = qtale.param @w{i} : {type_}",
            f"%e{i} = qtale.embedding %a0, %w{i} : tensor<?xi32>, {type_} -> tensor<?x{k}xf32>",
            f"%m{i} = qtale.matmul %a1, %w{i} : tensor<?x{k}xf32>, {type_} -> tensor<?x{n}xf32>",
        ]
        weights += data + bytes(-len(data) % 64)
        expected += [values[np.clip(ids, 0, n - 1)], x.astype(np.float64) @ values.T]
    types = [f"tensor<?x{k}xf32>", f"tensor<?x{n}xf32>"] * len(formats)
    names = ", ".join(f"%e{i}, %m{i}" for i in range(len(formats)))
    lines.append(f"return {names} : {', '.join(types)}")
    arguments = ["tensor<?xi32>", f"tensor<?x{k}xf32>"]
    body = "\n".join(lines)
    results = execute(arguments, types, body, declarations, [ids, x], weights)
    for i, (result, reference) in enumerate(zip(results, expected, strict=True)):
        if i % 2 == 0:
            np.testing.assert_array_equal(result, reference)
        else:
            np.testing.assert_allclose(result, reference, atol=3e-6 * np.abs(reference).max())


def int8_activations() -> None:
    """An identity of 1 gives each quantized value times its scale, rounded once."""
    k = 70
    identity = int_matrix(random, k, k, 8, 32, False)
    identity.q = (128 + np.eye(k)).astype(np.uint8)
    identity.scales[:] = 1
    text, type_ = declare("w", (k, k), "f32", identity.scheme)
    x = random.standard_normal((5, k), f32) * f32(10) ** random.integers(-30, 30, (5, 1))
    x = x.astype(f32)
    x[2, 32:64] = 0
    x[3, 64:] = f32(1e-41)  # subnormal: the scale is, too
    x[4, :32] = np.arange(32) - 15.5
    x[4, 0] = 127  # scale 1: halves round to even
    rows = f"tensor<?x{k}xf32, #qtale.int_rows<pad = 32>>"
    body = f"""%w = qtale.param @w : {type_}
    %q = qtale.quantize_rows %a0 : tensor<?x{k}xf32> -> {rows}
    %y = qtale.matmul %q, %w : {rows}, {type_} -> tensor<?x{k}xf32>
    return %y : tensor<?x{k}xf32>"""
    shape = f"tensor<?x{k}xf32>"
    (result,) = execute([shape], [shape], body, [text], [x], identity.pack())

    blocks = np.pad(x, ((0, 0), (0, 96 - k))).reshape(5, 3, 32)
    scale = np.abs(blocks).max(2, keepdims=True) / f32(127)
    q = np.clip(np.rint(blocks / np.where(scale == 0, f32(1), scale)), -127, 127)
    np.testing.assert_array_equal(result, (q * scale).reshape(5, 96)[:, :k])
    assert list(result[4, 1:5]) == [-14, -14, -12, -12]


def norms_and_gather() -> None:
    k = 37
    x = random.standard_normal((6, k), f32) * 3 + 1
    g, b = random.standard_normal((2, k), f32)
    rows = np.array([5, 0, 5], np.int32)
    shape, vector = f"tensor<?x{k}xf32>", f"tensor<{k}xf32>"
    body = f"""%r = qtale.rms_norm %a0, %a1 {{epsilon = 1.0e-5 : f32}} : {shape}, {vector}
    %l = qtale.layer_norm %a0, %a1, %a2 {{epsilon = 1.0e-5 : f32}} : {shape}, {vector}, {vector}
    %m = qtale.layer_norm %a0, %a1 {{epsilon = 1.0e-5 : f32}} : {shape}, {vector}
    %y = qtale.gather_rows %a0, %a3 : {shape}, tensor<?xi32> -> {shape}
    return %r, %l, %m, %y : {shape}, {shape}, {shape}, {shape}"""
    arguments = [shape, vector, vector, "tensor<?xi32>"]
    rms, layer, plain, gathered = execute(arguments, [shape] * 4, body, [], [x, g, b, rows], b"")
    wide = x.astype(np.float64)
    reference = wide / np.sqrt((wide**2).mean(1, keepdims=True) + 1e-5) * g
    np.testing.assert_allclose(rms, reference, rtol=1e-6, atol=1e-6)
    reference = (wide - wide.mean(1, keepdims=True)) / np.sqrt(wide.var(1, keepdims=True) + 1e-5)
    np.testing.assert_allclose(plain, reference * g, rtol=2e-6, atol=2e-6)
    np.testing.assert_allclose(layer, reference * g + b, rtol=2e-6, atol=2e-6)
    np.testing.assert_array_equal(gathered, x[rows])


def rotations() -> None:
    """3 heads of 44, of which 2 * 18 turn; positions in no order, and clamped."""
    heads, dim, pairs = 3, 44, 18
    x = random.standard_normal((4, heads * dim), f32)
    positions = np.array([7, 0, 9, 2000], np.int32)
    angles = random.random((10, pairs)) * 6
    cos, sin = np.cos(angles).astype(f32), np.sin(angles).astype(f32)
    shape, table = f"tensor<?x{heads * dim}xf32>", f"tensor<10x{pairs}xf32>"
    types = f"{shape}, {table}, {table}, tensor<?xi32>"
    body = f"""%h = qtale.rope %a0, %a1, %a2, %a3 {{heads = {heads}}} : {types}
    %i = qtale.rope %a0, %a1, %a2, %a3 {{heads = {heads}, interleaved}} : {types}
    return %h, %i : {shape}, {shape}"""
    arguments = [shape, table, table, "tensor<?xi32>"]
    halves, interleaved = execute(arguments, [shape] * 2, body, [], [x, cos, sin, positions], b"")
    at = np.clip(positions, 0, 9)
    z = (cos + 1j * sin.astype(np.float64))[at][:, None, :]
    split = x.reshape(4, heads, dim).astype(np.float64)
    for result, first, second in [
        (halves, slice(0, pairs), slice(pairs, 2 * pairs)),
        (interleaved, slice(0, 2 * pairs, 2), slice(1, 2 * pairs, 2)),
    ]:
        reference = split.copy()
        turned = (split[:, :, first] + 1j * split[:, :, second]) * z
        reference[:, :, first], reference[:, :, second] = turned.real, turned.imag
        np.testing.assert_allclose(result.reshape(split.shape), reference, rtol=1e-6, atol=1e-6)


lookups_and_products()
int8_activations()
norms_and_gather()
rotations()
