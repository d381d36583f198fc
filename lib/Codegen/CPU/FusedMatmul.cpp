//===- FusedMatmul.cpp - A function of several products -------------------===//
//
//   gate:  [ sums ] ─ + bias ─┐
//                             ├─ function ─▶ out
//   up:    [ sums ] ─ + bias ─┘
//
// The sums of a group of tiles are made one weight after the other, so that each
// has all registers and is read in a long run; finished ones wait in a thread's
// scratch.
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

/// Even, since two tiles are a block of 32 activations.
static constexpr int64_t groupTiles = 8;

namespace {

/// Rows by tiles of a group.
class FusedBlock {
public:
  /// `scratch` is this thread's: [weights][rows * groupTiles, 16].
  FusedBlock(KernelBuilder &b, const Level &level, Activations x,
             const FusedProduct &product, ArrayRef<Value> scratch)
      : b(b), level(level), x(x), product(product), scratch(scratch),
        inner(sumsScratch(b, level, x, product.matrix)) {}

  /// Sums are made `step` tiles at a time.
  void build(OutputBlock at, int64_t step, Activations out) {
    for (int64_t i = 0, e = product.weights.size(); i < e; ++i)
      sumWeight(i, at, step);
    int64_t n = product.matrix.n;
    if (!out.format)
      return b.loop(0, at.tiles, 1, [&](Value t) {
        forRows(at.rows, [&](Value m) {
          storeBlock(b, finish(m, t),
                     {b.add(at.row, m), 1, b.add(at.tile, t), 1}, n,
                     out.buffer);
        });
      });
    b.loop(0, at.tiles, 2, [&](Value t) {
      forRows(at.rows, [&](Value m) {
        storeQuantized(b, b.concat(finish(m, t), finish(m, b.add(t, 1))),
                       b.add(at.row, m), b.div(b.add(at.tile, t), 2), n, out);
      });
    });
  }

private:
  /// A few rows of straight code, many as a loop.
  void forRows(int64_t rows, KernelBuilder::Body body) {
    if (rows == wideRows)
      return b.loop(0, rows, 1, body);
    for (int64_t m = 0; m < rows; ++m)
      body(b.index(m));
  }
  /// Sums of all tiles, with the bias, to scratch.
  void sumWeight(int64_t i, OutputBlock at, int64_t step) {
    forTiles(b, at.tiles, step, [&](Value t, int64_t tiles) {
      OutputBlock part{at.row, at.rows, b.add(at.tile, t), tiles};
      forSums(b, level, x, product.weights[i], product.matrix, part, inner,
              [&](OutputBlock some, MutableArrayRef<Value> sums) {
                if (!product.biases.empty())
                  addBias(b, sums, some, product.matrix.n, product.biases[i]);
                Value first = b.sub(some.row, at.row);
                for (int64_t m = 0; m < some.rows; ++m)
                  for (int64_t s = 0; s < tiles; ++s)
                    b.store(sums[m * tiles + s], scratch[i],
                            place(b.add(first, m), b.add(t, s)));
              });
    });
  }

  SmallVector<Value> place(Value m, Value t) {
    return {b.add(t, b.mul(m, groupTiles)), b.index(0)};
  }
  /// The function's value for row m, tile t.
  Value finish(Value m, Value t) {
    SmallVector<Value> sums = llvm::map_to_vector(
        scratch, [&](Value each) { return b.load(each, place(m, t)); });
    return applyFunction(b, *product.function, sums);
  }

  KernelBuilder &b;
  const Level &level;
  Activations x;
  const FusedProduct &product;
  ArrayRef<Value> scratch;
  Value inner; // what sums themselves need
};

} // namespace

void qtale::buildFusedMatmul(KernelBuilder &b, const Level &level,
                             Activations x, const FusedProduct &product,
                             Activations out) {
  SmallVector<RegisterBlock> shapes = blockShapes(level, x, product.matrix);
  int64_t rows = 0;
  for (const RegisterBlock &shape : shapes)
    rows = std::max(rows, shape.rows);
  SmallVector<Value> scratch;
  for (size_t i = 0; i < product.weights.size(); ++i)
    scratch.push_back(b.scratch(rows * groupTiles));
  FusedBlock block(b, level, x, product, scratch);
  forTileGroups(b, product.matrix.n, groupTiles,
                [&](Value first, int64_t count) {
                  forRowBlocks(b, b.dim(x.buffer, 0), shapes,
                               [&](Value row, const RegisterBlock &shape) {
                                 block.build({row, shape.rows, first, count},
                                             shape.tiles, out);
                               });
                });
}
