# RUN: %python %s
#
# What follows from probabilities, against plain loops: which rows run and what is left
# of their budgets, what is recorded, and rows gathered and put back; any element type.

import numpy as np
from execute import Main

f32, i32 = np.float32, np.int32
random = np.random.default_rng(8)
INT32_MAX = np.iinfo(i32).max
P, ROWS, FLAGS = "tensor<?xf32>", "tensor<?xi32>", "tensor<?xi1>"
UNITS, ALWAYS = 5, 3


def keep_and_record() -> None:
    """Two units, one kernel: the second continues with the first's budgets."""
    table = f"tensor<?x{UNITS}xf32>"
    types = f"{P}, {table}, {ROWS}, {ROWS}, {ROWS} -> {FLAGS}, {ROWS}"
    attributes = f"always = {ALWAYS}"
    body = f"""%k, %l = qtale.keep %a0, %a1, %a2, %a3, %a4 {{unit = 1, {attributes}}} : {types}
    %m, %n = qtale.keep %a0, %a1, %l, %a3, %a4 {{unit = 4, {attributes}}} : {types}
    qtale.record %a0, %k {{unit = 1}} : {P}, {FLAGS}
    qtale.record %a0, %m {{unit = 4}} : {P}, {FLAGS}
    return %k, %l, %m, %n : {FLAGS}, {ROWS}, {FLAGS}, {ROWS}"""
    decide = Main([P, table, ROWS, ROWS, ROWS], [FLAGS, ROWS, FLAGS, ROWS], body)
    for rows in (0, 1, 7, 200):
        p = random.random(rows, f32)
        thresholds = random.random((4, UNITS), f32)
        thresholds[0], thresholds[1] = 0, 2  # everything; only what must run
        budgets = random.choice(np.array([0, 1, 2, INT32_MAX], i32), rows)
        sequences = random.integers(0, 4, rows).astype(i32)
        positions = random.integers(0, 8, rows).astype(i32)
        if rows > 6:
            p[3] = np.nan
            p[5] = thresholds[sequences[5], 1]  # just enough
            positions[5], budgets[5] = ALWAYS, 1

        expected, left = [], budgets.astype(np.int64)
        for unit in (1, 4):
            keep = np.zeros(rows, bool)
            for r in range(rows):
                must = positions[r] < ALWAYS
                may = p[r] >= thresholds[sequences[r], unit] and left[r] > 0
                keep[r] = must or may
                left[r] -= may and not must
            expected += [keep, left.copy()]

        record = np.full((UNITS, rows), 9, np.uint8), np.full((UNITS, rows), 9, f32)
        results = decide([p, thresholds, budgets, sequences, positions], record=record)
        for result, reference in zip(results, expected, strict=True):
            np.testing.assert_array_equal(result, reference)
        kept, probability = np.full((UNITS, rows), 9), np.full((UNITS, rows), 9, f32)
        kept[[1, 4]], probability[[1, 4]] = expected[::2], p
        np.testing.assert_array_equal(record[0], kept)
        np.testing.assert_array_equal(record[1], probability)
        if rows == 200:
            assert all(0.1 < flags.mean() < 0.9 for flags in expected[::2])


def compactions() -> None:
    types = f"{FLAGS} -> {ROWS}, tensor<1xi32>"
    body = f"""%r, %n = qtale.compact %a0 : {types}
    %s, %m = qtale.compact %a0 {{skipped}} : {types}
    return %r, %n, %s, %m : {ROWS}, tensor<1xi32>, {ROWS}, tensor<1xi32>"""
    compact = Main([FLAGS], [ROWS, "tensor<1xi32>"] * 2, body)
    some = random.random(70) < 0.4
    for flags in (some, ~some, np.zeros(7, bool), np.ones(7, bool), some[:1], some[:0]):
        kept, number, skipped, others = compact([flags])
        np.testing.assert_array_equal(kept[: number[0]], np.flatnonzero(flags))
        np.testing.assert_array_equal(skipped[: others[0]], np.flatnonzero(~flags))
        assert number[0] + others[0] == len(flags)


def gathers_and_scatters() -> None:
    """Gathered by rows in any order; put back over what stays as it is."""
    columns = 37
    shapes = [f"tensor<?x{columns}x{e}>" for e in ("f32", "i32", "i1")] + [P, ROWS, FLAGS]
    arguments, lines, results = [ROWS], [], []
    for shape in shapes:
        x, v = f"%a{len(arguments)}", f"%a{len(arguments) + 1}"
        g, s = f"%g{len(results)}", f"%s{len(results)}"
        lines += [
            f"{g} = qtale.gather_rows {x}, %a0 : {shape}, {ROWS} -> {shape}",
            f"{s} = qtale.scatter_rows {v}, %a0, {x} : {shape}, {ROWS}, {shape}",
        ]
        arguments += [shape, shape]
        results += [g, s]
    types = [shape for shape in shapes for _ in range(2)]
    lines.append(f"return {', '.join(results)} : {', '.join(types)}")
    move = Main(arguments, types, "\n".join(lines))

    def anything(shape: str, rows: int) -> np.ndarray:
        size = (rows, columns) if str(columns) in shape else (rows,)
        if "f32" in shape:
            return random.standard_normal(size, f32)
        if "i32" in shape:
            return random.integers(-(2**31), 2**31, size).astype(i32)
        return random.random(size) < 0.5

    for all_rows, count in [(70, 31), (70, 70), (7, 1), (1, 1), (9, 0), (0, 0)]:
        rows = random.permutation(all_rows)[:count].astype(i32)
        inputs, expected = [rows], []
        for shape in shapes:
            base, values = anything(shape, all_rows), anything(shape, count)
            inputs += [base, values]
            changed = base.copy()
            changed[rows] = values
            expected += [base[rows], changed]
        given = [array.copy() for array in inputs]
        for result, reference in zip(move(inputs, threads=3), expected, strict=True):
            np.testing.assert_array_equal(result, reference)
        for array, before in zip(inputs, given, strict=True):
            np.testing.assert_array_equal(array, before)


keep_and_record()
compactions()
gathers_and_scatters()
