//===- Rope.cpp - Rotary position embedding -------------------------------===//
//
//   interleaved:  (x0 x1)(x2 x3)…      halves:  x0 x1 … | xC xC+1 …
//                  pair 0  pair 1               pair i is (x[i], x[i + C])
//
//===----------------------------------------------------------------------===//

#include "Kernels.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace mlir;
using namespace qtale;

/// (a, b) turned by the angle of (cos, sin).
static std::pair<Value, Value> turn(KernelBuilder &b, Value x, Value y,
                                    Value cos, Value sin) {
  auto mul = [&](Value p, Value q) -> Value {
    return arith::MulFOp::create(b, p, q);
  };
  return {arith::SubFOp::create(b, mul(x, cos), mul(y, sin)),
          arith::AddFOp::create(b, mul(y, cos), mul(x, sin))};
}

void qtale::buildRope(KernelBuilder &b, Value input, Value cos, Value sin,
                      Value positions, RopeShape shape, Value out) {
  int64_t headDim =
      cast<MemRefType>(input.getType()).getDimSize(1) / shape.heads;
  auto table = cast<MemRefType>(cos.getType());
  int64_t limit = table.getDimSize(0), pairs = table.getDimSize(1);

  b.parallel(b.dim(input, 0), [&](Value row) {
    Value position = b.clampedIndex(b.loadScalar(positions, row), limit);
    b.loop(0, shape.heads, 1, [&](Value head) {
      Value base = b.mul(head, headDim);
      b.columns(pairs, [&](Value pair, int64_t size) {
        Value c = b.load(cos, {position, pair}, size);
        Value s = b.load(sin, {position, pair}, size);
        if (shape.interleaved) {
          Value at = b.add(base, b.mul(pair, 2));
          auto split = vector::DeinterleaveOp::create(
              b, b.load(input, {row, at}, 2 * size));
          auto [x, y] = turn(b, split.getRes1(), split.getRes2(), c, s);
          b.store(vector::InterleaveOp::create(b, x, y), out, {row, at});
          return;
        }
        Value first = b.add(base, pair), second = b.add(first, pairs);
        auto [x, y] = turn(b, b.load(input, {row, first}, size),
                           b.load(input, {row, second}, size), c, s);
        b.store(x, out, {row, first});
        b.store(y, out, {row, second});
      });
      // Beyond the rotated part of a head.
      b.columns(headDim - 2 * pairs, [&](Value column, int64_t size) {
        Value at = b.add(b.add(base, 2 * pairs), column);
        b.store(b.load(input, {row, at}, size), out, {row, at});
      });
    });
  });
}
