//===- Reduction.cpp - Reductions and CumSum ------------------------------===//
//
//   ReduceX = finish(fold(combine, prepare(x)))     mean: / count, L2: sqrt
//
// 16-bit floats are summed in f32. CumSum adds the elements up to each one:
// quadratic, but loops only over what it reads, and used on masks alone.
//
//===----------------------------------------------------------------------===//

#include "Node.h"
#include "NodeTable.h"

#include "mlir/Dialect/SCF/IR/SCF.h"

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

static LogicalResult buildReduce(Node &n) {
  GraphBuilder &g = n.g;
  Term &x = n.in(0);
  Reduction reduction = describe(n.proto.op_type());
  auto given = n.axes(1);
  if (failed(given))
    return failure();
  SmallVector<int64_t> axes;
  bool all = !*given || (*given)->empty();
  bool none = all && n.integer("noop_with_empty_axes", 0);
  // Over no axis, squares, magnitudes, roots and logarithms are still taken.
  bool plain = !reduction.square && !reduction.absolute && !reduction.root &&
               !reduction.log;
  if (none && plain)
    return n.set(0, x);
  if (none) {
    // No axis.
  } else if (all) {
    if (x.rows)
      return n.fail("works along the axis of tokens");
    axes.assign(llvm::to_vector(llvm::seq<int64_t>(0, x.rank())));
  } else {
    for (int64_t axis : **given) {
      FailureOr<int64_t> stored = n.axis(x, axis);
      if (failed(stored))
        return failure();
      axes.push_back(*stored);
    }
  }
  bool keep = n.integer("keepdims", 1);
  if (x.rows && !keep)
    return n.fail("removes an axis of each token's values");

  Type type = n.type(x), wide = g.computeType(type);
  bool unsignedInput = isUnsigned(x.dtype);
  Value result = g.reduce(
      g.tensor(x), x.dims, axes,
      neutral(g, reduction.fold, wide, unsignedInput),
      [&](Scalars s, ValueRange v) {
        Value element = v[0];
        bool isFloat = isa<FloatType>(element.getType());
        if (reduction.square)
          element = isFloat ? s.make<arith::MulFOp>(element, element)
                            : s.make<arith::MulIOp>(element, element);
        if (reduction.absolute && isFloat)
          element = math::AbsFOp::create(s.b, s.loc, element);
        else if (reduction.absolute && !unsignedInput)
          element = math::AbsIOp::create(s.b, s.loc, element);
        return combine(s, reduction.fold, unsignedInput, v[1], element);
      });
  Dims reduced, kept(x.dims);
  OpFoldResult count = g.math.constant(1);
  for (int64_t i = 0; i < x.rank(); ++i) {
    if (llvm::is_contained(axes, i)) {
      count = g.math.mul(count, x.dims[i]);
      kept[i] = g.math.constant(1);
    } else {
      reduced.push_back(x.dims[i]);
    }
  }
  if (reduction.mean || reduction.root || reduction.log || wide != type) {
    Value total = g.math.value(count);
    Term sum = g.make(x.dtype, result, reduced);
    result = g.elementwise({&sum}, reduced, type, [&](Scalars s, ValueRange v) {
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
      return value;
    });
  }
  return n.set(keep ? g.reshape(result, reduced, kept) : result,
               keep ? kept : reduced);
}

static LogicalResult buildCumSum(Node &n) {
  GraphBuilder &g = n.g;
  Term &x = n.in(0);
  auto given = g.integers(n.in(1));
  if (!given || given->size() != 1)
    return n.fail("needs an axis that is constant");
  FailureOr<int64_t> axis = n.axis(x, given->front());
  if (failed(axis))
    return failure();
  bool exclusive = n.integer("exclusive", 0), reverse = n.integer("reverse", 0);
  Value input = g.tensor(x);
  Type type = n.type(x), wide = g.computeType(type);
  Value result = g.generate(x.dims, type, [&](Scalars s) -> Value {
    SmallVector<Value> at;
    for (int64_t i = 0; i < x.rank(); ++i)
      at.push_back(s.loopIndex(i));
    // [0, i] or [i, dim), without i itself where exclusive.
    Value own = at[*axis], next = s.make<arith::AddIOp>(own, s.index(1));
    Value size = tensor::DimOp::create(s.b, s.loc, input, *axis);
    Value from = reverse ? (exclusive ? next : own) : s.index(0);
    Value to = reverse ? size : (exclusive ? own : next);
    auto loop = scf::ForOp::create(
        s.b, s.loc, from, to, s.index(1), s.constant(wide, 0),
        [&](OpBuilder &b, Location loc, Value i, ValueRange sums) {
          Scalars inner{b, loc};
          SmallVector<Value> element(at);
          element[*axis] = i;
          Value value =
              inner.convert(inner.at(input, element), wide, false, false);
          scf::YieldOp::create(
              b, loc, combine(inner, Fold::Sum, false, sums.front(), value));
        });
    return s.convert(loop.getResult(0), type, false, false);
  });
  return n.set(result, x.dims);
}

void qtale::onnx_import::addReduction(NodeTable &table) {
  for (StringRef op : {"ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin",
                       "ReduceProd", "ReduceSumSquare", "ReduceL1", "ReduceL2"})
    table.add(op, op == "ReduceSum" ? 13 : 18, buildReduce, RowsRule::Axes);
  table.add("ReduceLogSum", {18, 28}, buildReduce, RowsRule::Axes);
  table.add("CumSum", 14, buildCumSum);
}
