//===- FusedMatmul.cpp - A function of several products -------------------===//
//
//   gate:  [ sums ] ─ + bias ─┐
//                             ├─ function ─▶ out
//   up:    [ sums ] ─ + bias ─┘
//
// The sums of a block are made one weight after the other, so that each has all
// registers; only the finished ones wait.
//
//===----------------------------------------------------------------------===//

#include "Kernels.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/IRMapping.h"

using namespace mlir;
using namespace qtale;

/// The region on vectors of 16.
static Value applyFunction(KernelBuilder &b, Region &function,
                           ValueRange arguments) {
  Block &body = function.front();
  IRMapping mapping;
  mapping.map(body.getArguments(), arguments);
  for (Operation &op : body.without_terminator()) {
    Operation *copy = b.clone(op, mapping);
    if (isa<arith::ConstantOp>(op)) {
      mapping.map(op.getResult(0), b.splat(copy->getResult(0)));
      continue;
    }
    Value result = copy->getResult(0);
    result.setType(VectorType::get({lanes}, result.getType()));
  }
  return mapping.lookup(body.getTerminator()->getOperand(0));
}

/// function(sums + bias of each weight) for a block.
static SmallVector<Value> fuseBlock(KernelBuilder &b, const Level &level,
                                    Activations x, const FusedProduct &product,
                                    OutputBlock at) {
  SmallVector<SmallVector<Value>> sums;
  for (auto [i, weight] : llvm::enumerate(product.weights)) {
    sums.push_back(sumBlock(b, level, x, weight, product.matrix, at));
    if (!product.biases.empty())
      addBias(b, sums.back(), at, product.matrix.n, product.biases[i]);
  }
  SmallVector<Value> values;
  for (int64_t i = 0; i < at.rows * at.tiles; ++i) {
    SmallVector<Value> arguments = llvm::map_to_vector(
        sums, [&](ArrayRef<Value> each) { return each[i]; });
    values.push_back(applyFunction(b, *product.function, arguments));
  }
  return values;
}

void qtale::buildFusedMatmul(KernelBuilder &b, const Level &level,
                             Activations x, const FusedProduct &product,
                             Activations out) {
  int64_t n = product.matrix.n;
  RegisterBlock shape = blockShape(level, x, product.matrix);
  if (!out.format)
    return forBlocks(b, b.dim(x.buffer, 0), n, shape, [&](OutputBlock at) {
      storeBlock(b, fuseBlock(b, level, x, product, at), at, n, out.buffer);
    });

  // Two tiles are a block of 32; where the level's blocks are narrower, one
  // after the other.
  int64_t tiles = shape.tiles;
  shape.tiles = roundUp(tiles, 2);
  forBlocks(b, b.dim(x.buffer, 0), n, shape, [&](OutputBlock at) {
    int64_t step = at.rows == 1 ? at.tiles : tiles;
    SmallVector<Value> values(at.rows * at.tiles);
    for (int64_t t = 0; t < at.tiles; t += step) {
      OutputBlock part{at.row, at.rows, b.add(at.tile, t),
                       std::min(step, at.tiles - t)};
      SmallVector<Value> some = fuseBlock(b, level, x, product, part);
      for (int64_t m = 0; m < at.rows; ++m)
        for (int64_t i = 0; i < part.tiles; ++i)
          values[m * at.tiles + t + i] = some[m * part.tiles + i];
    }
    for (int64_t m = 0; m < at.rows; ++m)
      for (int64_t t = 0; t < at.tiles; t += 2) {
        Value *pair = &values[m * at.tiles + t];
        storeQuantized(b, b.concat(pair[0], pair[1]), b.add(at.row, m),
                       b.div(b.add(at.tile, t), 2), n, out);
      }
  });
}
