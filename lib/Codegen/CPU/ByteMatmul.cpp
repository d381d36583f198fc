//===- ByteMatmul.cpp - Products of 8-bit integers ------------------------===//
//
//   first, each row of x:    K signed bytes, padded | their sum      (scratch)
//   then, tile by tile:      dot = sum of x' w'                  (exact, wraps)
//
//   sum (x - zx) (w - zw)  =  dot - zw' sum(x') - zx' (sum(w') - K zw')
//
// x' and w' are the bytes as qtale.dot takes them: x' signed, w' unsigned or, where
// instructions multiply signed bytes only, signed. What x' and w' are less than x
// and w, so are zx' and zw'. Sums of w' come with the weights.
//
//===----------------------------------------------------------------------===//

#include "Kernels.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace mlir;
using namespace qtale;

namespace {

constexpr int64_t wordK = 4; // k that one dot takes
constexpr int64_t vectorBytes = wordK * lanes;
/// Tiles of a group: activations are read once for all of them.
constexpr int64_t groupTiles = 4;
/// Dots that run at once hide each other's latency, as far as registers go.
constexpr int64_t dotsAtOnce = 8;

class ByteBuilder {
public:
  ByteBuilder(KernelBuilder &b, const Level &level, const ByteProduct &product)
      : b(b), level(level), product(product), k(product.matrix.k),
        n(product.matrix.n) {}

  void prepareRows();
  void multiply();

private:
  Value add(Value a, Value c) { return arith::AddIOp::create(b, a, c); }
  Value sub(Value a, Value c) { return arith::SubIOp::create(b, a, c); }
  Value mul(Value a, Value c) { return arith::MulIOp::create(b, a, c); }
  Value splat(int64_t value) { return b.splat(b.i32(value)); }

  /// The other half of the bytes' range: what is unsigned becomes signed, 128
  /// less, and the other way around.
  Value flipped(Value bytes, int64_t size) {
    Value top = arith::ConstantOp::create(b, b.getI8IntegerAttr(-128));
    return arith::XOrIOp::create(b, bytes, b.splat(top, size));
  }
  Value scratchWord(Value row, Value at) {
    Value word = b.loadAs(b.getI32Type(), 1, product.scratch, {row, at});
    return vector::ExtractOp::create(b, word, 0);
  }
  Value tileAt(Value tile) {
    return b.mul(tile, product.matrix.packed.getTileBytes(k));
  }
  /// zx' of a row.
  Value inputZero(Value row);
  /// zw' of a tile's rows.
  Value weightZeros(Value tile);
  /// Dots of `rows` rows with a tile.
  SmallVector<Value> dots(Value row, int64_t rows, Value tile);
  /// What y takes besides them.
  void correct(Value row, Value tile, MutableArrayRef<Value> dots);

  KernelBuilder &b;
  const Level &level;
  const ByteProduct &product;
  int64_t k, n;
};

} // namespace

int64_t qtale::byteMatmulScratch(int64_t k) { return roundUp(k, wordK) + 4; }

void ByteBuilder::prepareRows() {
  b.parallel(b.dim(product.input, 0), [&](Value row) {
    auto values = [&](Value column, int64_t size) {
      Value bytes = b.load(product.input, {row, column}, size);
      return product.unsignedInput ? flipped(bytes, size) : bytes;
    };
    auto sumOf = [&](Value bytes, int64_t size) -> Value {
      return arith::ExtSIOp::create(b, b.i32x(size), bytes);
    };
    int64_t whole = k / lanes * lanes, rest = k - whole;
    Value sums = b.loop(b.index(0), b.index(whole), lanes, b.zeros(b.i32x()),
                        [&](Value column, ValueRange carried) {
                          Value bytes = values(column, lanes);
                          b.store(bytes, product.scratch, {row, column});
                          return SmallVector<Value>{
                              add(carried[0], sumOf(bytes, lanes))};
                        })[0];
    if (rest) {
      Value last = b.index(whole), bytes = values(last, rest);
      sums = add(sums, b.widen(sumOf(bytes, rest), lanes));
      bytes = b.widen(bytes, roundUp(rest, wordK));
      b.store(bytes, product.scratch, {row, last});
    }
    Value sum =
        vector::ReductionOp::create(b, vector::CombiningKind::ADD, sums);
    b.storeBytes(b.splat(sum, 1), product.scratch,
                 {row, b.index(roundUp(k, wordK))});
  });
}

Value ByteBuilder::inputZero(Value row) {
  Value zero = b.i32(0);
  if (product.inputZero) {
    bool one = cast<MemRefType>(product.inputZero.getType()).getDimSize(0) == 1;
    zero = b.loadScalar(product.inputZero, one ? b.index(0) : row);
  }
  return product.unsignedInput ? sub(zero, b.i32(128)) : zero;
}

