# RUN: %python %s
#
# Integer matmuls on every level, bit for bit: activations and scales are chosen
# so that float32 holds each sum exactly. Extremes are there (15 or 255 by 127 and
# by -127 for all k), k and n that fill no group and no tile, one row and many,
# and one thread and three.

import numpy as np
from execute import LEVELS, compile_main, run
from packed import IntMatrix, int_matrix

random = np.random.default_rng(7)


def activations(rows: int, k: int) -> np.ndarray:
    """Integers whose largest in each block of 32 is 127: their scale is 1."""
    x = random.integers(-127, 128, (rows, k)).astype(np.float32)
    x[0] = 127
    if rows > 1:
        x[1] = np.where(random.random(k) < 0.5, 127, -127)
    x[:, ::32] = np.where(x[:, ::32] < 0, -127, 127)
    return x


def function(matrices: list[IntMatrix], int8: bool) -> str:
    lines, arguments, results, values = [], [], [], []
    declarations = []
    for i, matrix in enumerate(matrices):
        n, k = matrix.q.shape
        type_ = f"tensor<{n}x{k}xf32, #qtale.packed<{matrix.scheme}>>"
        source = f'<file = "w", offset = 0, bytes = {4 * n * k}, type = tensor<{n}x{k}xf32>>'
        recipe = f"#qtale.pack<#qtale.quantize<#qtale.source{source}, {matrix.scheme}>>"
        declarations.append(f"qtale.weight @w{i} : {type_} = {recipe}")
        port = f'{{qtale.name = "p{i}", qtale.dtype = "float32"}}'
        x, y = f"tensor<?x{k}xf32>", f"tensor<?x{n}xf32>"
        arguments += [f"%x{i}: {x} {port}", f"%b{i}: tensor<{n}xf32> {port}", f"%r{i}: {y} {port}"]
        results.append(f"{y} {port}")
        values.append(f"%y{i}")
        rows, rows_type = f"%x{i}", x
        if int8:
            rows, rows_type = f"%q{i}", x[:-1] + f", #qtale.int_rows<pad = {matrix.group}>>"
            lines.append(f"%q{i} = qtale.quantize_rows %x{i} : {x} -> {rows_type}")
        lines.append(f"%w{i} = qtale.param @w{i} : {type_}")
        epilogue = f"bias(%b{i} : tensor<{n}xf32>) residual(%r{i} : {y})"
        lines.append(f"%y{i} = qtale.matmul {rows}, %w{i} {epilogue} : {rows_type}, {type_} -> {y}")
    types = ", ".join(result.partition(" {")[0] for result in results)
    body = "\n  ".join([*lines, f"return {', '.join(values)} : {types}"])
    head = f"func.func @main({', '.join(arguments)}) -> ({', '.join(results)})"
    return "\n".join([*declarations, f"{head} {{\n  {body}\n}}"])


def test(level: str, int8: bool) -> int:
    matrices = [
        int_matrix(random, n, k, bits, group, asymmetric, *scales)
        for bits in (4, 8)
        for n, k, group, asymmetric, *scales in [
            (16, 32, 32, False),
            (67, 100, 32, True),
            (40, 130, 128, False),
            (35, 70, 32, False, np.float32),
            (20, 100, 64, True, np.float32),
            (1, 70, 64, True),
            (130, 33, 64, False),
            *[(18, 1100, 64, True), (33, 612, 32, False)] * (bits == 4),
        ]
    ]
    library = compile_main(function(matrices, int8), level)
    packed = [matrix.pack() for matrix in matrices]
    weights = b"".join(data + bytes(-len(data) % 64) for data in packed)
    compared = 0
    for rows, threads in [(1, 1), (7, 3), (0, 2), (149, 3)]:
        inputs, expected = [], []
        for matrix in matrices:
            n, k = matrix.q.shape
            x = activations(rows, k) if rows else np.zeros((0, k), np.float32)
            bias = random.integers(-9, 10, n).astype(np.float32)
            residual = random.integers(-9, 10, (rows, n)).astype(np.float32)
            inputs += [x, bias, residual]
            expected.append(x.astype(np.float64) @ matrix.values.T + bias + residual)
        code, results = run(library, inputs, [(2, np.float32)] * len(matrices), weights, threads)
        assert code == 0, f"{level}: the entry returned {code}"
        for matrix, result, reference in zip(matrices, results, expected, strict=True):
            what = f"{level}, int8={int8}, {matrix.scheme} {matrix.q.shape}, {rows} rows"
            assert np.abs(reference).max(initial=0) < 2**23, "float32 would round"
            np.testing.assert_array_equal(result, reference, err_msg=what)
            compared += result.size
    return compared


for level in LEVELS:
    assert test(level, int8=True) > 2000
# Weights become floats, on all levels alike but for the block.
for level in ("x86-64-v2", "x86-64-v3", "x86-64-v4"):
    if level in LEVELS:
        assert test(level, int8=False) > 2000
