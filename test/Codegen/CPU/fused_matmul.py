# RUN: %python %s
#
# Several matmuls in one, and activations quantized where they are made: bit for
# bit what the verbs give one after the other, and near float64; one row and
# several, with n and k that fill no tile and no group.

import numpy as np
from execute import compile_main, run
from packed import int_matrix, pack_float
from program import Program, rows_type

f32 = np.float32
random = np.random.default_rng(13)
ROWS = [(1, 1), (7, 3)]

SILU = """%one = arith.constant 1.0 : f32
      %n = arith.negf %a : f32
      %e = math.exp %n : f32
      %s = arith.addf %one, %e : f32
      %d = arith.divf %one, %s : f32
      %m = arith.mulf %a, %d : f32
      %p = arith.mulf %m, %b : f32"""


def products(level: str) -> None:
    """A gate and a q, k, v: fused and joint against one matmul after the other."""
    text, checks = Program(), []
    cases = [
        (64, 96, int_matrix, 4, 32, False),
        (67, 100, int_matrix, 8, 64, True),
        (67, 33, None, 32, 0, False),
    ]
    identity = '["parallel", "parallel"]'
    maps = "affine_map<(i, j) -> (i, j)>"
    for i, (n, k, make, bits, group, asymmetric) in enumerate(cases):
        shapes = [(n, k), (n, k), (n + 19, k)]
        values, types, first = [], [], len(text.declarations)
        for shape in shapes:
            if make:
                matrix = int_matrix(random, *shape, bits, group, asymmetric)
                matrix.scales[:] /= np.float16(64)
                types.append(text.weight(shape, matrix.pack(), "f32", matrix.scheme))
                values.append(matrix.values)
            else:
                table = random.standard_normal(shape, f32)
                types.append(text.weight(shape, pack_float(table), "f32"))
                values.append(table)
        w = [f"%w{first + j}" for j in range(3)]
        x, y = f"tensor<?x{k}xf32>", f"tensor<?x{n}xf32>"
        z, bias = f"tensor<?x{n + 19}xf32>", f"tensor<{n}xf32>"
        text.argument(f"%x{i}", x)
        text.argument(f"%b{i}", bias)
        rows, rows_t = f"%x{i}", x
        if make:
            rows, rows_t = f"%q{i}", rows_type(k, group)
            text.lines.append(f"{rows} = qtale.quantize_rows %x{i} : {x} -> {rows_t}")
        product = f"{rows_t}, {types[0]} -> {y}"
        both = f"bias(%b{i}, %b{i} : {bias}, {bias})"
        text.lines += [
            f"%f{i} = qtale.fused_matmul {rows}, {w[0]}, {w[1]} {both} : "
            f"{rows_t}, {types[0]}, {types[1]} -> {y} {{\n    ^bb0(%a: f32, %b: f32):\n"
            f"      {SILU}\n      qtale.yield %p : f32\n    }}",
            f"%g{i} = qtale.matmul {rows}, {w[0]} bias(%b{i} : {bias}) : {product}",
            f"%u{i} = qtale.matmul {rows}, {w[1]} bias(%b{i} : {bias}) : {product}",
            f"%v{i} = qtale.matmul {rows}, {w[2]} : {rows_t}, {types[2]} -> {z}",
            f"%n{i} = tensor.dim %x{i}, %c0 : {x}",
            f"%i{i} = tensor.empty(%n{i}) : {y}",
            f"%s{i} = linalg.generic {{indexing_maps = [{maps}, {maps}, {maps}], "
            f"iterator_types = {identity}}} ins(%g{i}, %u{i} : {y}, {y}) outs(%i{i} : {y}) {{\n"
            f"    ^bb0(%a: f32, %b: f32, %o: f32):\n      {SILU}\n"
            f"      linalg.yield %p : f32\n    }} -> {y}",
            f"%j{i}:2 = qtale.joint_matmul {rows}, {w[2]}, {w[0]} : "
            f"{rows_t}, {types[2]}, {types[0]} -> {z}, {y}",
            f"%h{i} = qtale.matmul {rows}, {w[0]} : {product}",
        ]
        for name, type_ in [("f", y), ("s", y), ("v", z), ("h", y)]:
            text.result(f"%{name}{i}", type_)
        text.result(f"%j{i}#0", z)
        text.result(f"%j{i}#1", y)
        checks.append((n, k, values, 0.15 if make else 1e-4))
    library = compile_main(str(text), level)
    for rows, threads in ROWS:
        inputs = []
        for n, k, _, _ in checks:
            inputs += [random.standard_normal((rows, k), f32), random.standard_normal(n, f32)]
        kinds = [(2, f32)] * len(text.results)
        code, results = run(library, inputs, kinds, text.weights, threads)
        assert code == 0
        for i, (_, _, values, near) in enumerate(checks):
            fused, composed, plain, gate, joint0, joint1 = results[6 * i : 6 * i + 6]
            np.testing.assert_array_equal(fused, composed)
            np.testing.assert_array_equal(joint0, plain)
            np.testing.assert_array_equal(joint1, gate)
            x, bias = inputs[2 * i].astype(np.float64), inputs[2 * i + 1]
            g, u = x @ values[0].T + bias, x @ values[1].T + bias
            expected = g / (1 + np.exp(-g)) * u
            assert np.abs(fused - expected).max() < near * np.abs(expected).max()


