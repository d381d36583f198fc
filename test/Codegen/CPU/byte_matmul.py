# RUN: %python %s
#
# Products of bytes on every level, exact: NumPy sums them in 64 bits and keeps the
# lower 32. Rows hold the extremes of their type for all k, and so do weights; zero
# points lie at both ends and far beyond a byte, so that sums wrap. n and k fill no
# tile and no word. One row to nineteen, on one thread and on three. Levels that this
# machine has run as they are, the others in scalars.

import numpy as np
from execute import LEVELS, run
from hardware import compile_level
from program import Program

random = np.random.default_rng(23)

ROWS = 19

#: n, k, types of x and of the weight, which zero points there are: "" (none), "one", "each".
CASES = [
    (16, 32, np.uint8, np.int8, "one", ""),
    (67, 1031, np.uint8, np.int8, "one", "each"),
    (1, 1, np.int8, np.int8, "", ""),
    (33, 3, np.int8, np.uint8, "each", "each"),
    (80, 66, np.uint8, np.uint8, "each", "one"),
    (130, 37, np.int8, np.int8, "one", "one"),
    (48, 20, np.uint8, np.uint8, "", "each"),
]


def numbers(dtype: type, shape: tuple[int, int]) -> np.ndarray:
    """Anything; the first rows hold an extreme, or both."""
    low, top = np.iinfo(dtype).min, np.iinfo(dtype).max
    values = random.integers(low, top + 1, shape).astype(dtype)
    values[0] = top
    values[1 % len(values)] = low
    values[2 % len(values)] = np.where(random.random(shape[1]) < 0.5, low, top)
    return values


def zero_points(which: str, count: int) -> np.ndarray | None:
    if not which:
        return None
    far = [-128, 0, 127, 255, 1 << 20, -(1 << 31), (1 << 31) - 1]
    return random.choice(far, 1 if which == "one" else count).astype(np.int32)


def pack(w: np.ndarray) -> bytes:
    """As #qtale.packed describes bytes."""
    stored = w.astype(np.int32) - np.iinfo(w.dtype).min
    stored = np.pad(stored, ((0, -len(w) % 16), (0, -w.shape[1] % 4)))
    data = b""
    for tile in stored.reshape(-1, 16, stored.shape[1]):
        data += tile.sum(1, dtype=np.int32).tobytes()
        data += tile.astype(np.uint8).reshape(16, -1, 4).transpose(1, 0, 2).tobytes()
    return data + bytes(-len(data) % 64)


class Products(Program):
    """A module, its inputs, and what it has to give."""

    def __init__(self) -> None:
        super().__init__("int32")
        self.inputs, self.per_row, self.wanted = [], [], []

    def input(self, name: str, type_: str, value: np.ndarray, per_row: bool) -> str:
        self.argument(name, type_)
        self.inputs.append(value)
        self.per_row.append(per_row)
        return f"({name} : {type_})"

    def add(self, n: int, k: int, left: type, right: type, zero_x: str, zero_w: str) -> None:
        i = len(self.declarations)
        x, w = numbers(left, (ROWS, k)), numbers(right, (n, k))
        zx, zw = zero_points(zero_x, ROWS), zero_points(zero_w, n)
        element = "ui8" if right == np.uint8 else "i8"
        source = f'<file = "w", offset = 0, bytes = {n * k}, type = tensor<{n}x{k}x{element}>>'
        type_ = f"tensor<{n}x{k}x{element}, #qtale.packed<{element}>>"
        self.declarations.append(
            f"qtale.weight @w{i} : {type_} = #qtale.pack<#qtale.source{source}>"
        )
        self.weights += pack(w)
        self.input(f"%x{i}", f"tensor<?x{k}xi8>", x.view(np.int8), per_row=True)
        zeros = ""
        if zx is not None:
            each = zero_x == "each"
            size = "?" if each else "1"
            zeros += " input_zero" + self.input(f"%a{i}", f"tensor<{size}xi32>", zx, each)
        if zw is not None:
            name = f"%b{i}"
            zeros += " weight_zero" + self.input(name, f"tensor<{len(zw)}xi32>", zw, False)
        flag = "{unsigned_input} " if left == np.uint8 else ""
        self.lines += [
            f"%w{i} = qtale.param @w{i} : {type_}",
            f"%y{i} = qtale.byte_matmul %x{i}, %w{i}{zeros} {flag}"
            f": tensor<?x{k}xi8>, {type_} -> tensor<?x{n}xi32>",
        ]
        self.result(f"%y{i}", f"tensor<?x{n}xi32>")
        zx = np.zeros(1, np.int64) if zx is None else zx.astype(np.int64)
        zw = np.zeros(1, np.int64) if zw is None else zw.astype(np.int64)
        with np.errstate(over="ignore"):
            sums = (x.astype(np.int64) - zx[:, None]) @ (w.astype(np.int64) - zw[:, None]).T
        self.wanted.append(sums.astype(np.int32))


products = Products()
for case in CASES:
    products.add(*case)
assert max(abs(want).max() for want in products.wanted) > 1 << 30  # sums wrap

for level in LEVELS:
    library = compile_level(str(products), level)
    for rows in (1, 2, 3, 4, 7, ROWS):
        first = int(random.integers(ROWS - rows + 1))
        some = slice(first, first + rows)
        inputs = [
            value[some].copy() if per_row else value
            for value, per_row in zip(products.inputs, products.per_row, strict=True)
        ]
        kinds = [(2, np.int32)] * len(CASES)
        code, results = run(library, inputs, kinds, products.weights, threads=1 + rows % 2 * 2)
        assert code == 0
        for case, result, want in zip(CASES, results, products.wanted, strict=True):
            np.testing.assert_array_equal(result, want[some], err_msg=f"{level}, {rows}, {case}")
