//===- Matmul.cpp - Products with packed weights --------------------------===//
//
//               a group of 4 tiles: one thread
//            tile 0   tile 1   tile 2   tile 3
//   row 0   [ sums ] [ sums ] [ sums ] [ sums ]     a block: some rows, some
//   row 1   [ sums ] [ sums ] [ sums ] [ sums ]     tiles, all in registers
//
//   sumBlock (FloatMatmul.cpp, IntMatmul.cpp)  -->  + bias + residual  -->  out
//
//===----------------------------------------------------------------------===//

#include "Kernels.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace mlir;
using namespace qtale;

/// Tiles that a thread takes at once: enough independent sums to hide the
/// latency of a multiply-add where there is a single row.
static constexpr int64_t groupTiles = 4;

static int64_t tilesOf(int64_t n) { return roundUp(n, lanes) / lanes; }
static int64_t groupsOf(int64_t n) {
  return llvm::divideCeil(tilesOf(n), groupTiles);
}

/// All rows of group `g` of n outputs.
static void forGroup(KernelBuilder &b, Value g, Value rows, int64_t n,
                     RegisterBlock many,
                     function_ref<void(OutputBlock)> block) {
  int64_t whole = tilesOf(n) / groupTiles, rest = tilesOf(n) % groupTiles;
  auto group = [&](Value first, int64_t count) {
    Value blocked = b.mul(b.div(rows, many.rows), many.rows);
    b.loop(b.index(0), blocked, many.rows, [&](Value row) {
      for (int64_t t = 0; t < count; t += many.tiles)
        block(
            {row, many.rows, b.add(first, t), std::min(many.tiles, count - t)});
    });
    if (many.rows > 1)
      b.loop(blocked, rows, 1,
             [&](Value row) { block({row, 1, first, count}); });
  };

  Value first = b.mul(g, groupTiles);
  if (!rest)
    group(first, groupTiles);
  else if (!whole)
    group(first, rest);
  else
    b.ifElse(
        b.less(g, b.index(whole)), [&] { group(first, groupTiles); },
        [&] { group(first, rest); });
}

void qtale::forBlocks(KernelBuilder &b, Value rows, int64_t n,
                      RegisterBlock many,
                      function_ref<void(OutputBlock)> block) {
  b.parallel(b.index(groupsOf(n)),
             [&](Value g) { forGroup(b, g, rows, n, many, block); });
}

//===----------------------------------------------------------------------===//
// Sums to memory
//===----------------------------------------------------------------------===//

/// access(i, row, column, mask) for vector i of a block. Outputs beyond n exist
/// in the last tile only; then all accesses are masked, otherwise the mask is
/// null.
static void
forVectors(KernelBuilder &b, OutputBlock at, int64_t n,
           function_ref<void(int64_t, Value, Value, Value)> access) {
  auto maskType = VectorType::get({lanes}, b.getI1Type());
  for (int64_t t = 0; t < at.tiles; ++t) {
    Value column = b.mul(b.add(at.tile, t), lanes), mask;
    if (n % lanes)
      mask =
          vector::CreateMaskOp::create(b, maskType, b.sub(b.index(n), column));
    for (int64_t m = 0; m < at.rows; ++m)
      access(m * at.tiles + t, b.add(at.row, m), column, mask);
  }
}

static Value loadMasked(KernelBuilder &b, Value buffer, ValueRange from,
                        Value mask) {
  if (!mask)
    return b.load(buffer, from);
  return vector::MaskedLoadOp::create(b, b.f32x(), buffer, from, mask,
                                      b.zeros(b.f32x()));
}

void qtale::addBias(KernelBuilder &b, MutableArrayRef<Value> sums,
                    OutputBlock at, int64_t n, Value bias) {
  if (!bias)
    return;
  forVectors(b, at, n, [&](int64_t i, Value, Value column, Value mask) {
    Value addend = loadMasked(b, bias, column, mask);
    sums[i] = arith::AddFOp::create(b, sums[i], addend);
  });
}

void qtale::addResidual(KernelBuilder &b, MutableArrayRef<Value> sums,
                        OutputBlock at, int64_t n, Value residual) {
  if (!residual)
    return;
  forVectors(b, at, n, [&](int64_t i, Value row, Value column, Value mask) {
    Value addend = loadMasked(b, residual, {row, column}, mask);
    sums[i] = arith::AddFOp::create(b, sums[i], addend);
  });
}

void qtale::storeBlock(KernelBuilder &b, ArrayRef<Value> values, OutputBlock at,
                       int64_t n, Value out) {
  forVectors(b, at, n, [&](int64_t i, Value row, Value column, Value mask) {
    if (mask)
      vector::MaskedStoreOp::create(b, out, ValueRange{row, column}, mask,
                                    values[i]);
    else
      b.store(values[i], out, {row, column});
  });
}

//===----------------------------------------------------------------------===//
// Kernels
//===----------------------------------------------------------------------===//

SmallVector<Value> qtale::sumBlock(KernelBuilder &b, const Level &level,
                                   Activations x, Value weight, Matrix matrix,
                                   OutputBlock at) {
  if (matrix.packed.getScheme())
    return sumInt(b, level, x, weight, matrix, at);
  return sumFloat(b, x.buffer, weight, matrix, at);
}

RegisterBlock qtale::blockShape(const Level &level, Activations x,
                                Matrix matrix) {
  if (!matrix.packed.getScheme())
    return level.floatBlock;
  return x.format ? level.intBlock : RegisterBlock{level.intBlock.rows, 1};
}

/// One product's block, from sums to memory.
static void buildBlock(KernelBuilder &b, const Level &level, Activations x,
                       const Product &product, OutputBlock at) {
  int64_t n = product.matrix.n;
  const Epilogue &epilogue = product.epilogue;
  SmallVector<Value> sums =
      sumBlock(b, level, x, product.weight, product.matrix, at);
  addBias(b, sums, at, n, epilogue.bias);
  addResidual(b, sums, at, n, epilogue.residual);
  storeBlock(b, sums, at, n, epilogue.out);
}

void qtale::buildMatmul(KernelBuilder &b, const Level &level, Activations x,
                        const Product &product) {
  forBlocks(b, b.dim(x.buffer, 0), product.matrix.n,
            blockShape(level, x, product.matrix),
            [&](OutputBlock at) { buildBlock(b, level, x, product, at); });
}

void qtale::buildJointMatmul(KernelBuilder &b, const Level &level,
                             Activations x, ArrayRef<Product> products) {
  int64_t groups = 0;
  for (const Product &product : products)
    groups += groupsOf(product.matrix.n);
  b.parallel(b.index(groups), [&](Value g) {
    // Group g is one of the first product's, or of the rest's.
    std::function<void(ArrayRef<Product>, Value)> build =
        [&](ArrayRef<Product> rest, Value g) {
          const Product &first = rest.front();
          Matrix matrix = first.matrix;
          Value own = b.index(groupsOf(matrix.n));
          auto here = [&] {
            forGroup(b, g, b.dim(x.buffer, 0), matrix.n,
                     blockShape(level, x, matrix), [&](OutputBlock at) {
                       buildBlock(b, level, x, first, at);
                     });
          };
          if (rest.size() == 1)
            return here();
          b.ifElse(b.less(g, own), here,
                   [&] { build(rest.drop_front(), b.sub(g, own)); });
        };
    build(products, g);
  });
}
