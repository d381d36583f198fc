# RUN: %python %s
#
# What an entry may return: its inputs, constants, parts of an input, what it wrote
# where others read; and views that kernels read.

import numpy as np
from entry import check, execute, f32

x8 = np.arange(32, dtype=f32).reshape(4, 8)

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
