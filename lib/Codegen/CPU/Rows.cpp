//===- Rows.cpp - Rows looked up, copied, quantized -----------------------===//

#include "Kernels.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;
using namespace qtale;

//===----------------------------------------------------------------------===//
// Embedding: one lane of a packed tile
//===----------------------------------------------------------------------===//

/// Element k of a row whose tile begins at `tile`, lane `lane`; as f32.
static Value loadPacked(KernelBuilder &b, Value table, Matrix matrix,
                        Value tile, Value lane, Value k) {
  auto byte = [&](Value at) -> Value {
    return arith::ExtUIOp::create(b, b.getI32Type(), b.loadScalar(table, at));
  };
  auto scalar = [&](Type type, Value at) -> Value {
    return vector::ExtractOp::create(b, b.loadAs(type, 1, table, at), 0);
  };

  IntAttr scheme = matrix.packed.getScheme();
  if (!scheme) {
    FloatType type = matrix.packed.getFloat();
    Value at = b.add(b.mul(k, lanes), lane);
    return b.toF32(scalar(type, b.add(tile, b.mul(at, type.getWidth() / 8))));
  }

  // Group, in it a step of 32 k, in that (4-bit) half, vector j, byte i; see
  // QTale_PackedAttr.
  Value group = b.add(
      tile, b.mul(b.div(k, scheme.getGroup()), matrix.packed.getGroupBytes()));
  Value step = b.div(b.rem(k, scheme.getGroup()), 32), in = b.rem(k, 32);
  bool nibbles = scheme.getBits() == 4;
  Value j = nibbles ? b.div(b.rem(in, 16), 4) : b.div(in, 4);
  Value at = b.add(b.mul(step, 32 * lanes * scheme.getBits() / 8),
                   matrix.packed.getValuesOffset());
  at = b.add(at,
             b.add(b.mul(j, 4 * lanes), b.add(b.mul(lane, 4), b.rem(in, 4))));
  Value q = byte(b.add(group, at));
  if (nibbles) {
    Value shift =
        arith::IndexCastOp::create(b, b.getI32Type(), b.mul(b.div(in, 16), 4));
    q = arith::AndIOp::create(b, arith::ShRUIOp::create(b, q, shift),
                              b.i32(15));
  }
  Value zero = b.i32(1 << (scheme.getBits() - 1));
  if (scheme.getAsymmetric())
    zero = byte(b.add(group, b.add(lane, matrix.packed.getZerosOffset())));
  Value scaleAt = b.add(group, b.mul(lane, scheme.getScaleBytes()));
  Value scale = b.toF32(scalar(scheme.getScales(), scaleAt));
  Value value = arith::SIToFPOp::create(b, b.getF32Type(),
                                        arith::SubIOp::create(b, q, zero));
  return arith::MulFOp::create(b, value, scale);
}

void qtale::buildEmbedding(KernelBuilder &b, Value ids, Value table,
                           Matrix matrix, Value out) {
  b.parallel(b.dim(ids, 0), [&](Value row) {
    Value id = b.clampedIndex(b.loadScalar(ids, row), matrix.n);
    Value tile = b.mul(b.div(id, lanes), matrix.packed.getTileBytes(matrix.k));
    Value lane = b.rem(id, lanes);
    b.loop(0, matrix.k, 1, [&](Value k) {
      b.storeScalar(loadPacked(b, table, matrix, tile, lane, k), out, {row, k});
    });
  });
}

//===----------------------------------------------------------------------===//
// Gather and scatter
//===----------------------------------------------------------------------===//

/// copy(i, rows[i]) for all rows. A row of one value is no work for a chunk:
/// then one thread takes them all.
static void forListedRows(KernelBuilder &b, Value rows, int64_t rank,
                          function_ref<void(Value, Value)> copy) {
  auto listed = [&](Value i) { copy(i, b.loadIndex(rows, i)); };
  if (rank > 1)
    return b.parallel(b.dim(rows, 0), listed);
  b.parallel(b.index(1),
             [&](Value) { b.loop(b.index(0), b.dim(rows, 0), 1, listed); });
}

static void copyRow(KernelBuilder &b, Value from, Value fromRow, Value to,
                    Value toRow) {
  auto type = cast<MemRefType>(to.getType());
  if (type.getRank() == 1)
    return b.storeScalar(b.loadScalar(from, fromRow), to, toRow);
  // In memory a flag is a byte, in a vector a bit.
  if (type.isDynamicDim(1) || type.getElementType().isInteger(1))
    return b.loop(b.index(0), b.dim(to, 1), 1, [&](Value column) {
      b.storeScalar(b.loadScalar(from, {fromRow, column}), to, {toRow, column});
    });
  b.columns(type.getDimSize(1), [&](Value column, int64_t size) {
    b.store(b.load(from, {fromRow, column}, size), to, {toRow, column});
  });
}

