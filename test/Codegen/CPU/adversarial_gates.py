# RUN: %python %s
#
# Gates and norms on the same hard activations: a function of two matmuls, norms that
# quantize what they give.

import numpy as np
from emulation import (
    FLOATS,
    INTEGERS,
    Emulation,
    activations,
    check,
    compare,
    f32,
    floats,
    in_floats,
    in_integers,
    integers,
    random,
)
from execute import run
from hardware import compile_level
from packed import int_matrix
from program import Program, rows_type

SILU = """%one = arith.constant 1.0 : f32
      %n = arith.negf %a : f32
      %e = math.exp %n : f32
      %s = arith.addf %one, %e : f32
      %d = arith.divf %one, %s : f32
      %m = arith.mulf %a, %d : f32
      %p = arith.mulf %m, %b : f32"""


def gated(g: Emulation, u: Emulation) -> Emulation:
    """silu(g) * u. What g and u may be off by comes with the slope of silu, at most 1.1."""
    wide_g, wide_u = g.values.astype(np.float64), u.values.astype(np.float64)
    silu = wide_g / (1 + np.exp(-wide_g))
    size = 1.1 * g.size * np.abs(wide_u) + np.abs(silu) * u.size
    return Emulation((silu * wide_u).astype(f32), size)


def with_gates(level: str) -> None:
    """Two matmuls and a function of both."""
    program, inputs, expected = Program(), [], []
    for i, shape in enumerate([*INTEGERS[:5:2], FLOATS[0]]):
        (n, k), ints = shape[:2], i < 3
        x, y = f"tensor<?x{k}xf32>", f"tensor<?x{n}xf32>"
        inputs.append(activations(k))
        program.argument(f"%x{i}", x)
        rows, rows_t = f"%x{i}", x
        types, parts = [], []
        if ints:
            rows, rows_t = f"%q{i}", rows_type(k, shape[3])
            program.lines.append(f"%q{i} = qtale.quantize_rows %x{i} : {x} -> {rows_t}")
        for _ in range(2):
            if ints:
                matrix = integers(*shape)
                types.append(program.weight((n, k), matrix.pack(), "f32", matrix.scheme))
                parts.append(in_integers(matrix, inputs[-1]))
            else:
                data, values = floats(*shape)
                types.append(program.weight((n, k), data, "f32"))
                parts.append(in_floats(values, inputs[-1]))
        program.lines.append(
            f"%f{i} = qtale.fused_matmul {rows}, %w{2 * i}, %w{2 * i + 1} :"
            f" {rows_t}, {types[0]}, {types[1]} -> {y} {{\n    ^bb0(%a: f32, %b: f32):\n"
            f"      {SILU}\n      qtale.yield %p : f32\n    }}"
        )
        program.result(f"%f{i}", y)
        expected.append((f"gate {shape}", gated(*parts)))
    check(level, program, inputs, expected)


def norms(level: str) -> None:
    """Float and int8 results of a norm; an identity of 1 shows the integers times their scale."""
    k, group = 100, 64
    program = Program()
    identity = int_matrix(random, k, k, 8, group, False)
    identity.q = (128 + np.eye(k)).astype(np.uint8)
    identity.scales[:] = 1
    type_ = program.weight((k, k), identity.pack(), "f32", identity.scheme)
    x, rows = f"tensor<?x{k}xf32>", rows_type(k, group)
    program.argument("%x", x)
    program.argument("%g", f"tensor<{k}xf32>")
    norm = f"qtale.rms_norm %x, %g {{epsilon = 1.0e-5 : f32}} : {x}, tensor<{k}xf32>"
    program.lines += [
        f"%r = {norm}",
        f"%q = {norm} -> {rows}",
        f"%y = qtale.matmul %q, %w0 : {rows}, {type_} -> {x}",
    ]
    program.result("%r", x)
    program.result("%y", x)
    given, gain = activations(k), random.standard_normal(k).astype(f32)
    library = compile_level(str(program), level)
    code, (real, ints) = run(library, [given, gain], [(2, f32)] * 2, program.weights, threads=3)
    assert code == 0
    mean = (given * given).astype(np.float64).sum(1, keepdims=True) / k
    factor = f32(1) / np.sqrt((mean + 1e-5).astype(f32))
    expected = given * factor * gain
    compare(real, Emulation(expected, np.abs(expected.astype(np.float64))), f"{level}, norm")
    blocks = np.pad(real, ((0, 0), (0, 128 - k))).reshape(len(real), -1, 32)
    scale = np.abs(blocks).max(2, keepdims=True) / f32(127)
    q = np.clip(np.rint(blocks / np.where(scale == 0, f32(1), scale)), -127, 127)
    np.testing.assert_array_equal(ints, (q * scale).reshape(len(real), -1)[:, :k])


with np.errstate(all="ignore"):
    for level in ("x86-64-v3", "x86-64-v4+vnni"):
        with_gates(level)
        norms(level)
