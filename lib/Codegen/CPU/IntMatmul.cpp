//===- IntMatmul.cpp - Matmul with integer weights ------------------------===//
//
//   a block of 32 k:   dot = sum q * x        (int32, exact)
//                      sum += (dot - zero * sum(x)) * (scale_w * scale_x)
//
// The zero point leaves the inner product: sum(x) of each block comes with the
// activations. With float activations weights become f32 in registers. Where
// instructions multiply signed bytes only, q and zero are both 128 less.
//
//===----------------------------------------------------------------------===//

#include "Kernels.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace mlir;
using namespace qtale;

namespace {

constexpr int64_t blockK = IntRowsAttr::block;
constexpr int64_t vectorBytes = 4 * lanes; // a register of weights: 4 k a lane

/// Reads a packed integer matrix.
struct Reader {
  KernelBuilder &b;
  Value weight;
  Matrix matrix;
  IntAttr scheme = matrix.packed.getScheme();

  bool nibbles() const { return scheme.getBits() == 4; }
  int64_t blockBytes() const { return blockK * lanes * scheme.getBits() / 8; }

  /// Bytes of the block, as they lie: 4 vectors, or 8.
  SmallVector<Value> raw(Value tile, Value block) {
    SmallVector<Value> vectors;
    Value at = b.add(tile, b.mul(block, blockBytes()));
    for (int64_t i = 0; i < blockBytes(); i += vectorBytes)
      vectors.push_back(b.load(weight, b.add(at, i), vectorBytes));
    return vectors;
  }
  Value group(Value block) { return b.div(block, scheme.getGroup() / blockK); }
  Value scales(Value tile, Value block) {
    Value at = b.add(b.mul(group(block), 2 * lanes),
                     matrix.packed.getScalesOffset(matrix.k));
    return b.toF32(b.loadAs(b.getF16Type(), lanes, weight, b.add(tile, at)));
  }
  /// Zero points as i32.
  Value zeros(Value tile, Value block) {
    if (!scheme.getAsymmetric())
      return b.splat(b.i32(1 << (scheme.getBits() - 1)));
    Value at = b.add(b.mul(group(block), lanes),
                     matrix.packed.getZerosOffset(matrix.k));
    return arith::ExtUIOp::create(b, b.i32x(), b.load(weight, b.add(tile, at)));
  }
};

/// The low and high halves of bytes.
std::pair<Value, Value> splitNibbles(KernelBuilder &b, Value bytes) {
  auto constant = [&](int64_t value) {
    return b.splat(arith::ConstantOp::create(b, b.getI8IntegerAttr(value)),
                   vectorBytes);
  };
  return {arith::AndIOp::create(b, bytes, constant(15)),
          arith::ShRUIOp::create(b, bytes, constant(4))};
}

//===----------------------------------------------------------------------===//
// int8 activations
//===----------------------------------------------------------------------===//

/// Activations of one row and block.
struct BlockInput {
  KernelBuilder &b;
  Value input, row, block;
  int64_t paddedK;

