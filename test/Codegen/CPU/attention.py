# RUN: %python %s
#
# Keys and values stored in blocks, and attention to them, through @step: two
# sequences, several spans of 256 slots, grouped heads, a head of no whole vector.
# A row's result has the same bits, whatever comes with it.

import ctypes

import numpy as np
from execute import compile_main, run

f32 = np.float32
random = np.random.default_rng(5)
HEADS, KV_HEADS, DIM, TOKENS, SLOTS = 4, 2, 20, 31, 640
BLOCK = 16
SCALE, CAP = f32(0.22), f32(3)


class Caches:
    """kv[cache][sequence][slot / 16]: blocks of keys, then values; filled with NaN."""

    def __init__(self, dtype: type, sequences: int) -> None:
        size = 2 * KV_HEADS * DIM * BLOCK
        self.blocks = np.full((sequences, SLOTS // BLOCK, size), np.nan, dtype)
        pointer = ctypes.c_void_p
        self.tables = [
            (pointer * (SLOTS // BLOCK))(*(b.ctypes.data for b in s)) for s in self.blocks
        ]
        self.sequences = (pointer * sequences)(*map(ctypes.addressof, self.tables))
        # The one under test is number 1; nobody looks at number 0.
        self.kv = (pointer * 2)(None, ctypes.addressof(self.sequences))


def module(element: str, softcap: bool) -> str:
    columns = [HEADS * DIM, KV_HEADS * DIM, KV_HEADS * DIM]
    declarations, params = [], []
    for name, n in zip("qkv", columns, strict=True):
        type_ = f"tensor<{TOKENS}x{n}xf32"
        source = f'<file = "w", offset = 0, bytes = {4 * TOKENS * n}, type = {type_}>>'
        packed = f"{type_}, #qtale.packed<f32>>"
        declarations.append(f"qtale.weight @{name} : {packed} = #qtale.pack<#qtale.source{source}>")
        params += [
            f"%w{name} = qtale.param @{name} : {packed}",
            f"%{name} = qtale.embedding %tokens, %w{name}"
            f" : tensor<?xi32>, {packed} -> tensor<?x{n}xf32>",
        ]
    cache = f"!qtale.kv_cache<{KV_HEADS}x{DIM}x{element}>"
    q, kv, rows = f"tensor<?x{columns[0]}xf32>", f"tensor<?x{columns[1]}xf32>", "tensor<?xi32>"
    cap = f", softcap = {CAP} : f32" if softcap else ""
    return "\n".join(
        [
            *declarations,
            f"func.func @step(%tokens: {rows}, %seq: {rows}, %pos: {rows}, %rows: {rows},",
            f"  %other: {cache}, %cache: {cache}) -> {q} {{",
            *params,
            f"qtale.kv_append %cache, %k, %v, %seq, %pos : {cache}, {kv}, {kv}, {rows}, {rows}",
            f"%y = qtale.attention %q, %cache, %seq, %pos {{heads = {HEADS},",
            f"  scale = {SCALE} : f32{cap}}} : {q}, {cache}, {rows}, {rows}",
            f"%z = qtale.gather_rows %y, %rows : {q}, {rows} -> {q}",
            f"return %z : {q}",
            "}",
        ]
    )


def pack(values: np.ndarray) -> bytes:
    tiles = np.zeros((len(values) + -len(values) % 16, values.shape[1]), f32)
    tiles[: len(values)] = values
    data = tiles.reshape(-1, 16, values.shape[1]).transpose(0, 2, 1).tobytes()
    return data + bytes(-len(data) % 64)


def reference(q: np.ndarray, k: np.ndarray, v: np.ndarray, softcap: bool) -> np.ndarray:
    """One row over all that its sequence has stored; float64."""
    result = np.zeros((HEADS, DIM))
    for head in range(HEADS):
        group = head // (HEADS // KV_HEADS)
        scores = float(SCALE) * (k[:, group] @ q[head])
        if softcap:
            scores = CAP * np.tanh(scores / CAP)
        p = np.exp(scores - scores.max())
        result[head] = p @ v[:, group] / p.sum()
    return result.reshape(-1)


def test(element: str, softcap: bool) -> None:
    dtype = {"f32": f32, "f16": np.float16}[element]
    tables = [random.standard_normal((TOKENS, n * DIM), f32) for n in (HEADS, KV_HEADS, KV_HEADS)]
    tables[0] *= 4
    weights = b"".join(map(pack, tables))
    library = compile_main(module(element, softcap), "x86-64-v3")
    tokens = [random.integers(0, TOKENS, n).astype(np.int32) for n in (600, 23)]

    def step(caches: Caches, rows: list[tuple[int, int]], threads: int) -> np.ndarray:
        """Rows of (sequence, position); the last comes first in the result."""
        ids = np.array([tokens[s][p] for s, p in rows], np.int32)
        sequences, positions = np.array(rows, np.int32).reshape(-1, 2).T.copy()
        wanted = np.arange(len(rows), dtype=np.int32)[::-1].copy()
        code, (result,) = run(
            library,
            [ids, sequences, positions, wanted],
            [(2, f32)],
            weights,
            threads,
            entry="step",
            kv=caches.kv,
        )
        assert code == 0
        return result[::-1]

    # Both sequences at once; one after the other, in chunks; the last row alone.
    everything = [(s, p) for s in (1, 0) for p in range(len(tokens[s]))]
    whole = step(Caches(dtype, 2), everything, 3)
    caches = Caches(dtype, 2)
    parts = [step(caches, everything[i : i + 100], 2) for i in range(0, 622, 100)]
    parts[-1] = parts[-1][:-1]
    last = step(caches, everything[-1:], 1)
    np.testing.assert_array_equal(np.concatenate([*parts, last]), whole)

    for row, (s, p) in enumerate(everything):
        seen = tokens[s][: p + 1]
        q = tables[0][tokens[s][p]].reshape(HEADS, DIM).astype(np.float64)
        k, v = (
            t[seen].astype(dtype).astype(np.float64).reshape(-1, KV_HEADS, DIM) for t in tables[1:]
        )
        np.testing.assert_allclose(whole[row], reference(q, k, v, softcap), rtol=1e-5, atol=2e-6)


test("f32", softcap=False)
test("f16", softcap=True)
