# RUN: %python %s
#
# Matmuls against an emulation in NumPy that rounds where docs/Numerics.md says, on
# activations that are hard to get right: saturated, zero, subnormal, with one huge
# outlier, halves, not finite. Weights hold their extremes; n and k fill no tile and
# no group. One row to nine give the bits of all rows together, on one thread and on
# three. Levels that this machine has run as they are, the others in scalars.

import numpy as np
from emulation import (
    FLOATS,
    INTEGERS,
    activations,
    check,
    f32,
    floats,
    in_floats,
    in_integers,
    integers,
)
from execute import LEVELS
from program import Program, rows_type


def with_integers(level: str) -> None:
    """int4 and int8 weights by int8 activations; two of them joined."""
    program, inputs, expected = Program(), [], []
    for i, shape in enumerate(INTEGERS):
        n, k, _, group, _ = shape
        matrix, other = integers(*shape), integers(n + 9, *shape[1:])
        x, rows = f"tensor<?x{k}xf32>", rows_type(k, group)
        types = [program.weight(m.q.shape, m.pack(), "f32", m.scheme) for m in (matrix, other)]
        program.argument(f"%x{i}", x)
        program.lines += [
            f"%q{i} = qtale.quantize_rows %x{i} : {x} -> {rows}",
            f"%y{i} = qtale.matmul %q{i}, %w{2 * i} : {rows}, {types[0]} -> tensor<?x{n}xf32>",
        ]
        inputs.append(activations(k))
        both = [(f"{m.scheme} {m.q.shape}", in_integers(m, inputs[-1])) for m in (matrix, other)]
        program.result(f"%y{i}", f"tensor<?x{n}xf32>")
        expected.append(both[0])
        if i % 3 == 0:
            results = f"tensor<?x{n + 9}xf32>, tensor<?x{n}xf32>"
            program.lines.append(
                f"%j{i}:2 = qtale.joint_matmul %q{i}, %w{2 * i + 1}, %w{2 * i} : "
                f"{rows}, {types[1]}, {types[0]} -> {results}"
            )
            program.result(f"%j{i}#0", f"tensor<?x{n + 9}xf32>")
            program.result(f"%j{i}#1", f"tensor<?x{n}xf32>")
            expected += both[::-1]
    check(level, program, inputs, expected)


def with_floats(level: str) -> None:
    """Float activations by weights of every type."""
    program, inputs, expected = Program(), [], []

    def product(what: str, shape: tuple[int, int], type_: str, values: np.ndarray) -> None:
        i, (n, k) = len(inputs), shape
        x, y = f"tensor<?x{k}xf32>", f"tensor<?x{n}xf32>"
        program.argument(f"%x{i}", x)
        program.lines.append(f"%y{i} = qtale.matmul %x{i}, %w{i} : {x}, {type_} -> {y}")
        program.result(f"%y{i}", y)
        inputs.append(activations(k))
        expected.append((f"{what} {shape}", in_floats(values, inputs[-1])))

    for shape in INTEGERS[::2]:
        matrix = integers(*shape)
        type_ = program.weight(matrix.q.shape, matrix.pack(), "f32", matrix.scheme)
        product(matrix.scheme, matrix.q.shape, type_, matrix.values.astype(f32))
    for n, k, element in FLOATS:
        data, values = floats(n, k, element)
        product(element, (n, k), program.weight((n, k), data, element), values)
    check(level, program, inputs, expected)


with np.errstate(all="ignore"):
    for level in LEVELS:
        with_integers(level)
    for level in ("x86-64-v2", "x86-64-v3", "x86-64-v4"):
        with_floats(level)
