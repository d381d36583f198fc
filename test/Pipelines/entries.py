# RUN: %python %s
#
# Small functions from tensors to machine code, executed by one thread and by
# three: what aliases, what has no elements or no axes, what fails on the way.

import numpy as np
from execute import compile_main, run

THREADS = (1, 3)
f32 = np.float32
x8 = np.arange(32, dtype=f32).reshape(4, 8)


def execute(arguments: str, body: str, inputs: list, ranks: list, dtype: type = f32) -> list:
    """[(code, results)], one for each number of threads; ports are spelled $."""
    text = f"#scalar = affine_map<() -> ()>\nfunc.func @main({arguments} {{\n{body}\n}}"
    port = '{qtale.name = "port", qtale.dtype = "float32"}'
    module = text.replace("$", port)
    library = compile_main(module, "x86-64-v3", "--linalg-generalize-named-ops")
    results = [(rank, dtype) for rank in ranks]
    return [run(library, inputs, results, threads=threads) for threads in THREADS]


def check(what: str, executed: list, *expected: np.ndarray) -> None:
    for threads, (code, results) in zip(THREADS, executed, strict=True):
        assert code == 0, f"{what}, {threads} threads: code {code}"
        for result, reference in zip(results, expected, strict=True):
            np.testing.assert_allclose(result, reference, rtol=2e-6, err_msg=what)


check(
    "an input is a result, twice",
    execute(
        "%x: tensor<?xf32> $) -> (tensor<?xf32> $, tensor<?xf32> $)",
        "return %x, %x : tensor<?xf32>, tensor<?xf32>",
        [x8[0]],
        [1, 1],
    ),
    x8[0],
    x8[0],
)

check(
    "a constant is a result",
    execute(
        ") -> (tensor<2xf32> $)",
        "%y = arith.constant dense<[5.0, 6.0]> : tensor<2xf32>\nreturn %y : tensor<2xf32>",
        [],
        [1],
    ),
    np.array([5, 6]),
)

check(
    "a part of an input, with strides, is a result",
    execute(
        "%x: tensor<4x8xf32> $) -> (tensor<2x4xf32> $)",
        """%y = tensor.extract_slice %x[1, 0] [2, 4] [2, 2] : tensor<4x8xf32> to tensor<2x4xf32>
        return %y : tensor<2x4xf32>""",
        [x8],
        [2],
    ),
    x8[1::2, ::2],
)

check(
    "an input with a part replaced is a result, and so is the input",
    execute(
        "%x: tensor<4x8xf32> $, %u: tensor<2x8xf32> $) -> (tensor<4x8xf32> $, tensor<4x8xf32> $)",
        """%y = tensor.insert_slice %u into %x[1, 0] [2, 8] [1, 1]
            : tensor<2x8xf32> into tensor<4x8xf32>
        return %y, %x : tensor<4x8xf32>, tensor<4x8xf32>""",
        [x8, -x8[:2]],
        [2, 2],
    ),
    np.concatenate([x8[:1], -x8[:2], x8[3:]]),
    x8,
)

check(
    "no axes",
    execute(
        "%x: tensor<f32> $) -> (tensor<f32> $)",
        """%e = tensor.empty() : tensor<f32>
        %y = linalg.generic {indexing_maps = [#scalar, #scalar], iterator_types = []}
            ins(%x : tensor<f32>) outs(%e : tensor<f32>) {
        ^bb0(%a: f32, %b: f32):
          %s = arith.addf %a, %a : f32
          linalg.yield %s : f32
        } -> tensor<f32>
        return %y : tensor<f32>""",
        [np.array(3, f32)],
        [0],
    ),
    np.array(6),
)

double = """%c0 = arith.constant 0 : index
%c1 = arith.constant 1 : index
%d = tensor.dim %x, %c0 : tensor<?x?x?xf32>
%e = tensor.dim %x, %c1 : tensor<?x?x?xf32>
%c2 = arith.constant 2 : index
%f = tensor.dim %x, %c2 : tensor<?x?x?xf32>
%o = tensor.empty(%d, %e, %f) : tensor<?x?x?xf32>
%y = linalg.add ins(%x, %x : tensor<?x?x?xf32>, tensor<?x?x?xf32>)
    outs(%o : tensor<?x?x?xf32>) -> tensor<?x?x?xf32>
return %y : tensor<?x?x?xf32>"""
for shape in [(0, 3, 4), (3, 0, 4), (3, 4, 0), (1, 1, 1), (5, 7, 3), (2, 2, 3000)]:
    x = np.random.default_rng(1).standard_normal(shape, f32)
    check(
        f"shape {shape}",
        execute("%x: tensor<?x?x?xf32> $) -> (tensor<?x?x?xf32> $)", double, [x], [3]),
        x + x,
    )

