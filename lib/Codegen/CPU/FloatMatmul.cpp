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

/// Tiles that a thread takes at once: enough independent sums to hide the
/// latency of a multiply-add where there is a single row.
static constexpr int64_t groupTiles = 4;

void qtale::forBlocks(
    KernelBuilder &b, Value rows, int64_t n, RegisterBlock many,
    function_ref<void(Value, int64_t, Value, int64_t)> block) {
  int64_t tiles = roundUp(n, lanes) / lanes;
  int64_t whole = tiles / groupTiles, rest = tiles % groupTiles;

  auto group = [&](Value first, int64_t count) {
    Value blocked = b.mul(b.div(rows, many.rows), many.rows);
    b.loop(b.index(0), blocked, many.rows, [&](Value row) {
      for (int64_t t = 0; t < count; t += many.tiles)
        block(row, many.rows, b.add(first, t), std::min(many.tiles, count - t));
    });
    if (many.rows > 1)
      b.loop(blocked, rows, 1, [&](Value row) { block(row, 1, first, count); });
  };

  b.parallel(b.index(whole + (rest != 0)), [&](Value g) {
    Value first = b.mul(g, groupTiles);
    if (!rest)
      group(first, groupTiles);
    else if (!whole)
      group(first, rest);
    else
      b.ifElse(
          b.less(g, b.index(whole)), [&] { group(first, groupTiles); },
          [&] { group(first, rest); });
  });
}

void qtale::storeBlock(KernelBuilder &b, ArrayRef<Value> sums, Value row,
                       int64_t rows, Value tile, int64_t tiles, int64_t n,
                       Epilogue epilogue) {
  // Outputs beyond n exist in the last tile only; then all stores are masked.
  bool ragged = n % lanes;
  auto maskType = VectorType::get({lanes}, b.getI1Type());
  for (int64_t t = 0; t < tiles; ++t) {
    Value column = b.mul(b.add(tile, t), lanes);
    Value mask = ragged ? vector::CreateMaskOp::create(
                              b, maskType, b.sub(b.index(n), column))
                              .getResult()
                        : Value();
    auto load = [&](Value buffer, ValueRange at) -> Value {
      if (!ragged)
        return b.load(buffer, at);
      return vector::MaskedLoadOp::create(b, b.f32x(), buffer, at, mask,
                                          b.zeros(b.f32x()));
    };
    for (int64_t m = 0; m < rows; ++m) {
      Value at = b.add(row, m), sum = sums[m * tiles + t];
      if (epilogue.bias)
        sum = arith::AddFOp::create(b, sum, load(epilogue.bias, column));
      if (epilogue.residual)
        sum = arith::AddFOp::create(b, sum,
                                    load(epilogue.residual, {at, column}));
      if (ragged)
        vector::MaskedStoreOp::create(b, epilogue.out, ValueRange{at, column},
                                      mask, sum);
      else
        b.store(sum, epilogue.out, {at, column});
    }
  }
}

void qtale::buildFloatMatmul(KernelBuilder &b, const Level &level, Value input,
                             Value weight, Matrix matrix, Epilogue epilogue) {
  FloatType type = matrix.packed.getFloat();
  int64_t width = type.getWidth() / 8;
  forBlocks(
      b, b.dim(input, 0), matrix.n, level.floatBlock,
      [&](Value row, int64_t rows, Value tile, int64_t tiles) {
        Value base = b.mul(tile, matrix.packed.getTileBytes(matrix.k));
        SmallVector<Value> sums(rows * tiles, b.zeros(b.f32x()));
        sums = b.loop(
            b.index(0), b.index(matrix.k), 1, sums,
            [&](Value k, ValueRange carried) {
              SmallVector<Value> next(carried);
              Value at = b.add(base, b.mul(k, lanes * width));
              SmallVector<Value> x;
              for (int64_t m = 0; m < rows; ++m)
                x.push_back(b.splat(b.loadScalar(input, {b.add(row, m), k})));
              for (int64_t t = 0; t < tiles; ++t) {
                int64_t offset = t * matrix.packed.getTileBytes(matrix.k);
                Value w =
                    b.toF32(b.loadAs(type, lanes, weight, b.add(at, offset)));
                for (int64_t m = 0; m < rows; ++m)
                  next[m * tiles + t] = b.fma(x[m], w, next[m * tiles + t]);
              }
              return next;
            });
        storeBlock(b, sums, row, rows, tile, tiles, matrix.n, epilogue);
      });
}

void qtale::buildMatmul(KernelBuilder &b, const Level &level, Value input,
                        IntRowsAttr format, Value weight, Matrix matrix,
                        Epilogue epilogue) {
  if (matrix.packed.getScheme())
    buildIntMatmul(b, level, input, format, weight, matrix, epilogue);
  else
    buildFloatMatmul(b, level, input, weight, matrix, epilogue);
}
