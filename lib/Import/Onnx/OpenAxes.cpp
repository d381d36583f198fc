//===- OpenAxes.cpp - Axes that are known only at run time ----------------===//
//
//   removed   [a, b, c] without [1, 0, 1]   = [b]
//   inserted  [b] between      [1, 0, 1]   = [1, b, 1]
//
// Which dimension stands at a place is chosen among all that may.
//
//===----------------------------------------------------------------------===//

#include "OpenAxes.h"

#include "mlir/Dialect/ControlFlow/IR/ControlFlowOps.h"

using namespace llvm;
using namespace mlir;
using namespace qtale::onnx_import;
using arith::CmpIPredicate;

static OpFoldResult choose(GraphBuilder &g, Value condition, OpFoldResult a,
                           OpFoldResult c) {
  if (g.math.same(a, c))
    return a;
  Value result = arith::SelectOp::create(g.b, g.loc, condition, g.math.value(a),
                                         g.math.value(c));
  if (g.math.isNonNegative(a) && g.math.isNonNegative(c))
    g.math.markNonNegative(result);
  return result;
}

/// 1 for a flag that is set, `sum` on top.
static Value counted(Scalars s, Value flag, Value sum) {
  return s.select(flag, s.make<arith::AddIOp>(sum, s.index(1)), sum);
}

static Value inverted(Scalars s, Value flag) {
  return s.make<arith::XOrIOp>(flag, s.integer(flag.getType(), 1));
}

Dims OpenAxes::ones(GraphBuilder &g, ArrayRef<OpFoldResult> dims) const {
  Dims result;
  for (auto [flag, dim] : llvm::zip(chosen, dims))
    result.push_back(choose(g, flag, g.math.constant(1), dim));
  return result;
}

Dims OpenAxes::only(GraphBuilder &g, ArrayRef<OpFoldResult> dims) const {
  Dims result;
  for (auto [flag, dim] : llvm::zip(chosen, dims))
    result.push_back(choose(g, flag, dim, g.math.constant(1)));
  return result;
}

Dims OpenAxes::removed(GraphBuilder &g, ArrayRef<OpFoldResult> dims) const {
  Scalars s{g.b, g.loc};
  Dims result(rank() - count, g.math.constant(1));
  Value place = s.index(0); // of a dimension, among those that stay
  for (auto [flag, dim] : llvm::zip(chosen, dims)) {
    Value stays = inverted(s, flag);
    for (auto [i, chosenDim] : llvm::enumerate(result)) {
      Value here = s.make<arith::AndIOp>(
          stays, s.cmp(CmpIPredicate::eq, place, s.index(i)));
      chosenDim = choose(g, here, dim, chosenDim);
    }
    place = counted(s, stays, place);
  }
  return result;
}

Dims OpenAxes::inserted(GraphBuilder &g, ArrayRef<OpFoldResult> dims) const {
  Scalars s{g.b, g.loc};
  Dims result;
  Value place = s.index(0); // of the next dimension to be taken
  for (Value flag : chosen) {
    OpFoldResult next = g.math.constant(1);
    for (auto [i, dim] : llvm::enumerate(dims))
      next = choose(g, s.cmp(CmpIPredicate::eq, place, s.index(i)), dim, next);
    result.push_back(choose(g, flag, g.math.constant(1), next));
    place = counted(s, inverted(s, flag), place);
  }
  return result;
}

Value qtale::onnx_import::openAxis(Node &n, OpFoldResult axis, int64_t rank) {
  GraphBuilder &g = n.g;
  Scalars s{g.b, g.loc};
  Value at = g.math.value(g.math.wrap(axis, g.math.constant(rank)));
  // Negative numbers are large without a sign.
  cf::AssertOp::create(g.b, g.loc, s.cmp(CmpIPredicate::ult, at, s.index(rank)),
                       n.proto.op_type() + ": an axis is outside of the " +
                           std::to_string(rank) + " axes");
  return at;
}

std::optional<OpenAxes> qtale::onnx_import::openAxes(Node &n, unsigned i,
                                                     int64_t rank) {
  if (!n.has(i) || n.g.integers(n.in(i)) || n.in(0).rows)
    return std::nullopt;
  std::optional<Dims> axes = n.g.indices(n.in(i));
  if (!axes || axes->empty() || (int64_t)axes->size() > rank)
    return std::nullopt;
  Scalars s{n.g.b, n.g.loc};
  OpenAxes result;
  result.count = axes->size();
  result.chosen.assign(rank, s.integer(n.g.b.getI1Type(), 0));
  for (OpFoldResult axis : *axes) {
    Value at = openAxis(n, axis, rank);
    for (int64_t k = 0; k < rank; ++k)
      result.chosen[k] = s.make<arith::OrIOp>(
          result.chosen[k], s.cmp(CmpIPredicate::eq, at, s.index(k)));
  }
  Value sum = s.index(0);
  for (Value flag : result.chosen)
    sum = counted(s, flag, sum);
  cf::AssertOp::create(n.g.b, n.g.loc,
                       s.cmp(CmpIPredicate::eq, sum, s.index(result.count)),
                       n.proto.op_type() + ": an axis is named twice");
  return result;
}
