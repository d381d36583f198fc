# RUN: %python %s
#
# Attention against float64, on what is hard: one slot; equal scores; scores that
# differ by far more than exp can tell, up to 1e38; the largest in the first or the
# last of several spans; values of very different size. Every number of heads that
# share a cache, heads of whole vectors and of half ones, caches of each type. Scores
# are such that float32 holds them exactly, so that what is compared is what attention
# itself rounds: within 1e-5 of the largest value that a row sees.

import ctypes

import numpy as np
from execute import run
from hardware import compile_level
from packed import pack_float
from program import Program

f32, i32 = np.float32, np.int32
random = np.random.default_rng(23)
BLOCK, SLOTS = 16, 560
SCALE = 0.125
#: (heads that share, heads of the cache, their size, stored as)
SHAPES = [
    (1, 2, 8, "f32"),
    (2, 1, 40, "f16"),
    (3, 2, 64, "i8"),
    (4, 1, 96, "f32"),
    (5, 1, 128, "f16"),
    (7, 1, 40, "i8"),
    (8, 2, 8, "i8"),
    (8, 1, 64, "f16"),
    (5, 2, 8, "f32"),
    (1, 1, 128, "i8"),
]
DTYPE = {"f32": f32, "f16": np.float16, "i8": np.int8}
#: Positions whose rows are looked at: ends of blocks and spans, and their neighbours.
SEEN = [0, 1, 15, 16, 255, 256, 257, 300, 511, 512, SLOTS - 1]