check(
    "scalars read by all threads, then written where they stood",
    execute(
        "%x: tensor<2xf32> $) -> (tensor<2xf32> $, tensor<f32> $)",
        """%c0 = arith.constant 0 : index
        %c1 = arith.constant 1 : index
        %a = tensor.extract %x[%c0] : tensor<2xf32>
        %b = tensor.extract %x[%c1] : tensor<2xf32>
        %y = tensor.from_elements %b, %a : tensor<2xf32>
        %z = arith.constant dense<0.0> : tensor<f32>
        %s = linalg.reduce ins(%y : tensor<2xf32>) outs(%z : tensor<f32>) dimensions = [0]
        (%p: f32, %q: f32) {
          %w = arith.addf %p, %q : f32
          linalg.yield %w : f32
        }
        return %y, %s : tensor<2xf32>, tensor<f32>""",
        [np.array([1, 2], f32)],
        [1, 0],
    ),
    np.array([2, 1]),
    np.array(3),
)

# A kernel reads rows that lie apart, and columns that do: the latter from a copy.
norm = """%c0 = arith.constant 0 : index
%d = tensor.dim %x, %c0 : tensor<?x128xf32>
%a = tensor.extract_slice %x[0, 64] [%d, 64] [1, 1] : tensor<?x128xf32> to tensor<?x64xf32>
%b = tensor.extract_slice %x[0, 0] [%d, 64] [1, 2] : tensor<?x128xf32> to tensor<?x64xf32>
%y = qtale.rms_norm %a, %g {epsilon = 1.0e-5 : f32} : tensor<?x64xf32>, tensor<64xf32>
%z = qtale.rms_norm %b, %g {epsilon = 1.0e-5 : f32} : tensor<?x64xf32>, tensor<64xf32>
return %y, %z : tensor<?x64xf32>, tensor<?x64xf32>"""
rows = np.random.default_rng(2).standard_normal((5, 128), f32)
check(
    "views into a kernel",
    execute(
        "%x: tensor<?x128xf32> $, %g: tensor<64xf32> $)"
        " -> (tensor<?x64xf32> $, tensor<?x64xf32> $)",
        norm,
        [rows, np.full(64, 2, f32)],
        [2, 2],
    ),
    *(2 * v / np.sqrt((v * v).mean(1, keepdims=True) + 1e-5) for v in (rows[:, 64:], rows[:, ::2])),
)

asserts = """%c0 = arith.constant 0 : index
%c2 = arith.constant 2 : index
%c5 = arith.constant 5 : index
%d = tensor.dim %x, %c0 : tensor<?xf32>
%a = arith.cmpi uge, %d, %c2 : index
cf.assert %a, "at least two"
%e = tensor.empty(%d) : tensor<?xf32>
%y = linalg.exp ins(%x : tensor<?xf32>) outs(%e : tensor<?xf32>) -> tensor<?xf32>
%b = arith.cmpi ult, %d, %c5 : index
cf.assert %b, "below five" {qtale.code = 8 : i32}
return %y : tensor<?xf32>"""
for size, code in [(1, 1), (2, 0), (4, 0), (5, 8)]:
    x = np.zeros(size, f32)
    for got, _ in execute("%x: tensor<?xf32> $) -> (tensor<?xf32> $)", asserts, [x], [1]):
        assert got == code, f"size {size}: {got}"

# More than the arena has, also where the number of bytes does not fit 64 bits.
square = """%v = tensor.extract %x[] : tensor<i64>
%n = arith.index_cast %v : i64 to index
%z = arith.constant 1.0 : f32
%e = tensor.empty(%n, %n) : tensor<?x?xf32>
%y = linalg.fill ins(%z : f32) outs(%e : tensor<?x?xf32>) -> tensor<?x?xf32>
return %y : tensor<?x?xf32>"""
for size, code in [(0, 0), (500, 0), (1000, 8), (2**31, 8), (2**62, 8), (-1, 8)]:
    size_tensor = np.array(size, np.int64)
    for got, _ in execute("%x: tensor<i64> $) -> (tensor<?x?xf32> $)", square, [size_tensor], [2]):
        assert got == code, f"size {size}: {got}"
