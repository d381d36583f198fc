//===- FloatMatmul.cpp - Matmul with float weights ------------------------===//
//
//            tile t: 16 outputs            for k:  w = weights[t][k][0..16]
//   row m  [ sum sum sum … sum ]                   sum[m][t] += x[m, k] * w
//   row m+1[ sum sum sum … sum ]
//
// A lane owns an output: no sum crosses lanes, and the order over k is the same
// for any number of rows.
//
//===----------------------------------------------------------------------===//

#include "Kernels.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace mlir;
using namespace qtale;

SmallVector<Value> qtale::sumFloat(KernelBuilder &b, Value input, Value weight,
                                   Matrix matrix, OutputBlock at) {
  FloatType type = matrix.packed.getFloat();
  int64_t width = type.getWidth() / 8;
  int64_t tileBytes = matrix.packed.getTileBytes(matrix.k);
  Value base = b.mul(at.tile, tileBytes);
  SmallVector<Value> sums(at.rows * at.tiles, b.zeros(b.f32x()));
  return b.loop(
      b.index(0), b.index(matrix.k), 1, sums, [&](Value k, ValueRange carried) {
        SmallVector<Value> next(carried);
        Value from = b.add(base, b.mul(k, lanes * width));
        SmallVector<Value> x;
        for (int64_t m = 0; m < at.rows; ++m)
          x.push_back(b.splat(b.loadScalar(input, {b.add(at.row, m), k})));
        for (int64_t t = 0; t < at.tiles; ++t) {
          Value w = b.toF32(
              b.loadAs(type, lanes, weight, b.add(from, t * tileBytes)));
          for (int64_t m = 0; m < at.rows; ++m)
            next[m * at.tiles + t] = b.fma(x[m], w, next[m * at.tiles + t]);
        }
        return next;
      });
}
