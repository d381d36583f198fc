//===- Attention.cpp - One pass over keys and values in blocks ------------===//
//
//   a row and up to 4 heads that share keys and values, span by span of 256
//   slots:
//     scores  s[slot] = scale * sum over d of q[d] * K[d][slot]
//     online  m' = max(m, s),  o = o * exp(m - m') + sum of exp(s - m') * V
//
// With int8 caches a slot and head has a scale; scores and weights take it, so
// keys and values are multiplied as they lie.
//
// A lane of the score vector owns a slot. A row sees the slots up to its own,
// so rows of one step do not depend on how many came with them, and a head's
// sums not on the heads beside it.
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
/// Sums that are added to in turn, to hide the latency of a multiply-add.
constexpr int64_t sumsAtOnce = 4;

/// A stored vector as f32, but for its scale.
Value fromCache(KernelBuilder &b, Value stored) {
  auto type = cast<VectorType>(stored.getType());
  if (!type.getElementType().isInteger())
    return b.toF32(stored);
  return arith::SIToFPOp::create(b, b.f32x(type.getNumElements()), stored);
}

/// One row and some heads that share keys and values.
class HeadsAttention {
public:
  /// `scores` and `results` are this thread's: [heads, 256], [heads, head_dim].
  HeadsAttention(KernelBuilder &b, CacheHandle cache, AttentionShape shape,
                 int64_t heads, Value scores, Value results)
      : b(b), cache(cache), shape(shape), heads(heads), scores(scores),
        results(results), dim(cache.type.getHeadDim()) {
    // How a head is summed must not depend on `heads`, so this does not.
    int64_t sharing = shape.heads / cache.type.getHeads();
    for (chains = 1; chains * sharing < sumsAtOnce && dim % (2 * chains) == 0;)
      chains *= 2;
  }

  void build(Value query, Value row, Value firstHead, Value kvHead,
             Value sequence, Value slot, Activations out) {
    this->query = query, this->row = row, this->sequence = sequence;
    this->slot = slot, this->kvHead = kvHead;
    column = b.mul(firstHead, dim);
    Value blocks = b.add(b.div(slot, blockSlots), 1);

    SmallVector<Value> state;
    for (int64_t h = 0; h < heads; ++h) {
      b.columns(dim, [&](Value d, int64_t size) {
        b.store(b.zeros(b.f32x(size)), results, {b.index(h), d});
      });
      state.push_back(least());
      state.push_back(b.f32(0.0));
    }
    state = b.loop(b.index(0), blocks, spanBlocks, state,
                   [&](Value first, ValueRange carried) {
                     Value last = b.min(b.add(first, spanBlocks), blocks);
                     return span(first, last, carried);
                   });
    for (int64_t h = 0; h < heads; ++h) {
      Value inverse = arith::DivFOp::create(b, b.f32(1.0), state[2 * h + 1]);
      auto scaled = [&](Value d, int64_t size) -> Value {
        return arith::MulFOp::create(b, b.load(results, {b.index(h), d}, size),
                                     b.splat(inverse, size));
      };
      storeColumns(b, row, columnOf(h), dim, shape.heads * dim, out, scaled);
    }
  }

private:
  Value least() { return b.f32(-std::numeric_limits<float>::infinity()); }
  /// Where head h begins in a row of queries or results.
  Value columnOf(int64_t h) { return b.add(column, h * dim); }