def quantized(level: str) -> None:
    """Norms and gates that write int8: seen through an identity of 8 bits."""
    text, pairs = Program(), []
    for i, (k, group) in enumerate([(64, 32), (70, 128), (192, 64)]):
        identity = int_matrix(random, k, k, 8, group, False)
        identity.q = (128 + np.eye(k)).astype(np.uint8)
        identity.scales[:] = 1
        number = len(text.declarations)
        one = text.weight((k, k), identity.pack(), "f32", identity.scheme)
        x, vector = f"tensor<?x{k}xf32>", f"tensor<{k}xf32>"
        ints = rows_type(k, group)
        text.argument(f"%x{i}", x)
        text.argument(f"%g{i}", vector)
        epsilon = "{epsilon = 1.0e-5 : f32}"
        norms = {
            "r": (f"qtale.rms_norm %x{i}, %g{i} {epsilon} : {x}, {vector}", ""),
            "l": (
                f"qtale.layer_norm %x{i}, %g{i}, %g{i} {epsilon} : {x}, {vector}, {vector}",
                "",
            ),
        }
        if k % group == 0:
            table = random.standard_normal((k, k), f32) / 8
            wide = text.weight((k, k), pack_float(table), "f32")
            head = f"qtale.fused_matmul %x{i}, %w{number + 1}, %w{number + 1} : {x}, {wide}, {wide}"
            region = (
                f"{{\n    ^bb0(%a: f32, %b: f32):\n      {SILU}\n      qtale.yield %p : f32\n    }}"
            )
            norms["f"] = (f"{head} -> {x}", region)
        for name, (op, region) in norms.items():
            op_ints = op.removesuffix(f" -> {x}") + f" -> {ints}"
            text.lines += [
                f"%{name}{i} = {op} {region}",
                f"%{name}q{i} = qtale.quantize_rows %{name}{i} : {x} -> {ints}",
                f"%{name}i{i} = {op_ints} {region}",
            ]
            for which in ("q", "i"):
                value = f"%{name}{which}y{i}"
                text.lines.append(
                    f"{value} = qtale.matmul %{name}{which}{i}, %w{number} : {ints}, {one} -> {x}"
                )
                text.result(value, x)
            pairs.append(k)
    library = compile_main(str(text), level)
    for rows, threads in ROWS:
        inputs = []
        for k in dict.fromkeys(pairs):
            inputs += [random.standard_normal((rows, k), f32) * 9, random.standard_normal(k, f32)]
        kinds = [(2, f32)] * len(text.results)
        code, results = run(library, inputs, kinds, text.weights, threads)
        assert code == 0
        for apart, together in zip(results[::2], results[1::2], strict=True):
            assert np.abs(together).max() > 0
            np.testing.assert_array_equal(together, apart)


# Blocks of one tile and of four; sums in eight lanes and in sixteen.
for level in ("x86-64-v3", "x86-64-v4+vnni"):
    products(level)
    quantized(level)
