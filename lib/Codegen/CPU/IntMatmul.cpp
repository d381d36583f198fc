//===- IntMatmul.cpp - Matmul with integer weights ------------------------===//
//
//   a block of 32 k:   dot = sum q * x        (int32, exact)
//                      sum += (dot - zero * sum(x)) * (scale_w * scale_x)
//
// The zero point leaves the inner product: sum(x) of each block comes with the
// activations. With float activations weights become f32: in registers for a few
// rows, in scratch for many. Where instructions multiply signed bytes only, q and
// zero are both 128 less.
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
  int64_t stepBytes() const { return blockK * lanes * scheme.getBits() / 8; }

  /// Where a group begins.
  Value at(Value tile, Value group) {
    Value first = b.mul(tile, matrix.packed.getTileBytes(matrix.k));
    return b.add(first, b.mul(group, matrix.packed.getGroupBytes()));
  }
  Value scales(Value group) {
    return b.toF32(b.loadAs(scheme.getScales(), lanes, weight, group));
  }
  /// Zero points as i32.
  Value zeros(Value group) {
    if (!scheme.getAsymmetric())
      return b.splat(b.i32(1 << (scheme.getBits() - 1)));
    Value at = b.add(group, matrix.packed.getZerosOffset());
    return arith::ExtUIOp::create(b, b.i32x(), b.load(weight, at));
  }
  /// Bytes of 32 k of a group, as they lie: 4 vectors, or 8.
  SmallVector<Value> raw(Value group, Value step) {
    SmallVector<Value> vectors;
    Value at = b.add(b.add(group, b.mul(step, stepBytes())),
                     matrix.packed.getValuesOffset());
    for (int64_t i = 0; i < stepBytes(); i += vectorBytes)
      vectors.push_back(b.load(weight, b.add(at, i), vectorBytes));
    return vectors;
  }

  /// Carries `sums` over the steps [0, count) of a group; one step is no loop.
  SmallVector<Value> forSteps(int64_t count, SmallVector<Value> sums,
                              KernelBuilder::Carried body) {
    if (count == 1)
      return body(b.index(0), sums);
    return b.loop(b.index(0), b.index(count), 1, sums, body);
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

/// 32 k of a group in 8 vectors, each with 4 k of every row; with 4 bits, low and
/// high halves alternate.
SmallVector<Value> unpack(KernelBuilder &b, Reader &reader, Value group,
                          Value step, bool signedBytes) {
  SmallVector<Value> vectors = reader.raw(group, step);
  if (reader.nibbles()) {
    SmallVector<Value> both;
    for (Value vector : vectors) {
      auto [low, high] = splitNibbles(b, vector);
      both.append({low, high});
    }
    return both;
  }
  if (signedBytes) {
    Value top = b.splat(arith::ConstantOp::create(b, b.getI8IntegerAttr(-128)),
                        vectorBytes);
    for (Value &vector : vectors)
      vector = arith::XOrIOp::create(b, vector, top);
  }
  return vectors;
}

/// `start` and the sum over the block of q * x, a lane for each output. One chain:
/// it begins anew with each block, so that blocks overlap, and needs few registers.
Value dotBlock(KernelBuilder &b, ArrayRef<Value> weights, int64_t bits,
               bool signedBytes, BlockInput x, Value start) {
  UnitAttr isSigned = signedBytes ? b.getUnitAttr() : UnitAttr();
  Value sum = start;
  for (auto [i, vector] : llvm::enumerate(weights)) {
    int64_t k = bits == 4 ? i / 2 * 4 + i % 2 * blockK / 2 : 4 * i;
    sum = DotOp::create(b, b.i32x(), vector, x.word(k), sum,
                        b.getI64IntegerAttr(bits), isSigned,
                        /*full_input=*/UnitAttr());
  }
  return sum;
}

SmallVector<Value> sumIntInt(KernelBuilder &b, const Level &level, Value input,
                             IntRowsAttr format, Reader reader,
                             OutputBlock out) {
  int64_t paddedK = format.getPaddedK(reader.matrix.k);
  int64_t groupK = reader.scheme.getGroup(), steps = groupK / blockK;
  bool signedBytes = level.signedBytes && !reader.nibbles();
  SmallVector<Value> sums(out.rows, b.zeros(b.f32x()));
  return b.loop(
      b.index(0), b.index(paddedK / groupK), 1, sums,
      [&](Value group, ValueRange carried) {
        Value at = reader.at(out.tile, group);
        Value scales = reader.scales(at), zeros = reader.zeros(at);
        if (signedBytes)
          zeros = arith::SubIOp::create(b, zeros, b.splat(b.i32(128)));
        zeros = arith::SubIOp::create(b, b.zeros(b.i32x()), zeros);
        return reader.forSteps(
            steps, SmallVector<Value>(carried),
            [&](Value step, ValueRange inner) {
              SmallVector<Value> next(inner);
              SmallVector<Value> weights =
                  unpack(b, reader, at, step, signedBytes);
              Value block = b.add(b.mul(group, steps), step);
              for (int64_t m = 0; m < out.rows; ++m) {
                BlockInput x{b, input, b.add(out.row, m), block, paddedK};
                Value start = arith::MulIOp::create(b, zeros, b.splat(x.sum()));
                Value dot = dotBlock(b, weights, reader.scheme.getBits(),
                                     signedBytes, x, start);
                Value scale =
                    arith::MulFOp::create(b, scales, b.splat(x.scale()));
                next[m] = b.fma(arith::SIToFPOp::create(b, b.f32x(), dot),
                                scale, next[m]);
              }
              return next;
            });
      });
}

//===----------------------------------------------------------------------===//
// Float activations
//===----------------------------------------------------------------------===//

/// A group of some tiles: where it begins in each, scales and zero points.
struct GroupOfTiles {
  GroupOfTiles(KernelBuilder &b, Reader &reader, OutputBlock out, Value group)
      : group(group) {
    for (int64_t t = 0; t < out.tiles; ++t) {
      at.push_back(reader.at(b.add(out.tile, t), group));
      scales.push_back(reader.scales(at.back()));
      zeros.push_back(reader.zeros(at.back()));
    }
  }
  Value group;
  SmallVector<Value> at, scales, zeros;
};

/// The first `size` of the k from 4 `quad` on of tile t's group, as floats.
SmallVector<Value> floatsOf(KernelBuilder &b, Reader &reader,
                            const GroupOfTiles &tiles, int64_t t, Value quad,
                            int64_t size) {
  // Which vector, and with 4 bits which half; see QTale_PackedAttr.
  Value index = quad, half;
  if (reader.nibbles()) {
    Value inStep = b.rem(quad, 8);
    index = b.add(b.mul(b.div(quad, 8), 4), b.rem(inStep, 4));
    half = arith::IndexCastOp::create(b, b.getI32Type(),
                                      b.mul(b.div(inStep, 4), 4));
  }
  Value at = b.add(b.add(tiles.at[t], b.mul(index, vectorBytes)),
                   reader.matrix.packed.getValuesOffset());
  // A lane's 4 bytes as one integer.
  Value word = vector::BitCastOp::create(
      b, b.i32x(), b.load(reader.weight, at, vectorBytes));
  if (half)
    word = arith::ShRUIOp::create(b, word, b.splat(half));
  Value mask = b.splat(b.i32((1 << reader.scheme.getBits()) - 1));
  SmallVector<Value> floats;
  for (int64_t k = 0; k < size; ++k) {
    Value q = arith::ShRUIOp::create(b, word, b.splat(b.i32(8 * k)));
    q = arith::SubIOp::create(b, arith::AndIOp::create(b, q, mask),
                              tiles.zeros[t]);
    floats.push_back(arith::MulFOp::create(
        b, arith::SIToFPOp::create(b, b.f32x(), q), tiles.scales[t]));
  }
  return floats;
}

/// Adds the first `size` of the k from 4 `quad` on of a group.
void addQuad(KernelBuilder &b, Reader &reader, Value input, OutputBlock out,
             const GroupOfTiles &tiles, Value quad, int64_t size,
             MutableArrayRef<Value> sums) {
  Value column =
      b.add(b.mul(tiles.group, reader.scheme.getGroup()), b.mul(quad, 4));
  SmallVector<Value> x;
  for (int64_t k = 0; k < size; ++k)
    for (int64_t m = 0; m < out.rows; ++m)
      x.push_back(
          b.splat(b.loadScalar(input, {b.add(out.row, m), b.add(column, k)})));
  for (int64_t t = 0; t < out.tiles; ++t)
    for (auto [k, w] :
         llvm::enumerate(floatsOf(b, reader, tiles, t, quad, size)))
      for (int64_t m = 0; m < out.rows; ++m) {
        Value &sum = sums[m * out.tiles + t];
        sum = b.fma(x[k * out.rows + m], w, sum);
      }
}

SmallVector<Value> sumIntFloat(KernelBuilder &b, Value input, Reader reader,
                               OutputBlock out) {
  int64_t k = reader.matrix.k, groupK = reader.scheme.getGroup();
  int64_t whole = k / groupK, rest = k % groupK;
  auto addQuads = [&](const GroupOfTiles &tiles, int64_t count,
                      ValueRange sums) {
    return b.loop(b.index(0), b.index(count), 1, SmallVector<Value>(sums),
                  [&](Value quad, ValueRange carried) {
                    SmallVector<Value> next(carried);
                    addQuad(b, reader, input, out, tiles, quad, 4, next);
                    return next;
                  });
  };
  SmallVector<Value> sums(out.rows * out.tiles, b.zeros(b.f32x()));
  if (whole)
    sums = b.loop(b.index(0), b.index(whole), 1, sums,
                  [&](Value group, ValueRange carried) {
                    GroupOfTiles tiles(b, reader, out, group);
                    return addQuads(tiles, groupK / 4, carried);
                  });
  if (!rest)
    return sums;
  // The last group, in part: float activations are not padded.
  GroupOfTiles tiles(b, reader, out, b.index(whole));
  if (rest >= 4)
    sums = addQuads(tiles, rest / 4, sums);
  if (rest % 4)
    addQuad(b, reader, input, out, tiles, b.index(rest / 4), rest % 4, sums);
  return sums;
}

/// Vectors of floats that lie in scratch at once, small enough for the nearest
/// caches: those of whole groups of some tiles.
constexpr int64_t panelVectors = 512;

/// Many rows by some tiles: floats are made once for all of them.
///
///   for each panel of k:   floats[tile][k][16] = (q - zero) * scale
///                          for a few rows:   sums[row][tile][16] += x * floats
///
/// Few rows at a time: where lines of x are a power of two apart, many would
/// evict each other.
class WideBlock {
public:
  WideBlock(KernelBuilder &b, int64_t partRows, Value input, Reader reader,
            OutputBlock out, Value scratch)
      : b(b), partRows(partRows), input(input), reader(reader), out(out),
        scratch(scratch),
        panelK(panelVectors / out.tiles / reader.scheme.getGroup() *
               reader.scheme.getGroup()) {}

  void sum(SumsBody body) {
    int64_t k = reader.matrix.k;
    b.loop(0, out.rows * out.tiles, 1,
           [&](Value i) { b.store(b.zeros(b.f32x()), scratch, atSum(i)); });
    b.loop(0, k / panelK, 1, [&](Value panel) { addPanel(panel, panelK); });
    if (k % panelK)
      addPanel(b.index(k / panelK), k % panelK);
    forParts([&](Value first, SmallVector<Value> sums) {
      body({b.add(out.row, first), partRows, out.tile, out.tiles}, sums);
    });
  }

private:
  void addPanel(Value panel, int64_t size) {
    int64_t groupK = reader.scheme.getGroup();
    Value firstGroup = b.mul(panel, panelK / groupK);
    b.loop(0, llvm::divideCeil(size, groupK), 1, [&](Value g) {
      GroupOfTiles tiles(b, reader, out, b.add(firstGroup, g));
      b.loop(0, groupK / 4, 1, [&](Value quad) {
        Value k = b.add(b.mul(g, groupK), b.mul(quad, 4));
        for (int64_t t = 0; t < out.tiles; ++t)
          for (auto [i, w] :
               llvm::enumerate(floatsOf(b, reader, tiles, t, quad, 4)))
            b.store(w, scratch, atFloats(t, b.add(k, i)));
      });
    });
    Value firstK = b.mul(panel, panelK);
    forParts([&](Value first, SmallVector<Value> sums) {
      sums = b.loop(
          b.index(0), b.index(size), 1, sums, [&](Value k, ValueRange carried) {
            return multiply(b.add(out.row, first), firstK, k, carried);
          });
      for (auto [i, sum] : llvm::enumerate(sums))
        b.store(sum, scratch, atSum(b.add(b.mul(first, out.tiles), i)));
    });
  }

  SmallVector<Value> multiply(Value row, Value firstK, Value k,
                              ValueRange sums) {
    SmallVector<Value> x, next(sums);
    for (int64_t m = 0; m < partRows; ++m)
      x.push_back(
          b.splat(b.loadScalar(input, {b.add(row, m), b.add(firstK, k)})));
    for (int64_t t = 0; t < out.tiles; ++t) {
      Value w = b.load(scratch, atFloats(t, k));
      for (int64_t m = 0; m < partRows; ++m) {
        Value &sum = next[m * out.tiles + t];
        sum = b.fma(x[m], w, sum);
      }
    }
    return next;
  }

  /// body(first row of the block, its sums and those of the next rows)
  void forParts(function_ref<void(Value, SmallVector<Value>)> body) {
    b.loop(0, out.rows, partRows, [&](Value first) {
      SmallVector<Value> sums;
      for (int64_t i = 0; i < partRows * out.tiles; ++i)
        sums.push_back(
            b.load(scratch, atSum(b.add(b.mul(first, out.tiles), i))));
      body(first, sums);
    });
  }

  // Rows of scratch.
  SmallVector<Value> atFloats(int64_t tile, Value k) {
    return {b.add(k, tile * panelK), b.index(0)};
  }
  SmallVector<Value> atSum(Value i) {
    return {b.add(i, panelVectors), b.index(0)};
  }

  KernelBuilder &b;
  int64_t partRows;
  Value input;
  Reader reader;
  OutputBlock out;
  Value scratch;
  int64_t panelK;
};

} // namespace

Value qtale::sumsScratch(KernelBuilder &b, const Level &level, Activations x,
                         Matrix matrix) {
  if (!matrix.packed.getScheme() || x.format)
    return {};
  return b.scratch(panelVectors + wideRows * level.floatBlock.tiles);
}

void qtale::forIntSums(KernelBuilder &b, const Level &level, Activations x,
                       Value weight, Matrix matrix, OutputBlock at,
                       Value scratch, SumsBody body) {
  Reader reader{b, weight, matrix};
  assert((!x.format || at.tiles == 1) && "see blockShapes");
  if (!x.format && at.rows == wideRows)
    return WideBlock(b, level.floatBlock.rows, x.buffer, reader, at, scratch)
        .sum(body);
  SmallVector<Value> sums =
      x.format ? sumIntInt(b, level, x.buffer, x.format, reader, at)
               : sumIntFloat(b, x.buffer, reader, at);
  body(at, sums);
}
