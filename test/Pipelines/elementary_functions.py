# RUN: %python %s
#
# The polynomials that stand for exp, tanh, erf, sin, cos and log, against float64:
# errors over the ranges that models reach, and values at the ends of float32.

import math

import numpy as np
from execute import compile_main, run

f32 = np.float32
OPS = ["exp", "tanh", "erf", "sin", "cos", "log"]
EXACT = {
    "exp": np.exp,
    "tanh": np.tanh,
    "erf": np.vectorize(math.erf),
    "sin": np.sin,
    "cos": np.cos,
}
EXACT["log"] = np.log
LEVELS = ["x86-64-v2", "x86-64-v3"]  # without FMA, and with


def module() -> str:
    port = '{qtale.name = "p", qtale.dtype = "float32"}'
    vector = "tensor<?xf32>"
    lines = ["%c0 = arith.constant 0 : index", f"%d = tensor.dim %x, %c0 : {vector}"]
    for op in OPS:
        lines += [
            f"%e{op} = tensor.empty(%d) : {vector}",
            f'%{op} = linalg.generic {{indexing_maps = [#m, #m], iterator_types = ["parallel"]}}'
            f" ins(%x : {vector}) outs(%e{op} : {vector}) {{",
            "^bb0(%a: f32, %b: f32):",
            f"  %r = math.{op} %a : f32",
            "  linalg.yield %r : f32",
            f"}} -> {vector}",
        ]
    lines.append(f"return {', '.join('%' + op for op in OPS)} : {', '.join([vector] * len(OPS))}")
    results = ", ".join([f"{vector} {port}"] * len(OPS))
    head = f"func.func @main(%x: {vector} {port}) -> ({results}) {{"
    return "\n".join(["#m = affine_map<(i) -> (i)>", head, *lines, "}"])


def execute(library: object, values: np.ndarray) -> dict[str, np.ndarray]:
    code, results = run(library, [values], [(1, f32)] * len(OPS))
    assert code == 0
    return dict(zip(OPS, results, strict=True))


def check(
    library: object, op: str, low: float, high: float, relative: float, absolute: float
) -> None:
    x = np.linspace(low, high, 20001).astype(f32)
    exact = EXACT[op](x.astype(np.float64))
    np.testing.assert_allclose(
        execute(library, x)[op], exact, rtol=relative, atol=absolute, err_msg=f"{op} {low} {high}"
    )


libraries = [compile_main(module(), level) for level in LEVELS]
for library in libraries:
    for low, high in [(-87, 88.7), (-1, 1), (-1e-4, 1e-4)]:
        check(library, "exp", low, high, 4e-7, 0)
    # Below the smallest normal number: anything as small.
    check(library, "exp", -200, -87, 0, 1.2e-38)
    for op in ("tanh", "erf"):
        for low, high in [(-1e-3, 1e-3), (-1, 1), (-10, 10), (-1e6, 1e6)]:
            check(library, op, low, high, 4e-7, 1e-9)
    # Angles of a rotary embedding are positions: up to a million.
    for op in ("sin", "cos"):
        for low, high in [(-1e-4, 1e-4), (-4, 4), (0, 1000), (0, 131072), (-1e6, 1e6)]:
            check(library, op, low, high, 0, 2e-7)
    check(library, "sin", 1e-10, 1e-4, 2e-7, 0)
    for low, high in [(1e-37, 1e-3), (0.5, 2), (1, 1e6), (1e30, 3e38)]:
        check(library, "log", low, high, 4e-7, 4e-7)

    inf, nan = np.inf, np.nan
    ends = execute(library, np.array([0, inf, -inf, nan, 89, -1], f32))
    expected = {
        "exp": [1, inf, 0, nan, inf, math.exp(-1)],
        "tanh": [0, 1, -1, nan, 1, math.tanh(-1)],
        "erf": [0, 1, -1, nan, 1, math.erf(-1)],
        "sin": [0, nan, nan, nan, math.sin(89), math.sin(-1)],
        "cos": [1, nan, nan, nan, math.cos(89), math.cos(-1)],
        "log": [-inf, inf, nan, nan, math.log(89), nan],
    }
    for op in OPS:
        np.testing.assert_allclose(ends[op], expected[op], rtol=4e-7, atol=1e-7, err_msg=op)
    huge = execute(library, np.array([3e38, -3e38, 1e20], f32))
    assert np.abs(huge["sin"]).max() <= 1
    assert np.abs(huge["cos"]).max() <= 1

# The same bits with FMA as without.
x = np.random.default_rng(3).normal(0, 30, 20000).astype(f32)
first, second = (execute(library, x) for library in libraries)
for op in OPS:
    np.testing.assert_array_equal(first[op], second[op], err_msg=op)