  /// Adds the blocks [first, last) to each head's (maximum, sum) and result.
  SmallVector<Value> span(Value first, Value last, ValueRange state) {
    SmallVector<Value> highest(heads, b.splat(least()));
    highest =
        b.loop(first, last, 1, highest, [&](Value block, ValueRange carried) {
          return scoreBlock(block, b.sub(block, first), carried);
        });
    SmallVector<Value> next, factors;
    for (int64_t h = 0; h < heads; ++h) {
      Value here = vector::ReductionOp::create(
          b, vector::CombiningKind::MAXIMUMF, highest[h]);
      Value maximum = state[2 * h];
      Value both = arith::MaximumFOp::create(b, maximum, here);
      next.push_back(both);
      factors.push_back(
          math::ExpOp::create(b, arith::SubFOp::create(b, maximum, both)));
    }

    // exp in place, and its sum.
    SmallVector<Value> sums(heads, b.zeros(b.f32x()));
    sums = b.loop(b.index(0), b.sub(last, first), 1, sums,
                  [&](Value block, ValueRange carried) {
                    SmallVector<Value> added;
                    for (int64_t h = 0; h < heads; ++h) {
                      Value at[] = {b.index(h), b.mul(block, blockSlots)};
                      Value p = arith::SubFOp::create(b, b.load(scores, at),
                                                      b.splat(next[h]));
                      p = math::ExpOp::create(b, p);
                      b.store(p, scores, at);
                      added.push_back(arith::AddFOp::create(b, carried[h], p));
                    }
                    return added;
                  });
    addValues(first, last, factors);
    SmallVector<Value> result;
    for (int64_t h = 0; h < heads; ++h) {
      Value scaled = arith::MulFOp::create(b, state[2 * h + 1], factors[h]);
      result.push_back(next[h]);
      result.push_back(arith::AddFOp::create(b, scaled, b.sum(sums[h])));
    }
    return result;
  }

  /// Scores of a block, written to `scores`; slots beyond the row's own count
  /// as -inf. Returns the running maxima.
  SmallVector<Value> scoreBlock(Value block, Value place, ValueRange highest) {
    KVBlockOp kv = loadBlock(b, cache, sequence, block);
    SmallVector<Value> sums(heads * chains, b.zeros(b.f32x()));
    sums = b.loop(b.index(0), b.index(dim), chains, sums,
                  [&](Value first, ValueRange carried) {
                    SmallVector<Value> added(carried);
                    for (int64_t c = 0; c < chains; ++c) {
                      Value d = b.add(first, c);
                      Value k = fromCache(
                          b, b.load(kv.getKeys(), {kvHead, d, b.index(0)}));
                      for (int64_t h = 0; h < heads; ++h) {
                        Value q =
                            b.loadScalar(query, {row, b.add(columnOf(h), d)});
                        Value &sum = added[h * chains + c];
                        sum = b.fma(b.splat(q), k, sum);
                      }
                    }
                    return added;
                  });
    Value start = b.mul(block, blockSlots);
    Value seen =
        vector::CreateMaskOp::create(b, VectorType::get({lanes}, b.getI1Type()),
                                     b.add(b.sub(slot, start), 1));
    SmallVector<Value> maxima;
    for (int64_t h = 0; h < heads; ++h) {
      ArrayRef<Value> parts = ArrayRef(sums).slice(h * chains, chains);
      Value s = finishScore(kv, parts);
      s = arith::SelectOp::create(b, seen, s, b.splat(least()));
      b.store(s, scores, {b.index(h), b.mul(place, blockSlots)});
      maxima.push_back(arith::MaximumFOp::create(b, highest[h], s));
    }
    return maxima;
  }

  /// The chains' sum with all that scales it.
  Value finishScore(KVBlockOp kv, ArrayRef<Value> parts) {
    Value s = parts[0];
    for (Value part : parts.drop_front())
      s = arith::AddFOp::create(b, s, part);
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
    return s;
  }

  /// result = result * factor + sum over slots of p * V, some columns at a time.
  void addValues(Value first, Value last, ArrayRef<Value> factors) {
    int64_t vectors = std::max<int64_t>(sumsAtOnce / heads, 1);
    int64_t width = vectors * lanes, even = dim / width * width;
    if (even)
      b.loop(0, even, width, [&](Value d) {
        addColumns(first, last, factors, d, vectors, lanes);
      });
    for (int64_t d = even; d < dim; d += lanes)
      addColumns(first, last, factors, b.index(d), 1, std::min(lanes, dim - d));
  }

