//===- Reduction.cpp - Reductions, CumSum and CumProd ---------------------===//
//
//   ReduceX = finish(fold(combine, prepare(x)))     mean: / count, L2: sqrt
//
// 16-bit floats are summed in f32, means of integers in i64. CumSum adds the
// elements up to each one: quadratic, but loops only over what it reads, and used
// on masks alone.
//
//===----------------------------------------------------------------------===//

#include "Node.h"
#include "NodeTable.h"
#include "OpenAxes.h"

#include "mlir/Dialect/SCF/IR/SCF.h"
#include <functional>

using namespace llvm;
using namespace mlir;
using namespace qtale::onnx_import;

namespace {
enum class Fold { Sum, Product, Maximum, Minimum };

struct Reduction {
  Fold fold;
  /// Of each element, before; and of the result, after.
  bool square = false, absolute = false, mean = false, root = false,
       log = false, exp = false;
};
} // namespace

static Reduction describe(StringRef op) {
  return llvm::StringSwitch<Reduction>(op)
      .Case("ReduceMax", {Fold::Maximum})
      .Case("ReduceMin", {Fold::Minimum})
      .Case("ReduceProd", {Fold::Product})
      .Case("ReduceMean", {Fold::Sum, false, false, true})
      .Case("ReduceSumSquare", {Fold::Sum, true})
      .Case("ReduceL1", {Fold::Sum, false, true})
      .Case("ReduceL2", {Fold::Sum, true, false, false, true})
      .Case("ReduceLogSum", {Fold::Sum, false, false, false, false, true})
      .Default({Fold::Sum});
}

/// What the fold starts with: its neutral element.
static Value neutral(GraphBuilder &g, Fold fold, Type type, bool isUnsigned) {
  Scalars s{g.b, g.loc};
  double infinity = std::numeric_limits<double>::infinity();
  if (fold == Fold::Sum || fold == Fold::Product)
    return s.constant(type, fold == Fold::Product);
  bool top = fold == Fold::Minimum;
  if (isa<FloatType>(type))
    return s.constant(type, top ? infinity : -infinity);
  unsigned width = type.getIntOrFloatBitWidth();
  APInt limit = isUnsigned
                    ? (top ? APInt::getMaxValue(width) : APInt::getZero(width))
                    : (top ? APInt::getSignedMaxValue(width)
                           : APInt::getSignedMinValue(width));
  return arith::ConstantOp::create(g.b, g.loc, g.b.getIntegerAttr(type, limit));
}

static Value combine(Scalars s, Fold fold, bool isUnsigned, Value a, Value c) {
  bool isFloat = isa<FloatType>(a.getType());
  switch (fold) {
  case Fold::Sum:
    return isFloat ? s.make<arith::AddFOp>(a, c) : s.make<arith::AddIOp>(a, c);
  case Fold::Product:
    return isFloat ? s.make<arith::MulFOp>(a, c) : s.make<arith::MulIOp>(a, c);
  case Fold::Maximum:
    if (isFloat)
      return s.make<arith::MaximumFOp>(a, c);
    return isUnsigned ? s.make<arith::MaxUIOp>(a, c)
                      : s.make<arith::MaxSIOp>(a, c);
  case Fold::Minimum:
    if (isFloat)
      return s.make<arith::MinimumFOp>(a, c);
    return isUnsigned ? s.make<arith::MinUIOp>(a, c)
                      : s.make<arith::MinSIOp>(a, c);
  }
  llvm_unreachable("a fold of another kind");
}

namespace {
/// Which axes go, and what is left.
struct Extent {
  SmallVector<int64_t> axes;
  /// Instead, where they are known only at run time: of the input's rank, those
  /// that go being 1, is then what is reduced.
  std::optional<OpenAxes> open;
  /// The result's dims without those axes, and with 1 in their place.
  Dims reduced, kept;
  OpFoldResult count;
  bool keep;
};
} // namespace