  /// 4 consecutive values, from `offset` in the block, as one i32.
  Value word(int64_t offset) {
    return scalar(b.getI32Type(), b.add(b.mul(block, blockK), offset));
  }
  Value scale() {
    return scalar(b.getF32Type(), b.add(b.mul(block, 4), paddedK));
  }
  Value sum() {
    return scalar(b.getI32Type(),
                  b.add(b.mul(block, 4), paddedK + paddedK / 8));
  }
  Value scalar(Type type, Value at) {
    return vector::ExtractOp::create(b, b.loadAs(type, 1, input, {row, at}), 0);
  }
};

/// Takes 128 from bytes and their zero points: q - zero stays.
void makeSigned(KernelBuilder &b, MutableArrayRef<Value> vectors,
                Value &zeros) {
  Value top = b.splat(arith::ConstantOp::create(b, b.getI8IntegerAttr(-128)),
                      vectorBytes);
  for (Value &vector : vectors)
    vector = arith::XOrIOp::create(b, vector, top);
  zeros = arith::SubIOp::create(b, zeros, b.splat(b.i32(128)));
}

/// sum over the block of q * x, a lane for each output, in two chains.
Value dotBlock(KernelBuilder &b, ArrayRef<Value> vectors, bool nibbles,
               bool signedBytes, BlockInput x) {
  UnitAttr isSigned = signedBytes ? b.getUnitAttr() : UnitAttr();
  Value sums[2] = {b.zeros(b.i32x()), b.zeros(b.i32x())};
  for (auto [j, vector] : llvm::enumerate(vectors)) {
    auto step = [&](int chain, Value weights, int64_t offset, int64_t bits) {
      sums[chain] =
          DotOp::create(b, b.i32x(), weights, x.word(offset), sums[chain],
                        b.getI64IntegerAttr(bits), isSigned);
    };
    if (nibbles) {
      auto [low, high] = splitNibbles(b, vector);
      step(0, low, 4 * j, 4);
      step(1, high, 16 + 4 * j, 4);
    } else {
      step(j % 2, vector, 4 * j, 8);
    }
  }
  return arith::AddIOp::create(b, sums[0], sums[1]);
}

SmallVector<Value> sumIntInt(KernelBuilder &b, const Level &level, Value input,
                             IntRowsAttr format, Reader reader,
                             OutputBlock at) {
  Matrix matrix = reader.matrix;
  int64_t paddedK = format.getPaddedK(matrix.k);
  int64_t tileBytes = matrix.packed.getTileBytes(matrix.k);
  bool signedBytes = level.signedBytes && !reader.nibbles();
  Value base = b.mul(at.tile, tileBytes);
  SmallVector<Value> sums(at.rows * at.tiles, b.zeros(b.f32x()));
  return b.loop(
      b.index(0), b.index(paddedK / blockK), 1, sums,
      [&](Value block, ValueRange carried) {
        SmallVector<Value> next(carried);
        for (int64_t t = 0; t < at.tiles; ++t) {
          Value tile = b.add(base, t * tileBytes);
          SmallVector<Value> vectors = reader.raw(tile, block);
          Value scales = reader.scales(tile, block);
          Value zeros = reader.zeros(tile, block);
          if (signedBytes)
            makeSigned(b, vectors, zeros);
          for (int64_t m = 0; m < at.rows; ++m) {
            BlockInput x{b, input, b.add(at.row, m), block, paddedK};
            Value dot = dotBlock(b, vectors, reader.nibbles(), signedBytes, x);
            Value shift = arith::MulIOp::create(b, zeros, b.splat(x.sum()));
            dot = arith::SubIOp::create(b, dot, shift);
            Value scale = arith::MulFOp::create(b, scales, b.splat(x.scale()));
            Value &sum = next[m * at.tiles + t];
            sum = b.fma(arith::SIToFPOp::create(b, b.f32x(), dot), scale, sum);
          }
        }
        return next;
      });
}

//===----------------------------------------------------------------------===//
// Float activations
//===----------------------------------------------------------------------===//

/// Adds the first `size` k of a block to the sums of all rows and one tile.
void addFloatBlock(KernelBuilder &b, Reader &reader, Value input, Value row,
                   int64_t rows, Value tile, Value block, int64_t size,
                   MutableArrayRef<Value> sums) {
  SmallVector<Value> vectors = reader.raw(tile, block);
  Value scales = reader.scales(tile, block), zeros = reader.zeros(tile, block);
  int64_t bits = reader.scheme.getBits();
  for (int64_t k = 0; k < size; ++k) {
    // A lane's 4 bytes as one integer; see QTale_PackedAttr.
    int64_t j = reader.nibbles() ? k % 16 / 4 : k / 4;
    int64_t shift = k % 4 * 8 + (reader.nibbles() ? k / 16 * 4 : 0);
    Value q = vector::BitCastOp::create(b, b.i32x(), vectors[j]);
    q = arith::ShRUIOp::create(b, q, b.splat(b.i32(shift)));
    q = arith::AndIOp::create(b, q, b.splat(b.i32((1 << bits) - 1)));
    q = arith::SubIOp::create(b, q, zeros);
    Value w = arith::MulFOp::create(b, arith::SIToFPOp::create(b, b.f32x(), q),
                                    scales);
    Value column = b.add(b.mul(block, blockK), k);
    for (int64_t m = 0; m < rows; ++m)
      sums[m] = b.fma(b.splat(b.loadScalar(input, {b.add(row, m), column})), w,
                      sums[m]);
  }
}

SmallVector<Value> sumIntFloat(KernelBuilder &b, Value input, Reader reader,
                               OutputBlock at) {
  Matrix matrix = reader.matrix;
  int64_t whole = matrix.k / blockK, rest = matrix.k % blockK;
  int64_t tileBytes = matrix.packed.getTileBytes(matrix.k);
  SmallVector<Value> all(at.rows * at.tiles);
  // One tile after the other: a loop of one keeps the code small.
  for (int64_t t = 0; t < at.tiles; ++t) {
    Value base = b.mul(b.add(at.tile, t), tileBytes);
    SmallVector<Value> sums(at.rows, b.zeros(b.f32x()));
    if (whole)
      sums = b.loop(b.index(0), b.index(whole), 1, sums,
                    [&](Value block, ValueRange carried) {
                      SmallVector<Value> next(carried);
                      addFloatBlock(b, reader, input, at.row, at.rows, base,
                                    block, blockK, next);
                      return next;
                    });
    if (rest)
      addFloatBlock(b, reader, input, at.row, at.rows, base, b.index(whole),
                    rest, sums);
    for (int64_t m = 0; m < at.rows; ++m)
      all[m * at.tiles + t] = sums[m];
  }
  return all;
}

} // namespace

SmallVector<Value> qtale::sumInt(KernelBuilder &b, const Level &level,
                                 Activations x, Value weight, Matrix matrix,
                                 OutputBlock at) {
  Reader reader{b, weight, matrix};
  if (x.format)
    return sumIntInt(b, level, x.buffer, x.format, reader, at);
  return sumIntFloat(b, x.buffer, reader, at);
}