  /// `vectors` times `size` columns from d on, of all heads.
  void addColumns(Value first, Value last, ArrayRef<Value> factors, Value d,
                  int64_t vectors, int64_t size) {
    SmallVector<Value> sums;
    for (int64_t h = 0; h < heads; ++h)
      for (int64_t v = 0; v < vectors; ++v)
        sums.push_back(arith::MulFOp::create(
            b, b.load(results, {b.index(h), b.add(d, v * lanes)}, size),
            b.splat(factors[h], size)));
    sums = b.loop(first, last, 1, sums, [&](Value block, ValueRange carried) {
      KVBlockOp kv = loadBlock(b, cache, sequence, block);
      // Slots beyond the row's own may hold anything: not even 0 * v.
      Value start = b.mul(block, blockSlots);
      Value count = b.min(b.index(blockSlots), b.add(b.sub(slot, start), 1));
      Value place = b.mul(b.sub(block, first), blockSlots);
      return b.loop(
          b.index(0), count, 1, carried, [&](Value j, ValueRange inner) {
            SmallVector<Value> values, added(inner);
            for (int64_t v = 0; v < vectors; ++v)
              values.push_back(
                  fromCache(b, b.load(kv.getValues(),
                                      {kvHead, j, b.add(d, v * lanes)}, size)));
            for (int64_t h = 0; h < heads; ++h) {
              Value p = b.loadScalar(scores, {b.index(h), b.add(place, j)});
              if (hasScales(cache))
                p = arith::MulFOp::create(
                    b, p, b.loadScalar(kv.getScales()[1], {kvHead, j}));
              for (int64_t v = 0; v < vectors; ++v) {
                Value &sum = added[h * vectors + v];
                sum = b.fma(b.splat(p, size), values[v], sum);
              }
            }
            return added;
          });
    });
    for (int64_t h = 0; h < heads; ++h)
      for (int64_t v = 0; v < vectors; ++v)
        b.store(sums[h * vectors + v], results,
                {b.index(h), b.add(d, v * lanes)});
  }

  KernelBuilder &b;
  CacheHandle cache;
  AttentionShape shape;
  int64_t heads;
  Value scores, results;
  int64_t dim, chains;
  Value query, row, sequence, slot, column, kvHead;
};

/// Heads that share keys and values, cut into parts that are computed at once:
/// as few as possible, as equal as possible.
SmallVector<int64_t> partsOf(int64_t sharing) {
  int64_t count = (sharing + sumsAtOnce - 1) / sumsAtOnce;
  SmallVector<int64_t> parts;
  for (int64_t i = 0; i < count; ++i)
    parts.push_back(sharing / count + (i < sharing % count));
  return parts;
}

} // namespace

void qtale::buildAttention(KernelBuilder &b, CacheHandle cache, Value query,
                           Value sequences, Value slots, AttentionShape shape,
                           Activations out) {
  int64_t kvHeads = cache.type.getHeads(), sharing = shape.heads / kvHeads;
  SmallVector<int64_t> parts = partsOf(sharing);
  auto scratch = [&](int64_t size) -> Value {
    return memref::AllocaOp::create(
        b, MemRefType::get({parts[0], size}, b.getF32Type()),
        b.getI64IntegerAttr(64));
  };
  Value scores = scratch(spanBlocks * blockSlots);
  Value results = scratch(cache.type.getHeadDim());

  // Equal parts are units of their own, for more threads to share.
  int64_t unitHeads = llvm::all_equal(parts) ? parts[0] : sharing;
  int64_t unitsPerRow = shape.heads / unitHeads;
  Value units = b.mul(b.dim(query, 0), unitsPerRow);
  b.parallel(units, [&](Value unit) {
    Value row = b.div(unit, unitsPerRow);
    Value head = b.mul(b.rem(unit, unitsPerRow), unitHeads);
    Value kvHead = b.div(head, sharing);
    Value sequence = b.loadIndex(sequences, row);
    Value slot = b.loadIndex(slots, row);
    for (int64_t done = 0, i = 0; done < unitHeads; done += parts[i++])
      HeadsAttention(b, cache, shape, parts[i], scores, results)
          .build(query, row, b.add(head, done), kvHead, sequence, slot, out);
  });
}