void qtale::buildGatherRows(KernelBuilder &b, Value input, Value rows,
                            Value out) {
  int64_t rank = cast<MemRefType>(out.getType()).getRank();
  forListedRows(b, rows, rank,
                [&](Value i, Value row) { copyRow(b, input, row, out, i); });
}

void qtale::buildScatterRows(KernelBuilder &b, Value values, Value rows,
                             Value out) {
  int64_t rank = cast<MemRefType>(out.getType()).getRank();
  forListedRows(b, rows, rank,
                [&](Value i, Value row) { copyRow(b, values, i, out, row); });
}

//===----------------------------------------------------------------------===//
// Quantize: | Kp values | Kp/32 scales | Kp/32 sums |
//===----------------------------------------------------------------------===//

void qtale::storeQuantized(KernelBuilder &b, Value x, Value row, Value block,
                           int64_t k, Activations out) {
  int64_t paddedK = out.format.getPaddedK(k);
  // As integers, absolute values are in the order of floats, and NaNs the
  // largest: the maximum takes one instruction a step.
  Value bits =
      arith::BitcastOp::create(b, b.i32x(32), math::AbsFOp::create(b, x));
  Value largest = arith::BitcastOp::create(
      b, b.getF32Type(),
      vector::ReductionOp::create(b, vector::CombiningKind::MAXUI, bits));
  Value scale = arith::DivFOp::create(b, largest, b.f32(127.0));
  // 0 / 0 where the block is all zeros: any divisor will do there.
  Value isZero =
      arith::CmpFOp::create(b, arith::CmpFPredicate::OEQ, scale, b.f32(0.0));
  Value divisor = arith::SelectOp::create(b, isZero, b.f32(1.0), scale);
  Value q = arith::DivFOp::create(b, x, b.splat(divisor, 32));
  q = math::RoundEvenOp::create(b, q);
  // A subnormal scale can carry the quotient past 127.
  q = arith::MaxNumFOp::create(b, q, b.splat(b.f32(-127.0), 32));
  q = arith::MinNumFOp::create(b, q, b.splat(b.f32(127.0), 32));
  Value wide = arith::FPToSIOp::create(b, b.i32x(32), q);
  Value sum = vector::ReductionOp::create(b, vector::CombiningKind::ADD, wide);
  b.store(
      arith::TruncIOp::create(b, VectorType::get({32}, b.getI8Type()), wide),
      out.buffer, {row, b.mul(block, 32)});
  Value scaleAt = b.add(b.mul(block, 4), paddedK);
  b.storeBytes(b.splat(scale, 1), out.buffer, {row, scaleAt});
  b.storeBytes(b.splat(sum, 1), out.buffer, {row, b.add(scaleAt, paddedK / 8)});
}

void qtale::storeColumns(KernelBuilder &b, Value row, Value first,
                         int64_t count, int64_t k, Activations out,
                         function_ref<Value(Value, int64_t)> values) {
  if (!out.format)
    return b.columns(count, [&](Value column, int64_t size) {
      b.store(values(column, size), out.buffer, {row, b.add(first, column)});
    });
  auto quantize = [&](Value column, int64_t size) {
    auto half = [&](int64_t from) -> Value {
      int64_t some = std::clamp<int64_t>(size - from, 0, lanes);
      if (!some)
        return b.zeros(b.f32x());
      return b.widen(values(b.add(column, from), some), lanes);
    };
    storeQuantized(b, b.concat(half(0), half(lanes)), row,
                   b.div(b.add(first, column), 32), k, out);
  };
  int64_t rest = count % 32, whole = count - rest;
  if (whole)
    b.loop(0, whole, 32, [&](Value column) { quantize(column, 32); });
  if (rest)
    quantize(b.index(whole), rest);
}

void qtale::storeRow(KernelBuilder &b, Value row, int64_t k, Activations out,
                     function_ref<Value(Value, int64_t)> values) {
  storeColumns(b, row, b.index(0), k, k, out, values);
  if (!out.format)
    return;
  // Whole blocks of padding: all zero.
  int64_t used = (k + 31) / 32, paddedK = out.format.getPaddedK(k);
  if (used < paddedK / 32)
    b.loop(used, paddedK / 32, 1, [&](Value block) {
      Value zeros = b.zeros(VectorType::get({32}, b.getI8Type()));
      b.store(zeros, out.buffer, {row, b.mul(block, 32)});
      Value at = b.add(b.mul(block, 4), paddedK);
      Value word = b.zeros(VectorType::get({4}, b.getI8Type()));
      b.store(word, out.buffer, {row, at});
      b.store(word, out.buffer, {row, b.add(at, paddedK / 8)});
    });
}

void qtale::buildQuantizeRows(KernelBuilder &b, Value input, IntRowsAttr format,
                              Value out) {
  int64_t k = cast<MemRefType>(input.getType()).getDimSize(1);
  b.parallel(b.dim(input, 0), [&](Value row) {
    storeRow(b, row, k, {out, format}, [&](Value column, int64_t size) {
      return b.load(input, {row, column}, size);
    });
  });
}