Value ByteBuilder::weightZeros(Value tile) {
  bool flipsUp = !product.matrix.packed.getBytesType().isUnsigned();
  Value moved = splat((flipsUp ? 128 : 0) - (level.signedBytes ? 128 : 0));
  Value zero = product.weightZero;
  if (!zero)
    return moved;
  if (cast<MemRefType>(zero.getType()).getDimSize(0) == 1)
    return add(b.splat(b.loadScalar(zero, b.index(0))), moved);
  Value column = b.mul(tile, lanes);
  if (n % lanes == 0)
    return add(b.load(zero, column), moved);
  Value mask = vector::CreateMaskOp::create(
      b, VectorType::get({lanes}, b.getI1Type()), b.sub(b.index(n), column));
  return add(vector::MaskedLoadOp::create(b, b.i32x(), zero, column, mask,
                                          b.zeros(b.i32x())),
             moved);
}

SmallVector<Value> ByteBuilder::dots(Value row, int64_t rows, Value tile) {
  // Sums of every chains-th word; integers add up in any order.
  int64_t chains = std::max<int64_t>(1, dotsAtOnce / rows);
  int64_t words = roundUp(k, wordK) / wordK, even = words / chains * chains;
  Value first = b.add(tileAt(tile), PackedAttr::sumBytes);
  auto addWord = [&](Value word, MutableArrayRef<Value> sums) {
    Value weights = b.load(product.weight,
                           b.add(first, b.mul(word, vectorBytes)), vectorBytes);
    if (level.signedBytes)
      weights = flipped(weights, vectorBytes);
    for (auto [m, sum] : llvm::enumerate(sums))
      sum = DotOp::create(b, b.i32x(), weights,
                          scratchWord(b.add(row, m), b.mul(word, wordK)), sum,
                          b.getI64IntegerAttr(8),
                          level.signedBytes ? b.getUnitAttr() : UnitAttr(),
                          /*full_input=*/b.getUnitAttr());
  };
  SmallVector<Value> sums(rows * chains, b.zeros(b.i32x()));
  sums = b.loop(b.index(0), b.index(even), chains, sums,
                [&](Value word, ValueRange carried) {
                  SmallVector<Value> next(carried);
                  for (int64_t c = 0; c < chains; ++c)
                    addWord(b.add(word, c),
                            MutableArrayRef(next).slice(c * rows, rows));
                  return next;
                });
  for (int64_t word = even; word < words; ++word)
    addWord(b.index(word),
            MutableArrayRef(sums).slice((word - even) * rows, rows));
  for (int64_t i = rows; i < rows * chains; ++i)
    sums[i % rows] = add(sums[i % rows], sums[i]);
  sums.truncate(rows);
  return sums;
}

void ByteBuilder::correct(Value row, Value tile, MutableArrayRef<Value> dots) {
  Value zeros = weightZeros(tile);
  Value sums = b.loadAs(b.getI32Type(), lanes, product.weight, tileAt(tile));
  if (level.signedBytes)
    sums = sub(sums, splat(128 * k));
  Value weights = sub(sums, mul(splat(k), zeros));
  for (auto [m, dot] : llvm::enumerate(dots)) {
    Value at = b.add(row, m);
    Value sum = scratchWord(at, b.index(roundUp(k, wordK)));
    dot = sub(dot, mul(zeros, b.splat(sum)));
    dot = sub(dot, mul(b.splat(inputZero(at)), weights));
  }
}

void ByteBuilder::multiply() {
  const RegisterBlock shapes[] = {{8, 1}, {4, 1}, {2, 1}, {1, 1}};
  // Rows whose sums fit into registers.
  ArrayRef<RegisterBlock> fitting(shapes);
  while (fitting.front().rows > 2 * level.intRows)
    fitting = fitting.drop_front();
  forTileGroups(b, n, groupTiles, [&](Value first, int64_t count) {
    forRowBlocks(b, b.dim(product.input, 0), fitting,
                 [&](Value row, const RegisterBlock &shape) {
                   forTiles(b, count, 1, [&](Value next, int64_t) {
                     Value tile = b.add(first, next);
                     SmallVector<Value> sums = dots(row, shape.rows, tile);
                     correct(row, tile, sums);
                     storeBlock(b, sums, {row, shape.rows, tile, 1}, n,
                                product.out);
                   });
                 });
  });
}

void qtale::buildByteMatmul(KernelBuilder &b, const Level &level,
                            const ByteProduct &product) {
  ByteBuilder builder(b, level, product);
  builder.prepareRows();
  builder.multiply();
}