class Caches:
    """kv[cache][0][slot / 16], filled with what must not be read."""

    def __init__(self) -> None:
        pointer, self.alive, tables = ctypes.c_void_p, [], []
        for _, kv_heads, dim, element in SHAPES:
            size = 2 * kv_heads * BLOCK * (dim * DTYPE[element]().itemsize + 4 * (element == "i8"))
            blocks = np.full((SLOTS // BLOCK, size), 0xFF, np.uint8)
            table = (pointer * len(blocks))(*(block.ctypes.data for block in blocks))
            sequences = (pointer * 1)(ctypes.addressof(table))
            self.alive += [blocks, table, sequences]
            tables.append(ctypes.addressof(sequences))
        self.kv = (pointer * len(tables))(*tables)


def module() -> str:
    """Queries, keys and values of a token are looked up in tables; results side by side."""
    program, rows = Program(), "tensor<?xi32>"
    caches, column = [], 0
    columns = sum(sharing * kv_heads * dim for sharing, kv_heads, dim, _ in SHAPES)
    program.lines += [
        f"%n = tensor.dim %tokens, %c0 : {rows}",
        f"%y0 = tensor.empty(%n) : tensor<?x{columns}xf32>",
    ]
    for i, (sharing, kv_heads, dim, element) in enumerate(SHAPES):
        cache = f"!qtale.kv_cache<{kv_heads}x{dim}x{element}>"
        caches.append(f"%cache{i}: {cache}")
        sizes = [sharing * kv_heads * dim, kv_heads * dim, kv_heads * dim]
        q, kv = (f"tensor<?x{size}xf32>" for size in sizes[:2])
        for j, size in enumerate(sizes):
            table = program.weight((SLOTS, size), b"", "f32")
            number = 3 * i + j
            program.lines.append(
                f"%e{number} = qtale.embedding %tokens, %w{number} : {rows}, {table}"
                f" -> tensor<?x{size}xf32>"
            )
        program.lines += [
            f"qtale.kv_append %cache{i}, %e{3 * i + 1}, %e{3 * i + 2}, %seq, %pos :"
            f" {cache}, {kv}, {kv}, {rows}, {rows}",
            f"%a{i} = qtale.attention %e{3 * i}, %cache{i}, %seq, %pos"
            f" {{heads = {sharing * kv_heads}, scale = {SCALE} : f32}}"
            f" : {q}, {cache}, {rows}, {rows}",
            f"%y{i + 1} = tensor.insert_slice %a{i} into %y{i}[0, {column}] [%n, {sizes[0]}] [1, 1]"
            f" : {q} into tensor<?x{columns}xf32>",
        ]
        column += sizes[0]
    names = ["%tokens", "%seq", "%pos", "%rows"]
    program.arguments = [f"{name}: {rows}" for name in names] + caches
    program.result(f"%y{len(SHAPES)}", f"tensor<?x{columns}xf32>")
    return str(program).replace("@main", "@step")


def stored(x: np.ndarray, element: str) -> np.ndarray:
    """x [slots, heads, dim] as the cache gives it back, in float64."""
    if element != "i8":
        return x.astype(DTYPE[element]).astype(np.float64)
    scale = np.abs(x).max(-1, keepdims=True) / f32(127)
    q = np.clip(np.rint(x / np.where(scale == 0, f32(1), scale)), -127, 127)
    return np.where(scale == 0, 0, q).astype(np.float64) * scale.astype(np.float64)


def powers(*shape: int) -> np.ndarray:
    """-2, -1, 1 or 2: sums of their products are exact, in int8 as well."""
    return random.choice(np.array([-127, 127], f32), shape) / f32(127)


def inputs(case: str, heads: int, kv_heads: int, dim: int) -> tuple[np.ndarray, ...]:
    """q, k and v of all slots."""
    q, k = powers(SLOTS, heads, dim), powers(SLOTS, kv_heads, dim)
    v = random.standard_normal((SLOTS, kv_heads, dim)).astype(f32)
    at = np.arange(SLOTS)[:, None, None]
    if case == "equal":
        q[:], k[:] = 1, 1
    elif case == "far":  # scores up to 1e5
        q *= 8192
    elif case == "farthest":  # scores up to 1e38; int8 and float32 alike
        q *= f32(2.0**60)
        k *= f32(2.0**60)
    elif case == "first":
        q[:], k[:] = 64, np.where(at == 0, 1, -1)
    elif case == "last":  # each slot beats those before it
        q[:], k[:] = 1, 1
        k = k * (at // 16).astype(f32)
    elif case == "sizes":
        v *= f32(10) ** random.integers(-4, 4, v.shape).astype(f32)
    elif case == "zero":
        q[:], k[:], v[:] = 0, -0.0, 0
    return q, k, v


def reference(q: np.ndarray, k: np.ndarray, v: np.ndarray) -> np.ndarray:
    """One row [heads, dim] over k, v [slots, kv_heads, dim]; float64."""
    wide = [np.repeat(x, len(q) // x.shape[1], 1) for x in (k, v)]
    scores = SCALE * np.einsum("hd,shd->hs", q.astype(np.float64), wide[0])
    p = np.exp(scores - scores.max(1, keepdims=True))
    return np.einsum("hs,shd->hd", p, wide[1]) / p.sum(1)[:, None]


def check(level: str, case: str, library: ctypes.CDLL) -> None:
    made = []
    for sharing, kv_heads, dim, element in SHAPES:
        # A half holds no 2^60.
        name = "far" if case == "farthest" and element == "f16" else case
        made.append(inputs(name, sharing * kv_heads, kv_heads, dim))
    weights = b"".join(pack_float(x.reshape(SLOTS, -1)) for three in made for x in three)

    def step(caches: Caches, rows: slice, threads: int) -> np.ndarray:
        at = np.arange(SLOTS, dtype=i32)[rows]
        given = [at, np.zeros_like(at), at, at]
        code, (result,) = run(
            library, given, [(2, f32)], weights, threads, 32 << 20, entry="step", kv=caches.kv
        )
        assert code == 0
        return result

    caches = Caches()
    parts = [step(caches, slice(a, b), 1 + a % 3) for a, b in [(0, 1), (1, 302), (302, SLOTS)]]
    whole = step(Caches(), slice(0, SLOTS), 3)
    np.testing.assert_array_equal(np.concatenate(parts), whole, err_msg=f"{level}, {case}")
    column = 0
    for (sharing, kv_heads, dim, element), (q, k, v) in zip(SHAPES, made, strict=True):
        k, v = stored(k, element), stored(v, element)
        for row in SEEN:
            result = whole[row, column : column + q[row].size].reshape(q[row].shape)
            expected = reference(q[row], k[: row + 1], v[: row + 1])
            largest = np.repeat(np.abs(v[: row + 1]).max((0, 2)), sharing)[:, None]
            error = np.abs(result - expected)
            what = f"{level}, {case}, {sharing} of {kv_heads} x {dim}, {element}, row {row}"
            assert (error <= 1e-5 * largest).all(), f"{what}: off by {error.max()}"
        column += q[0].size


for level in ("x86-64-v3", "x86-64-v4"):
    library = compile_level(module(), level)
    for case in ("random", "equal", "far", "farthest", "first", "last", "sizes", "zero"):
        check(level, case, library)