static FailureOr<Extent> extentOf(Node &n) {
  Term &x = n.in(0);
  if (std::optional<OpenAxes> open = openAxes(n, 1, x.rank())) {
    Extent extent;
    extent.keep = n.integer("keepdims", 1);
    extent.reduced = extent.kept = open->ones(n.g, x.dims);
    extent.count = n.g.math.product(open->only(n.g, x.dims));
    extent.open = std::move(open);
    return extent;
  }
  auto given = n.axes(1);
  if (failed(given))
    return failure();
  Extent extent;
  extent.keep = n.integer("keepdims", 1);
  bool all = !*given || (*given)->empty();
  if (all && n.integer("noop_with_empty_axes", 0)) {
    // No axis.
  } else if (all) {
    if (x.rows)
      return n.fail("works along the axis of tokens");
    extent.axes = llvm::to_vector(llvm::seq<int64_t>(0, x.rank()));
  } else {
    for (int64_t axis : **given) {
      FailureOr<int64_t> stored = n.axis(x, axis);
      if (failed(stored))
        return failure();
      extent.axes.push_back(*stored);
    }
  }
  if (x.rows && !extent.keep)
    return n.fail("removes an axis of each token's values");
  extent.kept = x.dims;
  extent.count = n.g.math.constant(1);
  for (int64_t i = 0; i < x.rank(); ++i) {
    if (llvm::is_contained(extent.axes, i)) {
      extent.count = n.g.math.mul(extent.count, x.dims[i]);
      extent.kept[i] = n.g.math.constant(1);
    } else {
      extent.reduced.push_back(x.dims[i]);
    }
  }
  return extent;
}

static LogicalResult setReduced(Node &n, const Extent &extent, Value result) {
  if (extent.keep)
    return n.set(n.g.reshape(result, extent.reduced, extent.kept), extent.kept);
  if (!extent.open)
    return n.set(result, extent.reduced);
  Dims dims = extent.open->removed(n.g, n.in(0).dims);
  return n.set(n.g.reshape(result, extent.reduced, dims), dims);
}

/// Folds along axes that are known only at run time: each element of the result
/// loops over all axes, those that stay over one index alone.
static Value foldOpen(GraphBuilder &g, Term &x, const OpenAxes &axes,
                      Value init, GraphBuilder::Body combine) {
  Value input = g.tensor(x);
  Type wide = init.getType();
  return g.generate(axes.ones(g, x.dims), wide, [&](Scalars s) {
    SmallVector<Value> from, to, at;
    for (auto [i, flag] : llvm::enumerate(axes.chosen)) {
      Value own = s.loopIndex(i);
      Value next = s.make<arith::AddIOp>(own, s.index(1));
      Value size = tensor::DimOp::create(s.b, s.loc, input, i);
      from.push_back(s.select(flag, s.index(0), own));
      to.push_back(s.select(flag, size, next));
    }
    std::function<Value(Scalars, Value)> fold = [&](Scalars s,
                                                    Value sum) -> Value {
      size_t axis = at.size();
      if (axis == from.size())
        return combine(s, {s.convert(s.at(input, at), wide, isUnsigned(x.dtype),
                                     isUnsigned(x.dtype)),
                           sum});
      return scf::ForOp::create(
                 s.b, s.loc, from[axis], to[axis], s.index(1), sum,
                 [&](OpBuilder &b, Location loc, Value i, ValueRange sums) {
                   at.push_back(i);
                   Value result = fold(Scalars{b, loc}, sums.front());
                   scf::YieldOp::create(b, loc, result);
                   at.pop_back();
                 })
          .getResult(0);
    };
    return fold(s, init);
  });
}

static Value foldAxes(GraphBuilder &g, Term &x, const Extent &extent,
                      Value init, GraphBuilder::Body combine) {
  if (extent.open)
    return foldOpen(g, x, *extent.open, init, combine);
  return g.reduce(g.tensor(x), x.dims, extent.axes, init, combine);
}

