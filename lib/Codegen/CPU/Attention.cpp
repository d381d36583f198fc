//===- Attention.cpp - One pass over keys and values in blocks ------------===//
//
//   a row and head, span by span of 256 slots:
//     scores  s[slot] = scale * sum over d of q[d] * K[d][slot]
//     online  m' = max(m, s),  o = o * exp(m - m') + sum of exp(s - m') * V
//
// With int8 caches a slot and head has a scale; scores and weights take it, so
// keys and values are multiplied as they lie.
//
// A lane of the score vector owns a slot. A row sees the slots up to its own,
// so rows of one step do not depend on how many came with them.
//
//===----------------------------------------------------------------------===//

#include "Kernels.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;
using namespace qtale;

namespace {

constexpr int64_t blockSlots = KVCacheType::blockSlots;
constexpr int64_t spanBlocks = 16;

/// A stored vector as f32, but for its scale.
Value fromCache(KernelBuilder &b, Value stored) {
  auto type = cast<VectorType>(stored.getType());
  if (!type.getElementType().isInteger())
    return b.toF32(stored);
  return arith::SIToFPOp::create(b, b.f32x(type.getNumElements()), stored);
}

/// One row and one head of attention.
class HeadAttention {
public:
  HeadAttention(KernelBuilder &b, CacheHandle cache, AttentionShape shape,
                Value scores, Value result)
      : b(b), cache(cache), shape(shape), scores(scores), result(result),
        dim(cache.type.getHeadDim()) {}

  void build(Value query, Value row, Value head, Value sequence, Value slot,
             Activations out) {
    this->query = query, this->row = row, this->sequence = sequence;
    this->slot = slot;
    column = b.mul(head, dim);
    kvHead = b.div(head, shape.heads / cache.type.getHeads());
    Value blocks = b.add(b.div(slot, blockSlots), 1);

    b.columns(dim, [&](Value d, int64_t size) {
      b.store(b.zeros(b.f32x(size)), result, d);
    });
    Value least = b.f32(-std::numeric_limits<float>::infinity());
    SmallVector<Value> state =
        b.loop(b.index(0), blocks, spanBlocks, {least, b.f32(0.0)},
               [&](Value first, ValueRange carried) -> SmallVector<Value> {
                 Value last = b.min(b.add(first, spanBlocks), blocks);
                 return span(first, last, carried[0], carried[1]);
               });
    Value inverse = arith::DivFOp::create(b, b.f32(1.0), state[1]);
    auto scaled = [&](Value d, int64_t size) -> Value {
      return arith::MulFOp::create(b, b.load(result, d, size),
                                   b.splat(inverse, size));
    };
    storeColumns(b, row, column, dim, shape.heads * dim, out, scaled);
  }

private:
  /// Adds the blocks [first, last) to (maximum, sum) and to `result`.
  SmallVector<Value> span(Value first, Value last, Value maximum, Value sum) {
    Value least = b.splat(b.f32(-std::numeric_limits<float>::infinity()));
    Value highest =
        b.loop(first, last, 1, least, [&](Value block, ValueRange carried) {
          return SmallVector<Value>{
              scoreBlock(block, b.sub(block, first), carried[0])};
        })[0];
    highest = vector::ReductionOp::create(b, vector::CombiningKind::MAXIMUMF,
                                          highest);
    Value next = arith::MaximumFOp::create(b, maximum, highest);
    Value factor =
        math::ExpOp::create(b, arith::SubFOp::create(b, maximum, next));

    // exp in place, and its sum.
    Value sums = b.loop(
        b.index(0), b.sub(last, first), 1, b.zeros(b.f32x()),
        [&](Value block, ValueRange carried) {
          Value at = b.mul(block, blockSlots);
          Value p = arith::SubFOp::create(b, b.load(scores, at), b.splat(next));
          p = math::ExpOp::create(b, p);
          b.store(p, scores, at);
          return SmallVector<Value>{arith::AddFOp::create(b, carried[0], p)};
        })[0];
    b.columns(dim, [&](Value d, int64_t size) {
      addValues(first, last, factor, d, size);
    });
    Value scaled = arith::MulFOp::create(b, sum, factor);
    return {next, arith::AddFOp::create(b, scaled, b.sum(sums))};
  }

