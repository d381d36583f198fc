//===- Matmul.cpp - Products with packed weights --------------------------===//
//
//               a group of 4 tiles; a thread takes some groups
//            tile 0   tile 1   tile 2   tile 3
//   row 0   [ sums ] [ sums ] [ sums ] [ sums ]     a block: some rows, some
//   row 1   [ sums ] [ sums ] [ sums ] [ sums ]     tiles, all in registers
//
//   forSums (FloatMatmul.cpp, IntMatmul.cpp)  -->  + bias + residual  -->  out
//
//===----------------------------------------------------------------------===//

#include "Kernels.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace mlir;
using namespace qtale;

/// Tiles of a group: rows of activations are read once for all of them.
static constexpr int64_t groupTiles = 4;
/// A thread takes up to so many groups at once, as long as there are enough
/// chunks for all threads to end together: memory is read fastest in long runs.
static constexpr int64_t chunkGroups = 4, chunksPerThread = 4;

static int64_t tilesOf(int64_t n) { return roundUp(n, lanes) / lanes; }
static int64_t groupsOf(int64_t n, int64_t groupTiles) {
  return llvm::divideCeil(tilesOf(n), groupTiles);
}

/// body(first, count): the tiles of group `g` of n outputs.
static void inGroup(KernelBuilder &b, Value g, int64_t n, int64_t groupTiles,
                    function_ref<void(Value, int64_t)> body) {
  int64_t whole = tilesOf(n) / groupTiles, rest = tilesOf(n) % groupTiles;
  Value first = b.mul(g, groupTiles);
  if (!rest)
    body(first, groupTiles);
  else if (!whole)
    body(first, rest);
  else
    b.ifElse(
        b.less(g, b.index(whole)), [&] { body(first, groupTiles); },
        [&] { body(first, rest); });
}

/// body(g) for groups 0 … count - 1, in parallel, runs of them by one thread.
static void forGroups(KernelBuilder &b, int64_t count,
                      function_ref<void(Value)> body) {
  if (count == 0) // no outputs
    return;
  if (count == 1)
    return b.parallel(b.index(1), body);
  Value groups = b.index(count);
  Value run = b.divUp(groups, b.mul(b.threads(), chunksPerThread));
  run = b.min(run, b.index(chunkGroups));
  b.parallel(b.divUp(groups, run), [&](Value chunk) {
    Value first = arith::MulIOp::create(b, chunk, run);
    b.loop(first, b.min(b.add(first, run), groups), 1, body);
  });
}

void qtale::forTileGroups(KernelBuilder &b, int64_t n, int64_t groupTiles,
                          function_ref<void(Value, int64_t)> body) {
  forGroups(b, groupsOf(n, groupTiles),
            [&](Value g) { inGroup(b, g, n, groupTiles, body); });
}

void qtale::forRowBlocks(
    KernelBuilder &b, Value rows, ArrayRef<RegisterBlock> shapes,
    function_ref<void(Value, const RegisterBlock &)> body) {
  Value done = b.index(0);
  for (const RegisterBlock &shape : shapes) {
    Value until = rows;
    if (shape.rows > 1) {
      Value left = b.sub(rows, done);
      // What the largest of the others takes in one piece is left to it.
      if (&shape == shapes.begin() && shapes.size() > 1 &&
          shapes[1].rows > shape.rows)
        left = b.sub(left, b.min(left, b.index(shape.rows)));
      until = b.add(done, b.mul(b.div(left, shape.rows), shape.rows));
    }
    b.loop(done, until, shape.rows, [&](Value row) { body(row, shape); });
    done = until;
  }
}

