# RUN: %python %s
#
# Loops over nothing and over much, assertions that fail early and late, and more
# memory than there is.

import numpy as np
from entry import check, execute, f32

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