  /// Scores of a block, written to `scores`; slots beyond the row's own count
  /// as -inf. Returns the running maximum.
  Value scoreBlock(Value block, Value place, Value highest) {
    KVBlockOp kv = loadBlock(b, cache, sequence, block);
    Value s = b.loop(
        b.index(0), b.index(dim), 1, b.zeros(b.f32x()),
        [&](Value d, ValueRange carried) {
          Value q = b.loadScalar(query, {row, b.add(column, d)});
          Value k = fromCache(b, b.load(kv.getKeys(), {kvHead, d, b.index(0)}));
          return SmallVector<Value>{b.fma(b.splat(q), k, carried[0])};
        })[0];
    if (hasScales(cache))
      s = arith::MulFOp::create(
          b, s, b.load(kv.getScales()[0], {kvHead, b.index(0)}));
    s = arith::MulFOp::create(
        b, s, b.splat(arith::ConstantOp::create(b, shape.scale)));
    if (shape.softcap) {
      Value cap = b.splat(arith::ConstantOp::create(b, shape.softcap));
      s = math::TanhOp::create(b, arith::DivFOp::create(b, s, cap));
      s = arith::MulFOp::create(b, s, cap);
    }
    Value start = b.mul(block, blockSlots);
    Value seen =
        vector::CreateMaskOp::create(b, VectorType::get({lanes}, b.getI1Type()),
                                     b.add(b.sub(slot, start), 1));
    Value least = b.splat(b.f32(-std::numeric_limits<float>::infinity()));
    s = arith::SelectOp::create(b, seen, s, least);
    b.store(s, scores, b.mul(place, blockSlots));
    return arith::MaximumFOp::create(b, highest, s);
  }

  /// result[d …] = result * factor + sum over slots of p * V.
  void addValues(Value first, Value last, Value factor, Value d, int64_t size) {
    Value o = arith::MulFOp::create(b, b.load(result, d, size),
                                    b.splat(factor, size));
    o = b.loop(first, last, 1, o, [&](Value block, ValueRange carried) {
      KVBlockOp kv = loadBlock(b, cache, sequence, block);
      // Slots beyond the row's own may hold anything: not even 0 * v.
      Value start = b.mul(block, blockSlots);
      Value count = b.min(b.index(blockSlots), b.add(b.sub(slot, start), 1));
      Value place = b.mul(b.sub(block, first), blockSlots);
      return b.loop(b.index(0), count, 1, carried,
                    [&](Value j, ValueRange inner) -> SmallVector<Value> {
                      Value p = b.loadScalar(scores, b.add(place, j));
                      if (hasScales(cache))
                        p = arith::MulFOp::create(
                            b, p, b.loadScalar(kv.getScales()[1], {kvHead, j}));
                      Value v = fromCache(
                          b, b.load(kv.getValues(), {kvHead, j, d}, size));
                      return {b.fma(b.splat(p, size), v, inner[0])};
                    });
    })[0];
    b.store(o, result, d);
  }

  KernelBuilder &b;
  CacheHandle cache;
  AttentionShape shape;
  Value scores, result; // this thread's: [256], [head_dim]
  int64_t dim;
  Value query, row, sequence, slot, column, kvHead;
};

} // namespace

void qtale::buildAttention(KernelBuilder &b, CacheHandle cache, Value query,
                           Value sequences, Value slots, AttentionShape shape,
                           Activations out) {
  auto scratch = [&](int64_t size) -> Value {
    return memref::AllocaOp::create(b, MemRefType::get({size}, b.getF32Type()),
                                    b.getI64IntegerAttr(64));
  };
  Value scores = scratch(spanBlocks * blockSlots);
  Value result = scratch(cache.type.getHeadDim());
  HeadAttention attention(b, cache, shape, scores, result);

  Value units = b.mul(b.dim(query, 0), shape.heads);
  b.parallel(units, [&](Value unit) {
    Value row = b.div(unit, shape.heads), head = b.rem(unit, shape.heads);
    attention.build(query, row, head, b.loadIndex(sequences, row),
                    b.loadIndex(slots, row), out);
  });
}
