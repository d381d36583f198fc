# RUN: %python %s
#
# Attention that writes int8 activations: bit for bit quantize_rows after
# attention, seen through an identity of 8 bits; many rows, and one.

import ctypes

import numpy as np
from execute import compile_main, run
from packed import declare, int_matrix, pack_float

f32 = np.float32
random = np.random.default_rng(17)
HEADS, KV_HEADS, DIM, TOKENS, SLOTS = 6, 2, 64, 19, 48
N = HEADS * DIM


def module(together: bool, weights: list[tuple[str, str]]) -> str:
    q, kv, rows = f"tensor<?x{N}xf32>", f"tensor<?x{KV_HEADS * DIM}xf32>", "tensor<?xi32>"
    ints = f"tensor<?x{N}xf32, #qtale.int_rows<pad = 128>>"
    cache = f"!qtale.kv_cache<{KV_HEADS}x{DIM}xf32>"
    lines = []
    for name, (_, type_), result in zip("qkv", weights, (q, kv, kv), strict=False):
        lines += [
            f"%w{name} = qtale.param @{name} : {type_}",
            f"%{name} = qtale.embedding %tokens, %w{name} : {rows}, {type_} -> {result}",
        ]
    attention = (
        f"qtale.attention %q, %cache, %seq, %pos {{heads = {HEADS}, scale = 0.3 : f32}}"
        f" : {q}, {cache}, {rows}, {rows}"
    )
    lines.append(
        f"qtale.kv_append %cache, %k, %v, %seq, %pos : {cache}, {kv}, {kv}, {rows}, {rows}"
    )
    if together:
        lines.append(f"%i = {attention} -> {ints}")
    else:
        lines += [f"%y = {attention}", f"%i = qtale.quantize_rows %y : {q} -> {ints}"]
    identity = weights[3][1]
    return "\n".join(
        [
            *(text for text, _ in weights),
            f"func.func @step(%tokens: {rows}, %seq: {rows}, %pos: {rows}, %rows: {rows},"
            f" %cache: {cache}) -> {q} {{",
            *lines,
            f"%one = qtale.param @one : {identity}",
            f"%o = qtale.matmul %i, %one : {ints}, {identity} -> {q}",
            f"%z = qtale.gather_rows %o, %rows : {q}, {rows} -> {q}",
            f"return %z : {q}",
            "}",
        ]
    )


def test(level: str) -> None:
    shapes = {"q": N, "k": KV_HEADS * DIM, "v": KV_HEADS * DIM}
    tables = {name: random.standard_normal((TOKENS, n), f32) for name, n in shapes.items()}
    one = int_matrix(random, N, N, 8, 128, False)
    one.q = (128 + np.eye(N)).astype(np.uint8)
    one.scales[:] = 1
    weights = [declare(name, table.shape, "f32") for name, table in tables.items()]
    weights.append(declare("one", (N, N), "f32", one.scheme))
    parts = [*map(pack_float, tables.values()), one.pack()]
    data = b"".join(part + bytes(-len(part) % 64) for part in parts)

    def results(together: bool) -> list[np.ndarray]:
        library = compile_main(module(together, weights), level)
        size = 2 * KV_HEADS * DIM * 16
        blocks = np.full((SLOTS // 16, size), np.nan, f32)
        table = (ctypes.c_void_p * len(blocks))(*(block.ctypes.data for block in blocks))
        sequences = (ctypes.c_void_p * 1)(ctypes.addressof(table))
        kv = (ctypes.c_void_p * 1)(ctypes.addressof(sequences))
        found = []
        for first, last, threads in [(0, 37, 3), (37, 38, 1)]:
            at = np.arange(first, last, dtype=np.int32)
            inputs = [at % TOKENS, np.zeros_like(at), at, np.arange(len(at), dtype=np.int32)]
            code, (result,) = run(library, inputs, [(2, f32)], data, threads, entry="step", kv=kv)
            assert code == 0
            found.append(result)
        return found

    for together, apart in zip(results(True), results(False), strict=True):
        assert np.abs(together).max() > 0.1
        np.testing.assert_array_equal(together, apart)


for level in ("x86-64-v3", "x86-64-v4"):
    test(level)
