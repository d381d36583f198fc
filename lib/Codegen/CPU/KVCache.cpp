//===- KVCache.cpp - Keys and values stored, reserved, copied -------------===//
//
//   slot s:  block s / 16, place s % 16
//   a block of 16 slots:  keys [head][D][16]     values [head][16][D]
//   in int8 besides:      scales of keys, of values [head][16]
//
// In a ragged cache the runtime counts slots; what is stored in one is the same.
//
//===----------------------------------------------------------------------===//

#include "Kernels.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;
using namespace qtale;

static constexpr int64_t blockSlots = KVCacheType::blockSlots;

bool qtale::hasScales(CacheHandle cache) {
  return cache.type.getElementType().isInteger();
}

KVBlockOp qtale::loadBlock(KernelBuilder &b, CacheHandle cache, Value sequence,
                           Value block) {
  int64_t heads = cache.type.getHeads(), dim = cache.type.getHeadDim();
  Type element = cache.type.getElementType();
  SmallVector<Type> types = {
      MemRefType::get({heads, dim, blockSlots}, element),
      MemRefType::get({heads, blockSlots, dim}, element)};
  if (hasScales(cache))
    types.append(2, MemRefType::get({heads, blockSlots}, b.getF32Type()));
  return KVBlockOp::create(b, types, cache.context, cache.index, sequence,
                           block);
}

namespace {

/// The scale of a head's values: absmax / 127, and 1 where that is 0.
Value scaleOf(KernelBuilder &b, int64_t dim, Value source, Value row,
              Value column) {
  Value largest = b.zeros(b.f32x());
  auto absolute = [&](Value d, int64_t size) -> Value {
    Value values = b.load(source, {row, b.add(column, d)}, size);
    return b.widen(math::AbsFOp::create(b, values), lanes);
  };
  int64_t whole = dim / lanes * lanes;
  if (whole)
    largest = b.loop(
        b.index(0), b.index(whole), lanes, largest,
        [&](Value d, ValueRange carried) -> SmallVector<Value> {
          return {arith::MaximumFOp::create(b, carried[0], absolute(d, lanes))};
        })[0];
  if (whole < dim)
    largest = arith::MaximumFOp::create(b, largest,
                                        absolute(b.index(whole), dim - whole));
  largest =
      vector::ReductionOp::create(b, vector::CombiningKind::MAXIMUMF, largest);
  Value scale = arith::DivFOp::create(b, largest, b.f32(127.0));
  Value isZero =
      arith::CmpFOp::create(b, arith::CmpFPredicate::OEQ, scale, b.f32(0.0));
  return arith::SelectOp::create(b, isZero, b.f32(1.0), scale);
}

/// Values in the cache's element type; `scale` is null where it is a float.
Value toCache(KernelBuilder &b, Value values, Value scale, Type element) {
  if (!scale)
    return b.fromF32(values, element);
  int64_t size = cast<VectorType>(values.getType()).getNumElements();
  Value q = arith::DivFOp::create(b, values, b.splat(scale, size));
  q = math::RoundEvenOp::create(b, q);
  q = arith::MaximumFOp::create(b, q, b.splat(b.f32(-127.0), size));
  q = arith::MinimumFOp::create(b, q, b.splat(b.f32(127.0), size));
  Value wide = arith::FPToSIOp::create(b, b.i32x(size), q);
  return arith::TruncIOp::create(b, VectorType::get({size}, element), wide);
}

/// Where row r's entry stands: its block, and its place in it.
struct Entry {
  KVBlockOp block;
  Value place;
};

Entry entryOf(KernelBuilder &b, CacheHandle cache, Value sequence, Value slot) {
  return {loadBlock(b, cache, sequence, b.div(slot, blockSlots)),
          b.rem(slot, blockSlots)};
}

} // namespace

void qtale::buildKVAppend(KernelBuilder &b, CacheHandle cache, Value keys,
                          Value values, Value sequences, Value slots) {
  int64_t heads = cache.type.getHeads(), dim = cache.type.getHeadDim();
  Type element = cache.type.getElementType();
  b.parallel(b.dim(keys, 0), [&](Value row) {
    Entry entry =
        entryOf(b, cache, b.loadIndex(sequences, row), b.loadIndex(slots, row));
    KVBlockOp kv = entry.block;
    Value at = entry.place;
    b.loop(0, heads, 1, [&](Value head) {
      Value column = b.mul(head, dim);
      auto storeScale = [&](Value source, unsigned which) -> Value {
        if (!hasScales(cache))
          return nullptr;
        Value scale = scaleOf(b, dim, source, row, column);
        b.storeScalar(scale, kv.getScales()[which], {head, at});
        return scale;
      };
      Value keyScale = storeScale(keys, 0), valueScale = storeScale(values, 1);
      b.columns(dim, [&](Value d, int64_t size) {
        Value k = b.load(keys, {row, b.add(column, d)}, size);
        k = toCache(b, k, keyScale, element);
        for (int64_t i = 0; i < size; ++i)
          b.storeScalar(vector::ExtractOp::create(b, k, i), kv.getKeys(),
                        {head, b.add(d, i), at});
        Value v = b.load(values, {row, b.add(column, d)}, size);
        b.store(toCache(b, v, valueScale, element), kv.getValues(),
                {head, at, d});
      });
    });
  });
}

void qtale::buildKVReserve(KernelBuilder &b, CacheHandle cache, Value keep,
                           Value sequences, Value positions, Value slots,
                           Value code) {
  b.parallel(b.index(1), [&](Value) {
    Value result =
        ReserveSlotsOp::create(b, b.getI32Type(), cache.context, cache.index,
                               keep, sequences, positions, slots);
    b.storeScalar(result, code, b.index(0));
  });
}

void qtale::buildKVCopy(KernelBuilder &b, CacheHandle cache, Value belowIndex,
                        Value keep, Value sequences, Value slots) {
  int64_t heads = cache.type.getHeads(), dim = cache.type.getHeadDim();
  CacheHandle below{cache.context, belowIndex, cache.type};
  auto copy = [&](Value row) {
    Value sequence = b.loadIndex(sequences, row);
    Value slot = b.loadIndex(slots, row);
    Entry entry = entryOf(b, below, sequence, slot);
    KVBlockOp from = entry.block;
    Value at = entry.place;
    KVBlockOp to = entryOf(b, cache, sequence, slot).block;
    b.loop(0, heads, 1, [&](Value head) {
      b.loop(0, dim, 1, [&](Value d) {
        b.storeScalar(b.loadScalar(from.getKeys(), {head, d, at}), to.getKeys(),
                      {head, d, at});
      });
      b.columns(dim, [&](Value d, int64_t size) {
        b.store(b.load(from.getValues(), {head, at, d}, size), to.getValues(),
                {head, at, d});
      });
      for (auto [source, target] :
           llvm::zip_equal(from.getScales(), to.getScales()))
        b.storeScalar(b.loadScalar(source, {head, at}), target, {head, at});
    });
  };
  b.parallel(b.dim(keep, 0), [&](Value row) {
    b.ifElse(b.loadScalar(keep, row), [] {}, [&] { copy(row); });
  });
}