void qtale::forTiles(KernelBuilder &b, int64_t count, int64_t step,
                     function_ref<void(Value, int64_t)> body) {
  int64_t even = count / step * step;
  b.loop(0, even, step, [&](Value tile) { body(tile, step); });
  if (even < count)
    body(b.index(even), count - even);
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

void qtale::forSums(KernelBuilder &b, const Level &level, Activations x,
                    Value weight, Matrix matrix, OutputBlock at, Value scratch,
                    SumsBody body) {
  if (matrix.packed.getScheme())
    return forIntSums(b, level, x, weight, matrix, at, scratch, body);
  SmallVector<Value> sums = sumFloat(b, x.buffer, weight, matrix, at);
  body(at, sums);
}

SmallVector<RegisterBlock> qtale::blockShapes(const Level &level, Activations x,
                                              Matrix matrix) {
  // A single row needs some tiles to hide the latency of a multiply-add. With
  // integers there is enough else to do, and memory is fastest as one ascending
  // stream: a tile at a time.
  if (!matrix.packed.getScheme())
    return {level.floatBlock, {1, groupTiles}};
  // Integers that become floats cost more than a multiply-add: many rows share
  // them, or as many as there are registers for.
  if (!x.format) {
    auto [rows, tiles] = level.floatBlock;
    SmallVector<RegisterBlock> shapes = {{wideRows, tiles}, {rows * tiles, 1}};
    if (tiles > 1)
      shapes.push_back({rows, 1});
    shapes.push_back({1, tiles});
    return shapes;
  }
  // The last block takes all rows that are left, fewer than two blocks: single
  // rows at the end would each unpack the weights again. Where there are
  // registers for two rows only, a third would spill.
  int64_t rows = level.intRows;
  SmallVector<RegisterBlock> shapes = {{rows, 1}};
  for (int64_t last = rows > 2 ? 2 * rows - 1 : rows - 1; last > 0; --last)
    shapes.push_back({last, 1});
  return shapes;
}

/// One product's rows and tiles [first, first + count), from sums to memory.
static void buildTiles(KernelBuilder &b, const Level &level, Activations x,
                       const Product &product, Value scratch, Value first,
                       int64_t count) {
  const Matrix &matrix = product.matrix;
  const Epilogue &epilogue = product.epilogue;
  forRowBlocks(
      b, b.dim(x.buffer, 0), blockShapes(level, x, matrix),
      [&](Value row, const RegisterBlock &shape) {
        forTiles(b, count, shape.tiles, [&](Value tile, int64_t tiles) {
          OutputBlock at{row, shape.rows, b.add(first, tile), tiles};
          forSums(b, level, x, product.weight, matrix, at, scratch,
                  [&](OutputBlock part, MutableArrayRef<Value> sums) {
                    addBias(b, sums, part, matrix.n, epilogue.bias);
                    addResidual(b, sums, part, matrix.n, epilogue.residual);
                    storeBlock(b, sums, part, matrix.n, epilogue.out);
                  });
        });
      });
}

void qtale::buildMatmul(KernelBuilder &b, const Level &level, Activations x,
                        const Product &product) {
  Value scratch = sumsScratch(b, level, x, product.matrix);
  forTileGroups(b, product.matrix.n, groupTiles,
                [&](Value first, int64_t count) {
                  buildTiles(b, level, x, product, scratch, first, count);
                });
}

void qtale::buildJointMatmul(KernelBuilder &b, const Level &level,
                             Activations x, ArrayRef<Product> products) {
  int64_t groups = 0;
  Value scratch;
  for (const Product &product : products) {
    groups += groupsOf(product.matrix.n, groupTiles);
    if (!scratch)
      scratch = sumsScratch(b, level, x, product.matrix);
  }
  forGroups(b, groups, [&](Value g) {
    // Group g is one of the first product's, or of the rest's.
    std::function<void(ArrayRef<Product>, Value)> build =
        [&](ArrayRef<Product> rest, Value g) {
          const Product &front = rest.front();
          int64_t n = front.matrix.n;
          auto here = [&] {
            inGroup(b, g, n, groupTiles, [&](Value first, int64_t count) {
              buildTiles(b, level, x, front, scratch, first, count);
            });
          };
          if (rest.size() == 1)
            return here();
          Value own = b.index(groupsOf(n, groupTiles));
          b.ifElse(b.less(g, own), here,
                   [&] { build(rest.drop_front(), b.sub(g, own)); });
        };
    build(products, g);
  });
}
