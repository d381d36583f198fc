//===- Pad.cpp - Elements around a tensor ---------------------------------===//
//
//   [a b c] with 2 before, 1 after:   constant [0 0 a b c 0]
//                                     edge     [a a a b c c]
//                                     reflect  [c b a b c b]
//                                     wrap     [b c a b c a]
//
// Each element of the result computes which one it is. Negative numbers cut.
// Pads and axes may be known only at run time.
//
//===----------------------------------------------------------------------===//

#include "NodeTable.h"
#include "OpenAxes.h"

#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace llvm;
using namespace mlir;
using namespace qtale::onnx_import;
using arith::CmpIPredicate;

namespace {
enum class Mode { Constant, Edge, Reflect, Wrap };
} // namespace

/// How much is added before and after each axis.
static std::optional<std::pair<Dims, Dims>> padsOf(Node &n) {
  GraphBuilder &g = n.g;
  int64_t rank = n.in(0).rank();
  std::optional<Dims> pads = g.indices(n.in(1));
  Dims axes;
  for (int64_t i = 0; i < rank; ++i)
    axes.push_back(g.math.constant(i));
  if (n.has(3)) {
    std::optional<Dims> given = g.indices(n.in(3));
    if (!given)
      return std::nullopt;
    axes = *given;
  }
  if (!pads || pads->size() != 2 * axes.size())
    return std::nullopt;
  Scalars s{g.b, g.loc};
  Dims before(rank, g.math.constant(0)), after(before);
  for (auto [k, axis] : llvm::enumerate(axes)) {
    OpFoldResult first = (*pads)[k], last = (*pads)[axes.size() + k];
    if (auto known = getConstantIntValue(axis)) {
      FailureOr<int64_t> place = n.axis(n.in(0), *known);
      if (failed(place))
        return std::nullopt;
      before[*place] = first;
      after[*place] = last;
      continue;
    }
    Value place = openAxis(n, axis, rank);
    for (int64_t i = 0; i < rank; ++i) {
      Value here = s.cmp(CmpIPredicate::eq, place, s.index(i));
      before[i] = s.select(here, g.math.value(first), g.math.value(before[i]));
      after[i] = s.select(here, g.math.value(last), g.math.value(after[i]));
    }
  }
  return std::pair(before, after);
}

/// Numbers so small that a dimension with them does not overflow.
static LogicalResult checkPads(Node &n, ArrayRef<OpFoldResult> pads) {
  constexpr int64_t most = int64_t(1) << 40;
  GraphBuilder &g = n.g;
  Scalars s{g.b, g.loc};
  for (OpFoldResult pad : pads) {
    auto known = getConstantIntValue(pad);
    if (known && (*known < -most || *known > most))
      return n.fail("has a pad of " + Twine(*known));
    if (known)
      continue;
    // As unsigned numbers, those below are above.
    Value moved = s.make<arith::AddIOp>(g.math.value(pad), s.index(most));
    n.require(s.cmp(CmpIPredicate::ule, moved, s.index(2 * most)),
              "a pad is larger than any tensor");
  }
  return success();
}

/// An index of any size as one within the axis; 0 where that is empty.
static Value within(Scalars s, Mode mode, Value index, Value size) {
  Value zero = s.index(0), one = s.index(1);
  Value last = s.make<arith::MaxSIOp>(s.make<arith::SubIOp>(size, one), zero);
  if (mode == Mode::Reflect || mode == Mode::Wrap) {
    // There and back again is one period.
    Value period =
        mode == Mode::Wrap ? size : s.make<arith::AddIOp>(last, last);
    period = s.make<arith::MaxSIOp>(period, one);
    Value rest = s.make<arith::RemSIOp>(index, period);
    Value isNegative = s.cmp(CmpIPredicate::slt, rest, zero);
    index = s.select(isNegative, s.make<arith::AddIOp>(rest, period), rest);
    if (mode == Mode::Reflect) {
      Value isBack = s.cmp(CmpIPredicate::sgt, index, last);
      index = s.select(isBack, s.make<arith::SubIOp>(period, index), index);
    }
  }
  return s.make<arith::MaxSIOp>(s.make<arith::MinSIOp>(index, last), zero);
}

static LogicalResult buildPad(Node &n) {
  GraphBuilder &g = n.g;
  Term &x = n.in(0);
  auto mode =
      llvm::StringSwitch<std::optional<Mode>>(n.text("mode", "constant"))
          .Case("constant", Mode::Constant)
          .Case("edge", Mode::Edge)
          .Case("reflect", Mode::Reflect)
          .Case("wrap", Mode::Wrap)
          .Default(std::nullopt);
  if (!mode)
    return n.fail("has a mode of '" + n.text("mode", "") +
                  "'; it is constant, edge, reflect or wrap");
  auto pads = padsOf(n);
  if (!pads)
    return n.fail("needs two pads for each axis, of a known number");
  if (failed(checkPads(n, pads->first)) || failed(checkPads(n, pads->second)))
    return failure();
  Dims dims;
  for (auto [dim, before, after] : llvm::zip(x.dims, pads->first, pads->second))
    dims.push_back(g.math.max(g.math.add(g.math.add(dim, before), after),
                              g.math.constant(0)));
  Type type = n.type(x);
  Value input = n.tensor(0), outside;
  bool isConstant = *mode == Mode::Constant;
  if (isConstant && n.has(2)) {
    if (failed(n.checkEqual(g.math.product(n.in(2).dims), g.math.constant(1),
                            "needs one number to pad with")))
      return failure();
    outside = g.reshape(n.tensor(2), n.in(2).dims, {});
  }
  if (!isConstant && failed(n.checkRead(x.dims, dims)))
    return failure();
  // Reading where there may be no element has to wait for the answer.
  bool maybeEmpty = llvm::any_of(x.dims, [](OpFoldResult dim) {
    return getConstantIntValue(dim).value_or(0) == 0;
  });
  SmallVector<Value> begins;
  for (OpFoldResult before : pads->first)
    begins.push_back(g.math.value(before));
  Value result = g.generate(dims, type, [&](Scalars s) -> Value {
    SmallVector<Value> at;
    Value isInside;
    for (auto [i, begin] : llvm::enumerate(begins)) {
      Value index = s.make<arith::SubIOp>(s.loopIndex(i), begin);
      Value size = tensor::DimOp::create(s.b, s.loc, input, i);
      at.push_back(within(s, *mode, index, size));
      // Negative numbers are large without a sign.
      Value fits = s.cmp(CmpIPredicate::ult, index, size);
      isInside = isInside ? s.make<arith::AndIOp>(isInside, fits) : fits;
    }
    if (!isConstant || !isInside)
      return s.at(input, at);
    Value other = outside ? s.at(outside, {}) : s.constant(type, 0);
    if (!maybeEmpty)
      return s.select(isInside, s.at(input, at), other);
    auto branch = scf::IfOp::create(
        s.b, s.loc, isInside,
        [&](OpBuilder &b, Location loc) {
          scf::YieldOp::create(b, loc, Scalars{b, loc}.at(input, at));
        },
        [&](OpBuilder &b, Location loc) {
          scf::YieldOp::create(b, loc, other);
        });
    return branch.getResult(0);
  });
  return n.set(result, dims);
}

void qtale::onnx_import::addPad(NodeTable &table) {
  table.add("Pad", {21, 24, 25}, buildPad)
      .refuses("pads or axes of unknown number", rankIsKnown);
}
