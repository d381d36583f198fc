# RUN: %python %s
#
# Caches of routed layers: slots that the runtime counts, and its refusal on all threads;
# entries copied from the layer below, of skipped rows only, to the bit.

import ctypes

import numpy as np
from execute import compile_main, run
from packed import declare, pack_float

f32, i32 = np.float32, np.int32
random = np.random.default_rng(21)
HEADS, DIM, BLOCK, BLOCKS = 2, 20, 16, 3
ROWS, FLAGS = "tensor<?xi32>", "tensor<?xi1>"
OUT_OF_MEMORY = 5

# A token is a flag here; @step gives a number for each row.
FLAGS_OF_TOKENS = f"""%n0 = arith.constant 0 : index
    %n = tensor.dim %tokens, %n0 : {ROWS}
    %flags = tensor.empty(%n) : {FLAGS}
    %keep = linalg.generic {{indexing_maps = [affine_map<(i) -> (i)>, affine_map<(i) -> (i)>],
      iterator_types = ["parallel"]}} ins(%tokens : {ROWS}) outs(%flags : {FLAGS}) {{
    ^bb0(%t: i32, %o: i1):
      %f = arith.trunci %t : i32 to i1
      linalg.yield %f : i1
    }} -> {FLAGS}"""


def step(caches: str, body: str, numbers: str) -> ctypes.CDLL:
    table, type_ = declare("numbers", (1, 1), "f32")
    text = f"""{table}
    func.func @step(%tokens: {ROWS}, %seq: {ROWS}, %pos: {ROWS}, %rows: {ROWS}, {caches})
        -> tensor<?x1xf32> {{
      {FLAGS_OF_TOKENS}
      {body}
      %w = qtale.param @numbers : {type_}
      %e = qtale.embedding %tokens, %w : {ROWS}, {type_} -> tensor<?x1xf32>
      %y = linalg.generic {{
        indexing_maps = [affine_map<(i, j) -> (i)>, affine_map<(i, j) -> (i, j)>],
        iterator_types = ["parallel", "parallel"]
      }} ins({numbers} : {ROWS}) outs(%e : tensor<?x1xf32>) {{
      ^bb0(%s: i32, %o: f32):
        %f = arith.sitofp %s : i32 to f32
        linalg.yield %f : f32
      }} -> tensor<?x1xf32>
      return %y : tensor<?x1xf32>
    }}"""
    return compile_main(text, "x86-64-v3")


WEIGHTS = pack_float(np.ones((1, 1), f32))


def reserves() -> None:
    """The double in team.c gives 1000 * position + entries before the row."""
    cache = f"!qtale.kv_cache<{HEADS}x{DIM}xf16, ragged>"
    body = f"""%slots = qtale.kv_reserve %ragged, %keep, %seq, %pos
      : {cache}, {FLAGS}, {ROWS}, {ROWS} -> {ROWS}"""
    library = step(f"%other: !qtale.kv_cache<1x8xf32>, %ragged: {cache}", body, "%slots")
    counts = np.zeros(3, int)
    for rows in (7, 1, 0, 40):
        keep = random.integers(0, 2, rows).astype(i32)
        sequences = random.integers(0, 3, rows).astype(i32)
        positions = random.integers(0, 50, rows).astype(i32)
        expected = []
        for k, s, p in zip(keep, sequences, positions, strict=True):
            expected.append(1000 * p + counts[s])
            counts[s] += k
        inputs = [keep, sequences, positions, positions]
        code, (slots,) = run(library, inputs, [(2, f32)], WEIGHTS, 3, entry="step")
        assert code == 0
        np.testing.assert_array_equal(slots.ravel(), expected)
    entries = (ctypes.c_int32 * 16).in_dll(library, "entries")
    assert list(entries)[4:7] == list(counts), "of cache 1"
    ctypes.c_int32.in_dll(library, "reserve_code").value = OUT_OF_MEMORY
    code, _ = run(library, inputs, [(2, f32)], WEIGHTS, 3, entry="step")
    assert code == OUT_OF_MEMORY, "on all threads"


def copies(element: str) -> None:
    dtype = {"f32": f32, "f16": np.float16, "i8": np.int8}[element]
    cache = f"!qtale.kv_cache<{HEADS}x{DIM}x{element}>"
    body = f"""qtale.kv_copy %above, %below, %keep, %seq, %pos
      : {cache}, {cache}, {FLAGS}, {ROWS}, {ROWS}"""
    library = step(f"%below: {cache}, %above: {cache}", body, "%pos")

    sequences, bytes_ = 2, 2 * HEADS * DIM * BLOCK * np.dtype(dtype).itemsize
    scales = 2 * HEADS * BLOCK * 4 if element == "i8" else 0
    blocks = random.integers(0, 256, (2, sequences, BLOCKS, bytes_ + scales), np.uint8)
    pointer = ctypes.c_void_p
    tables = [
        [(pointer * BLOCKS)(*(b.ctypes.data for b in sequence)) for sequence in layer]
        for layer in blocks
    ]
    layers = [(pointer * sequences)(*map(ctypes.addressof, table)) for table in tables]
    kv = (pointer * 2)(*map(ctypes.addressof, layers))

    def parts(layer: int, sequence: int) -> list[np.ndarray]:
        """Views of keys, values and scales whose axis 1 is the slot's."""
        data = blocks[layer, sequence]
        half = bytes_ // 2
        keys = data[:, :half].view(dtype).reshape(BLOCKS, HEADS, DIM, BLOCK).swapaxes(1, 3)
        values = data[:, half:bytes_].view(dtype).reshape(BLOCKS, HEADS, BLOCK, DIM).swapaxes(1, 2)
        rest = data[:, bytes_:].view(np.uint32).reshape(BLOCKS, -1, BLOCK).swapaxes(1, 2)
        return [keys, values, rest]

    everything = [(s, p) for s in range(sequences) for p in range(BLOCKS * BLOCK)]
    for rows in (0, 1, 41):
        chosen = [everything[i] for i in random.permutation(len(everything))[:rows]]
        keep = random.integers(0, 2, rows).astype(i32)
        inputs = [keep, *np.array(chosen, i32).reshape(-1, 2).T.copy()]
        before = blocks.copy()
        code, _ = run(library, [*inputs, inputs[2]], [(2, f32)], WEIGHTS, 2, entry="step", kv=kv)
        assert code == 0
        after = blocks.copy()
        blocks[:] = before
        for (s, p), kept in zip(chosen, keep, strict=True):
            for to, source in zip(parts(1, s), parts(0, s), strict=True):
                if not kept:
                    to[p // BLOCK, p % BLOCK] = source[p // BLOCK, p % BLOCK]
        np.testing.assert_array_equal(after, blocks)
        assert (after != before).any() == (keep == 0).any()


reserves()
for format_ in ("f32", "f16", "i8"):
    copies(format_)