static LogicalResult buildReduce(Node &n) {
  GraphBuilder &g = n.g;
  Term &x = n.in(0);
  Reduction reduction = describe(n.proto.op_type());
  FailureOr<Extent> extent = extentOf(n);
  if (failed(extent))
    return failure();
  // Over no axis, squares, magnitudes, roots and logarithms are still taken.
  bool plain = !reduction.square && !reduction.absolute && !reduction.root &&
               !reduction.log;
  if (plain && extent->axes.empty() && !extent->open &&
      n.integer("noop_with_empty_axes", 0))
    return n.set(0, x);

  Type type = n.type(x), wide = g.computeType(type);
  bool unsignedInput = isUnsigned(x.dtype), wholeInput = isa<IntegerType>(type);
  // The mean of integers and the root of their squares are no larger than they
  // are, but the sum on the way is.
  if (wholeInput && reduction.mean)
    wide = g.b.getI64Type();
  if (wholeInput && reduction.root)
    wide = g.b.getF64Type();
  Value result = foldAxes(
      g, x, *extent, neutral(g, reduction.fold, wide, unsignedInput),
      [&](Scalars s, ValueRange v) {
        Value element = s.convert(v[0], wide, unsignedInput, unsignedInput);
        bool isFloat = isa<FloatType>(wide);
        if (reduction.square)
          element = isFloat ? s.make<arith::MulFOp>(element, element)
                            : s.make<arith::MulIOp>(element, element);
        if (reduction.absolute && isFloat)
          element = math::AbsFOp::create(s.b, s.loc, element);
        else if (reduction.absolute && !unsignedInput)
          element = math::AbsIOp::create(s.b, s.loc, element);
        return combine(s, reduction.fold, unsignedInput, v[1], element);
      });
  if (reduction.mean || reduction.root || reduction.log || wide != type) {
    Value total = g.math.value(extent->count);
    Term sum = g.make(x.dtype, result, extent->reduced);
    result = g.elementwise(
        {&sum}, extent->reduced, type, [&](Scalars s, ValueRange v) {
          Value value = v[0];
          Type own = value.getType();
          bool isFloat = isa<FloatType>(own);
          if (reduction.mean) {
            Value number =
                arith::IndexCastOp::create(s.b, s.loc, s.b.getI64Type(), total);
            Value divisor = s.convert(number, own, false, unsignedInput);
            if (isFloat)
              value = s.make<arith::DivFOp>(value, divisor);
            else {
              divisor = s.make<arith::MaxUIOp>(divisor, s.integer(own, 1));
              value = unsignedInput ? s.make<arith::DivUIOp>(value, divisor)
                                    : s.make<arith::DivSIOp>(value, divisor);
            }
          }
          Type real = isFloat ? own : Type(s.b.getF64Type());
          if (reduction.root || reduction.log) {
            Value number = s.convert(value, real, unsignedInput, false);
            number = reduction.root
                         ? math::SqrtOp::create(s.b, s.loc, number).getResult()
                         : math::LogOp::create(s.b, s.loc, number).getResult();
            value = s.convert(number, own, false, unsignedInput);
          }
          return wholeInput
                     ? s.convert(value, type, unsignedInput, unsignedInput)
                     : value;
        });
  }
  return setReduced(n, *extent, result);
}

/// log(sum(exp(x - top))) + top, which does not overflow; whole numbers as f64.
static LogicalResult buildLogSumExp(Node &n) {
  GraphBuilder &g = n.g;
  FailureOr<Extent> extent = extentOf(n);
  if (failed(extent))
    return failure();
  Term &x = n.in(0);
  Type type = n.type(x);
  bool isReal = isFloat(x.dtype), fromUnsigned = isUnsigned(x.dtype);
  Type wide = isReal ? g.computeType(type) : Type(g.b.getF64Type());
  int32_t dtype =
      wide.isF64() ? onnx::TensorProto::DOUBLE : onnx::TensorProto::FLOAT;
  Term real =
      g.make(dtype,
             g.elementwise({&x}, x.dims, wide,
                           [&](Scalars s, ValueRange v) {
                             return s.convert(v[0], wide, fromUnsigned, false);
                           }),
             x.dims);
  Value greatest =
      foldAxes(g, real, *extent, neutral(g, Fold::Maximum, wide, false),
               [](Scalars s, ValueRange v) {
                 return combine(s, Fold::Maximum, false, v[1], v[0]);
               });
  // Infinities move nothing: their differences would be NaN.
  auto finite = [&](Scalars s, Value top) {
    Value magnitude = math::AbsFOp::create(s.b, s.loc, top);
    Value infinite = arith::CmpFOp::create(
        s.b, s.loc, arith::CmpFPredicate::OEQ, magnitude,
        s.constant(wide, std::numeric_limits<double>::infinity()));
    return s.select(infinite, s.constant(wide, 0), top);
  };
  Term top = g.make(dtype, g.reshape(greatest, extent->reduced, extent->kept),
                    extent->kept);
  auto power = [&](Scalars s, ValueRange v) -> Value {
    Value moved = s.make<arith::SubFOp>(v[0], finite(s, v[1]));
    return math::ExpOp::create(s.b, s.loc, moved);
  };
  // Dimensions that are 1 or not at run time don't broadcast by themselves.
  auto openPower = [&](Scalars s) {
    SmallVector<Value> at, line;
    for (int64_t i = 0; i < x.rank(); ++i) {
      at.push_back(s.loopIndex(i));
      line.push_back(s.clamped(at.back(), top.value, i));
    }
    return power(s, {s.at(real.value, at), s.at(top.value, line)});
  };
  Term powers =
      g.make(dtype,
             extent->open ? g.generate(x.dims, wide, openPower)
                          : g.elementwise({&real, &top}, x.dims, wide, power),
             x.dims);
  Value total = foldAxes(g, powers, *extent, neutral(g, Fold::Sum, wide, false),
                         [](Scalars s, ValueRange v) {
                           return combine(s, Fold::Sum, false, v[1], v[0]);
                         });
  Term sum = g.make(dtype, total, extent->reduced);
  Term base = g.make(dtype, greatest, extent->reduced);
  Value result = g.elementwise(
      {&sum, &base}, extent->reduced, type, [&](Scalars s, ValueRange v) {
        Value value = math::LogOp::create(s.b, s.loc, v[0]);
        value = s.make<arith::AddFOp>(value, finite(s, v[1]));
        return isReal ? value : s.convert(value, type, false, fromUnsigned);
      });
  return setReduced(n, *extent, result);
}

