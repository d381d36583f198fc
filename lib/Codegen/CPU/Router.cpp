//===- Router.cpp - The probability that a row runs through a unit --------===//
//
//   mlp2     h = fc1 · x + b1    -->  sigmoid(d · silu(norm ⊙ rms(h)) + d0)
//            (a matmul)               d = fc2[1] - fc2[0], d0 = b2[1] - b2[0]
//   linear                            sigmoid(fc · x + bias)
//   gate     n = norm ⊙ rms(x)
//            h = down · n        -->  sigmoid(up · tanh(h))
//
// The matmul goes over all rows, with its results in scratch; then each row by
// itself. A softmax of two is the sigmoid of their difference. Sums run in a
// fixed order, so a row's decision does not depend on what comes with it.
//
//===----------------------------------------------------------------------===//

#include "Kernels.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;
using namespace qtale;

int64_t qtale::routerScratch(RouterOp router) {
  OpOperand *matrix = router.getMatrix();
  if (!matrix)
    return 0;
  auto type = cast<RankedTensorType>(matrix->get().getType());
  int64_t hidden = type.getDimSize(0);
  bool normsInput = router.getKind() == RouterKind::Gate;
  return normsInput ? type.getDimSize(1) + hidden : hidden;
}

namespace {

class RouterBuilder {
public:
  RouterBuilder(KernelBuilder &b, const Level &level, RouterOp router,
                Value input, ValueRange weights, Value out, Value scratch)
      : b(b), level(level), router(router), input(input), weights(weights),
        out(out), scratch(scratch) {}

  void mlp2() {
    Value norm = weights[2], fc2 = weights[3], bias = weights[4];
    Value hidden = scratch;
    matmul(input, weights[0], {weights[1], {}, hidden});
    int64_t r = cast<MemRefType>(norm.getType()).getDimSize(0);
    forRows([&](Value row) {
      Value factor = inverseRMS(b, hidden, row, router.getEpsilonAttr());
      Value dot = b.sumColumns(r, [&](Value k, int64_t size) -> Value {
        Value x = mul(b.load(hidden, {row, k}, size), b.splat(factor, size));
        x = mul(x, b.load(norm, k, size));
        Value silu = arith::DivFOp::create(b, x, onePlusExpMinus(x));
        return mul(silu, sub(b.load(fc2, {b.index(1), k}, size),
                             b.load(fc2, {b.index(0), k}, size)));
      });
      return add(dot, sub(b.loadScalar(bias, b.index(1)),
                          b.loadScalar(bias, b.index(0))));
    });
  }

  void linear() {
    int64_t d = cast<MemRefType>(input.getType()).getDimSize(1);
    forRows([&](Value row) {
      Value dot = b.sumColumns(d, [&](Value k, int64_t size) -> Value {
        return mul(b.load(input, {row, k}, size),
                   b.load(weights[0], {b.index(0), k}, size));
      });
      return add(dot, b.loadScalar(weights[1], b.index(0)));
    });
  }

  void gate() {
    int64_t d = cast<MemRefType>(input.getType()).getDimSize(1);
    int64_t r = cast<MemRefType>(scratch.getType()).getDimSize(1) - d;
    Value normed = columnsOf(scratch, 0, d), hidden = columnsOf(scratch, d, r);
    buildRMSNorm(b, input, weights[0], router.getEpsilonAttr(), {normed, {}});
    matmul(normed, weights[1], {{}, {}, hidden});
    forRows([&](Value row) {
      return b.sumColumns(r, [&](Value k, int64_t size) -> Value {
        Value x = math::TanhOp::create(b, b.load(hidden, {row, k}, size));
        return mul(x, b.load(weights[2], {b.index(0), k}, size));
      });
    });
  }

private:
  Value add(Value x, Value y) { return arith::AddFOp::create(b, x, y); }
  Value sub(Value x, Value y) { return arith::SubFOp::create(b, x, y); }
  Value mul(Value x, Value y) { return arith::MulFOp::create(b, x, y); }

  /// 1 + exp(-x)
  Value onePlusExpMinus(Value x) {
    Value one = b.f32(1.0);
    if (auto type = dyn_cast<VectorType>(x.getType()))
      one = b.splat(one, type.getNumElements());
    Value e = math::ExpOp::create(b, arith::NegFOp::create(b, x));
    return add(one, e);
  }

  /// out[row] = sigmoid(logit(row))
  void forRows(function_ref<Value(Value)> logit) {
    b.parallel(b.dim(input, 0), [&](Value row) {
      Value p =
          arith::DivFOp::create(b, b.f32(1.0), onePlusExpMinus(logit(row)));
      b.storeScalar(p, out, row);
    });
  }

  void matmul(Value x, Value weight, Epilogue epilogue) {
    Matrix matrix(cast<RankedTensorType>(router.getMatrix()->get().getType()));
    buildMatmul(b, level, {x, {}}, {weight, matrix, epilogue});
  }

  Value columnsOf(Value buffer, int64_t first, int64_t count) {
    SmallVector<OpFoldResult> offsets = {b.getIndexAttr(0),
                                         b.getIndexAttr(first)};
    SmallVector<OpFoldResult> sizes = {b.dim(buffer, 0), b.getIndexAttr(count)};
    SmallVector<OpFoldResult> strides(2, b.getIndexAttr(1));
    return memref::SubViewOp::create(b, buffer, offsets, sizes, strides);
  }

  KernelBuilder &b;
  const Level &level;
  RouterOp router;
  Value input;
  ValueRange weights;
  Value out, scratch;
};

} // namespace

void qtale::buildRouter(KernelBuilder &b, const Level &level, RouterOp router,
                        Value input, ValueRange weights, Value out,
                        Value scratch) {
  RouterBuilder builder(b, level, router, input, weights, out, scratch);
  switch (router.getKind()) {
  case RouterKind::MLP2:
    return builder.mlp2();
  case RouterKind::Linear:
    return builder.linear();
  case RouterKind::Gate:
    return builder.gate();
  }
}