static LogicalResult buildCumulative(Node &n) {
  GraphBuilder &g = n.g;
  Fold fold = n.proto.op_type() == "CumProd" ? Fold::Product : Fold::Sum;
  Term &x = n.in(0);
  std::optional<Dims> given = g.indices(n.in(1));
  if (!given || given->size() != 1)
    return n.fail("needs one axis");
  std::optional<int64_t> known = getConstantIntValue(given->front());
  Value open;
  if (known) {
    FailureOr<int64_t> axis = n.axis(x, *known);
    if (failed(axis))
      return failure();
    known = *axis;
  } else {
    open = openAxis(n, given->front(), x.rank());
  }
  bool exclusive = n.integer("exclusive", 0), reverse = n.integer("reverse", 0);
  Value input = g.tensor(x);
  Type type = n.type(x), wide = g.computeType(type);
  Value result = g.generate(x.dims, type, [&](Scalars s) -> Value {
    SmallVector<Value> at;
    for (int64_t i = 0; i < x.rank(); ++i)
      at.push_back(s.loopIndex(i));
    // What belongs to the axis, and otherwise.
    auto pick = [&](Scalars s, int64_t i, Value its, Value other) {
      if (known)
        return i == *known ? its : other;
      Value isAxis = s.cmp(arith::CmpIPredicate::eq, open, s.index(i));
      return s.select(isAxis, its, other);
    };
    // [0, i] or [i, dim), without i itself where exclusive.
    Value own = s.index(0), size = own;
    for (int64_t i = 0; i < x.rank(); ++i) {
      own = pick(s, i, at[i], own);
      size = pick(s, i, tensor::DimOp::create(s.b, s.loc, input, i), size);
    }
    Value next = s.make<arith::AddIOp>(own, s.index(1));
    Value from = reverse ? (exclusive ? next : own) : s.index(0);
    Value to = reverse ? size : (exclusive ? own : next);
    auto loop = scf::ForOp::create(
        s.b, s.loc, from, to, s.index(1),
        s.constant(wide, fold == Fold::Product),
        [&](OpBuilder &b, Location loc, Value i, ValueRange sums) {
          Scalars inner{b, loc};
          SmallVector<Value> element;
          for (auto [k, other] : llvm::enumerate(at))
            element.push_back(pick(inner, k, i, other));
          Value value =
              inner.convert(inner.at(input, element), wide, false, false);
          scf::YieldOp::create(
              b, loc, combine(inner, fold, false, sums.front(), value));
        });
    return s.convert(loop.getResult(0), type, false, false);
  });
  return n.set(result, x.dims);
}

void qtale::onnx_import::addReduction(NodeTable &table) {
  for (StringRef op : {"ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin",
                       "ReduceProd", "ReduceSumSquare", "ReduceL1", "ReduceL2"})
    table.add(op, op == "ReduceSum" ? 13 : 18, buildReduce, RowsRule::Axes)
        .refuses("axes of unknown number", rankIsKnown);
  table.add("ReduceLogSum", {18, 28}, buildReduce, RowsRule::Axes)
      .refuses("axes of unknown number", rankIsKnown);
  table.add("ReduceLogSumExp", {18, 28}, buildLogSumExp, RowsRule::Axes)
      .refuses("axes of unknown number", rankIsKnown);
  table.add("CumSum", 14, buildCumulative);
  table.add("CumProd", 26, buildCumulative);
}
