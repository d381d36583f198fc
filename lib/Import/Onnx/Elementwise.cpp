//===- Elementwise.cpp - One number from one of each input ----------------===//
//
//   arithmetic  unary functions  comparisons  logic  Where  Clip  Cast
//
// A table of scalar bodies. 16-bit floats are computed in f32. Integer
// arithmetic is defined everywhere: x / 0 gives x, minimum / -1 wraps.
// Arithmetic on shapes (small integer vectors) is done on index values, as far
// as these give what the type gives.
//
//===----------------------------------------------------------------------===//

#include "Elementwise.h"
#include "KnownAnswers.h"
#include "LowBitTypes.h"
#include "Model.h"
#include "NodeTable.h"

using namespace llvm;
using namespace mlir;
using namespace qtale::onnx_import;
using arith::CmpFPredicate;
using arith::CmpIPredicate;
using onnx::TensorProto;

//===----------------------------------------------------------------------===//
// Arithmetic
//===----------------------------------------------------------------------===//

template <typename FloatOp, typename IntOp>
static Value arithmetic(const ElementContext &c, ValueRange v) {
  return c.isFloat(v[0]) ? c.binary<FloatOp>(v[0], v[1])
                         : c.binary<IntOp>(v[0], v[1]);
}

/// A divisor that can't trap, and whether it was -1.
static std::pair<Value, Value> safeDivisor(const ElementContext &c,
                                           Value divisor) {
  Type type = divisor.getType();
  Value zero = c.s.integer(type, 0), one = c.s.integer(type, 1);
  Value isZero = c.s.cmp(CmpIPredicate::eq, divisor, zero);
  Value isMinusOne = c.s.cmp(CmpIPredicate::eq, divisor, c.s.integer(type, -1));
  if (!c.isUnsigned)
    isZero = c.binary<arith::OrIOp>(isZero, isMinusOne);
  return {c.s.select(isZero, one, divisor), isMinusOne};
}

static Value divide(const ElementContext &c, ValueRange v) {
  if (c.isFloat(v[0]))
    return c.binary<arith::DivFOp>(v[0], v[1]);
  auto [divisor, isMinusOne] = safeDivisor(c, v[1]);
  if (c.isUnsigned)
    return c.binary<arith::DivUIOp>(v[0], divisor);
  Value negated = c.binary<arith::SubIOp>(c.s.integer(v[0].getType(), 0), v[0]);
  return c.s.select(isMinusOne, negated,
                    c.binary<arith::DivSIOp>(v[0], divisor));
}

static Value modulo(const ElementContext &c, ValueRange v) {
  if (c.isFloat(v[0])) {
    Value rest = c.binary<arith::RemFOp>(v[0], v[1]);
    if (c.node.integer("fmod", 0))
      return rest;
    // The sign of the divisor, also of zero.
    Value zero = c.real(rest, 0);
    auto isNegative = [&](Value x) -> Value {
      return arith::CmpFOp::create(c.s.b, c.s.loc, CmpFPredicate::OLT, x, zero);
    };
    Value isZero =
        arith::CmpFOp::create(c.s.b, c.s.loc, CmpFPredicate::OEQ, rest, zero);
    Value differ = c.binary<arith::XOrIOp>(isNegative(rest), isNegative(v[1]));
    Value moved = c.s.select(differ, c.binary<arith::AddFOp>(rest, v[1]), rest);
    Value signedZero = c.s.select(isNegative(v[1]), c.real(rest, -0.0), zero);
    return c.s.select(isZero, signedZero, moved);
  }
  Value divisor = safeDivisor(c, v[1]).first;
  if (c.isUnsigned)
    return c.binary<arith::RemUIOp>(v[0], divisor);
  Value rest = c.binary<arith::RemSIOp>(v[0], divisor);
  if (c.node.integer("fmod", 0))
    return rest;
  // The sign of the divisor: rest + divisor where the signs differ.
  Value zero = c.s.integer(rest.getType(), 0);
  Value differ =
      c.s.cmp(CmpIPredicate::slt, c.binary<arith::XOrIOp>(rest, divisor), zero);
  Value isRest = c.s.cmp(CmpIPredicate::ne, rest, zero);
  return c.s.select(c.binary<arith::AndIOp>(differ, isRest),
                    c.binary<arith::AddIOp>(rest, divisor), rest);
}

/// x^0.5, which other than a root is +0 of -0, and infinite of -infinity.
static Value squareRoot(const ElementContext &c, Value x) {
  double infinity = std::numeric_limits<double>::infinity();
  Value root = c.unary<math::SqrtOp>(c.binary<arith::AddFOp>(x, c.real(x, 0)));
  Value isLeast = arith::CmpFOp::create(c.s.b, c.s.loc, CmpFPredicate::OEQ, x,
                                        c.real(x, -infinity));
  return c.s.select(isLeast, c.real(x, infinity), root);
}

/// Small constant exponents are products and roots.
static Value power(const ElementContext &c, ValueRange v) {
  Value base = v[0];
  if (c.isFloat(base)) {
    std::optional<double> exponent = c.node.g.number(c.node.in(1));
    if (exponent == 2.0)
      return c.binary<arith::MulFOp>(base, base);
    if (exponent == 3.0)
      return c.binary<arith::MulFOp>(c.binary<arith::MulFOp>(base, base), base);
    if (exponent == 1.0)
      return base;
    if (exponent == 0.5)
      return squareRoot(c, base);
    if (exponent == -0.5)
      return c.binary<arith::DivFOp>(c.real(base, 1), squareRoot(c, base));
    if (exponent == -1.0)
      return c.binary<arith::DivFOp>(c.real(base, 1), base);
    Value converted = c.s.convert(v[1], base.getType(),
                                  isUnsigned(c.node.in(1).dtype), false);
    return c.binary<math::PowFOp>(base, converted);
  }
  Type f64 = c.s.b.getF64Type();
  Value result = c.binary<math::PowFOp>(
      c.s.convert(base, f64, c.isUnsigned, false),
      c.s.convert(v[1], f64, isUnsigned(c.node.in(1).dtype), false));
  return c.s.convert(result, base.getType(), false, c.isUnsigned);
}

static Value minimum(const ElementContext &c, Value a, Value b) {
  if (c.isFloat(a))
    return c.binary<arith::MinimumFOp>(a, b);
  return c.isUnsigned ? c.binary<arith::MinUIOp>(a, b)
                      : c.binary<arith::MinSIOp>(a, b);
}

static Value maximum(const ElementContext &c, Value a, Value b) {
  if (c.isFloat(a))
    return c.binary<arith::MaximumFOp>(a, b);
  return c.isUnsigned ? c.binary<arith::MaxUIOp>(a, b)
                      : c.binary<arith::MaxSIOp>(a, b);
}

template <typename FloatOp, typename IntOp>
static Value fold(const ElementContext &c, ValueRange v) {
  Value result = v[0];
  for (Value next : v.drop_front())
    result = c.isFloat(result) ? c.binary<FloatOp>(result, next)
                               : c.binary<IntOp>(result, next);
  return result;
}

static Value minimumOfAll(const ElementContext &c, ValueRange v) {
  Value result = v[0];
  for (Value next : v.drop_front())
    result = minimum(c, result, next);
  return result;
}

static Value maximumOfAll(const ElementContext &c, ValueRange v) {
  Value result = v[0];
  for (Value next : v.drop_front())
    result = maximum(c, result, next);
  return result;
}

static Value meanOfAll(const ElementContext &c, ValueRange v) {
  Value sum = fold<arith::AddFOp, arith::AddIOp>(c, v);
  return c.binary<arith::DivFOp>(sum, c.real(sum, v.size()));
}

//===----------------------------------------------------------------------===//
// Functions of one number
//===----------------------------------------------------------------------===//

template <typename Op>
static Value function(const ElementContext &c, ValueRange v) {
  return c.unary<Op>(v[0]);
}

static Value negate(const ElementContext &c, ValueRange v) {
  if (c.isFloat(v[0]))
    return c.unary<arith::NegFOp>(v[0]);
  return c.binary<arith::SubIOp>(c.s.integer(v[0].getType(), 0), v[0]);
}

static Value absolute(const ElementContext &c, ValueRange v) {
  if (c.isFloat(v[0]))
    return c.unary<math::AbsFOp>(v[0]);
  return c.isUnsigned ? v[0] : c.unary<math::AbsIOp>(v[0]);
}

static Value reciprocal(const ElementContext &c, ValueRange v) {
  return c.binary<arith::DivFOp>(c.real(v[0], 1), v[0]);
}

static Value sign(const ElementContext &c, ValueRange v) {
  Value x = v[0], zero = c.real(x, 0), one = c.real(x, 1);
  Value above = c.compare(CmpFPredicate::OGT, CmpIPredicate::sgt,
                          CmpIPredicate::ugt, x, zero);
  if (c.isUnsigned)
    return c.s.select(above, one, zero);
  Value below = c.compare(CmpFPredicate::OLT, CmpIPredicate::slt,
                          CmpIPredicate::ult, x, zero);
  // NaN is neither, and stays.
  Value rest = c.isFloat(x) ? x : zero;
  return c.s.select(above, one, c.s.select(below, c.real(x, -1), rest));
}

static Value clip(const ElementContext &c, ValueRange v) {
  Value result = v[0];
  unsigned next = 1;
  if (c.node.has(1))
    result = maximum(c, result, v[next++]);
  if (c.node.has(2))
    result = minimum(c, result, v[next]);
  return result;
}

/// The float of an element that may be a code.
static Value decoded(const ElementContext &c, Value v) {
  const LowBitType *type = lowBitType(c.node.in(0).dtype);
  return type ? decode(c.s, v, *type) : v;
}

static Value isNaN(const ElementContext &c, ValueRange v) {
  Value x = decoded(c, v[0]);
  return arith::CmpFOp::create(c.s.b, c.s.loc, CmpFPredicate::UNO, x, x);
}

static Value isInf(const ElementContext &c, ValueRange v) {
  double infinity = std::numeric_limits<double>::infinity();
  Value x = decoded(c, v[0]), result;
  for (auto [name, value] : {std::pair("detect_positive", infinity),
                             std::pair("detect_negative", -infinity)}) {
    Value hit =
        c.node.integer(name, 1)
            ? Value(arith::CmpFOp::create(c.s.b, c.s.loc, CmpFPredicate::OEQ, x,
                                          c.real(x, value)))
            : c.s.integer(c.s.b.getI1Type(), 0);
    result = result ? c.binary<arith::OrIOp>(result, hit) : hit;
  }
  return result;
}

//===----------------------------------------------------------------------===//
// Comparisons and logic
//===----------------------------------------------------------------------===//

static Value equal(const ElementContext &c, ValueRange v) {
  return c.compare(CmpFPredicate::OEQ, CmpIPredicate::eq, CmpIPredicate::eq,
                   v[0], v[1]);
}
static Value greater(const ElementContext &c, ValueRange v) {
  return c.compare(CmpFPredicate::OGT, CmpIPredicate::sgt, CmpIPredicate::ugt,
                   v[0], v[1]);
}
static Value greaterOrEqual(const ElementContext &c, ValueRange v) {
  return c.compare(CmpFPredicate::OGE, CmpIPredicate::sge, CmpIPredicate::uge,
                   v[0], v[1]);
}
static Value less(const ElementContext &c, ValueRange v) {
  return greater(c, {v[1], v[0]});
}
static Value lessOrEqual(const ElementContext &c, ValueRange v) {
  return greaterOrEqual(c, {v[1], v[0]});
}
template <typename Op>
static Value logic(const ElementContext &c, ValueRange v) {
  return c.binary<Op>(v[0], v[1]);
}
/// All bits leave where the distance is the width or more.
static Value bitShift(const ElementContext &c, ValueRange v) {
  Value width =
      c.s.integer(v[0].getType(), v[0].getType().getIntOrFloatBitWidth());
  Value fits = c.s.cmp(CmpIPredicate::ult, v[1], width);
  Value distance = c.s.select(fits, v[1], c.s.integer(v[0].getType(), 0));
  bool left = c.node.text("direction", "LEFT") == "LEFT";
  // Signed integers (opset 28) keep their sign.
  Value filled = c.s.integer(v[0].getType(), 0);
  Value shifted;
  if (left) {
    shifted = c.binary<arith::ShLIOp>(v[0], distance);
  } else if (c.isUnsigned) {
    shifted = c.binary<arith::ShRUIOp>(v[0], distance);
  } else {
    shifted = c.binary<arith::ShRSIOp>(v[0], distance);
    filled = c.binary<arith::ShRSIOp>(
        v[0], c.s.integer(v[0].getType(),
                          v[0].getType().getIntOrFloatBitWidth() - 1));
  }
  return c.s.select(fits, shifted, filled);
}
static Value invert(const ElementContext &c, ValueRange v) {
  return c.binary<arith::XOrIOp>(v[0], c.s.integer(v[0].getType(), -1));
}
static Value where(const ElementContext &c, ValueRange v) {
  return c.s.select(v[0], v[1], v[2]);
}

//===----------------------------------------------------------------------===//
// Builders
//===----------------------------------------------------------------------===//

LogicalResult qtale::onnx_import::loop(Node &n, int32_t dtype, ScalarBody body,
                                       unsigned typed) {
  SmallVector<Term *> inputs;
  SmallVector<ArrayRef<OpFoldResult>> shapes;
  for (unsigned i = 0; i < n.size(); ++i)
    if (n.has(i)) {
      inputs.push_back(&n.in(i));
      shapes.push_back(n.in(i).dims);
    }
  std::optional<Dims> dims = n.g.broadcast(shapes);
  if (!dims)
    return n.fail("the inputs' shapes don't fit each other");
  bool unsignedInput = isUnsigned(n.in(typed).dtype);
  Value result =
      n.g.elementwise(inputs, *dims, elementType(n.g.context(), dtype),
                      [&](Scalars s, ValueRange v) {
                        return body(ElementContext{n, s, unsignedInput}, v);
                      });
  return n.set(0, n.g.make(dtype, result, *dims));
}

/// Both inputs as index values, if this is shape arithmetic: their elements,
/// brought to one length.
static std::optional<std::pair<Dims, Dims>> shapeOperands(Node &n) {
  if (n.size() != 2 || !n.in(0).elements || !n.in(1).elements ||
      n.in(0).rank() > 1 || n.in(1).rank() > 1)
    return std::nullopt;
  Dims a = *n.in(0).elements, c = *n.in(1).elements;
  if (a.size() == 1)
    a.resize(c.size(), a.front());
  if (c.size() == 1)
    c.resize(a.size(), c.front());
  if (a.size() != c.size())
    return std::nullopt;
  return std::pair(a, c);
}

static bool setWrapped(Node &n, int32_t dtype, ArrayRef<OpFoldResult> results,
                       bool scalar) {
  auto elements = n.g.wrapped(dtype, results, n.proto.op_type());
  return elements &&
         succeeded(n.set(0, n.g.fromElements(dtype, *elements, scalar)));
}

template <OpFoldResult (IndexMath::*Op)(OpFoldResult, OpFoldResult)>
static bool onShapes(Node &n) {
  auto operands = shapeOperands(n);
  int32_t dtype = n.in(0).dtype;
  if (!operands || !isInteger(dtype))
    return false;
  Dims result;
  for (auto [a, c] : llvm::zip(operands->first, operands->second)) {
    // Index values have a sign.
    if (dtype == TensorProto::UINT64 &&
        !(n.g.math.isNonNegative(a) && n.g.math.isNonNegative(c)))
      return false;
    result.push_back((n.g.math.*Op)(a, c));
  }
  bool scalar = n.in(0).rank() == 0 && n.in(1).rank() == 0;
  return setWrapped(n, dtype, result, scalar);
}

template <ScalarBody body> static LogicalResult predicate(Node &n) {
  return loop(n, TensorProto::BOOL, body);
}
template <OpFoldResult (IndexMath::*Op)(OpFoldResult, OpFoldResult),
          ScalarBody body>
static LogicalResult shapeAware(Node &n) {
  if (onShapes<Op>(n))
    return success();
  return same<body>(n);
}

/// A comparison or logic, whose answer may be known now.
template <typename Op, Build otherwise> static LogicalResult decided(Node &n) {
  if (auto answer = knownAnswer(
          n, [](int64_t a, int64_t c) -> bool { return Op()(a, c); }))
    return n.set(0, *answer);
  return otherwise(n);
}

struct IsZero {
  bool operator()(int64_t a, int64_t) const { return a == 0; }
};

/// Neg of axes and the like.
static LogicalResult buildNeg(Node &n) {
  Term &x = n.in(0);
  if (x.elements && x.rank() <= 1) {
    Dims result;
    for (OpFoldResult element : *x.elements)
      result.push_back(n.g.math.sub(n.g.math.constant(0), element));
    if (setWrapped(n, x.dtype, result, x.rank() == 0))
      return success();
  }
  return same<negate>(n);
}

/// Equal of shapes, where all answers are known now.
static LogicalResult buildEqual(Node &n) {
  if (auto operands = shapeOperands(n)) {
    Dims result;
    for (auto [a, c] : llvm::zip(operands->first, operands->second)) {
      auto x = getConstantIntValue(a), y = getConstantIntValue(c);
      if ((x && y) || n.g.math.same(a, c))
        result.push_back(n.g.math.constant(n.g.math.same(a, c)));
      else if ((x && *x < 0 && n.g.math.isNonNegative(c)) ||
               (y && *y < 0 && n.g.math.isNonNegative(a)))
        result.push_back(n.g.math.constant(0));
    }
    bool scalar = n.in(0).rank() == 0 && n.in(1).rank() == 0;
    if (result.size() == operands->first.size())
      return n.set(0, n.g.fromElements(TensorProto::BOOL, result, scalar));
  }
  return predicate<equal>(n);
}

/// Where of lists, broadcast to each other, whose choices are all known now.
static std::optional<Term> chosenNow(Node &n) {
  Dims lists[3];
  size_t size = 1;
  bool scalar = true;
  for (auto [i, list] : llvm::enumerate(lists)) {
    Term &input = n.in(i);
    if (!input.elements || input.rank() > 1)
      return std::nullopt;
    list = *input.elements;
    scalar &= input.rank() == 0;
    if (list.size() != 1)
      size = list.size();
  }
  for (Dims &list : lists)
    if (list.size() == 1)
      list.assign(size, OpFoldResult(list.front()));
    else if (list.size() != size)
      return std::nullopt;
  Dims result;
  for (auto [condition, yes, no] : llvm::zip(lists[0], lists[1], lists[2])) {
    auto flag = getConstantIntValue(condition);
    if (!flag)
      return std::nullopt;
    result.push_back(*flag ? yes : no);
  }
  return n.g.fromElements(n.in(1).dtype, result, scalar);
}

static LogicalResult buildWhere(Node &n) {
  if (auto chosen = chosenNow(n))
    return n.set(0, *chosen);
  return loop(n, n.in(1).dtype, where, 1);
}

/// Whether elements of the second type are the same ones in the first; all are
/// held in 64 bits.
static bool holds(int32_t to, int32_t from) {
  unsigned width = elementBits(to);
  return width == 64 ||
         (width > elementBits(from) && (isUnsigned(from) || !isUnsigned(to)));
}

static LogicalResult castTo(Node &n, int32_t dtype) {
  Term &input = n.in(0);
  Type type = elementType(n.g.context(), dtype);
  if (!type)
    return n.fail("converts to the element type " + refusal(dtype));
  if (dtype == input.dtype)
    return n.set(0, input);
  Rounding rounding;
  rounding.saturate = n.integer("saturate", 1);
  std::string mode = n.text("round_mode", "up");
  if (mode != "up" && mode != "down" && mode != "nearest")
    return n.fail("has a round_mode of '" + mode +
                  "'; it is up, down or nearest");
  rounding.power = mode == "up"     ? Rounding::Up
                   : mode == "down" ? Rounding::Down
                                    : Rounding::Nearest;
  if (input.elements && isInteger(dtype) && isInteger(input.dtype)) {
    bool scalar = input.rank() == 0;
    if (holds(dtype, input.dtype))
      return n.set(0, n.g.fromElements(dtype, *input.elements, scalar));
    if (setWrapped(n, dtype, *input.elements, scalar))
      return success();
  }
  const LowBitType *from = lowBitType(input.dtype);
  if (input.recipe && (isFloat(input.dtype) || (from && !from->isInteger())) &&
      isFloat(dtype) && !type.isF64()) {
    Term result;
    result.dtype = dtype;
    result.dims = input.dims;
    result.recipe = recipes::cast(input.recipe, type);
    result.name = input.name;
    return n.set(0, result);
  }
  Value result =
      n.g.elementwise({&input}, input.dims, type, [&](Scalars s, ValueRange v) {
        return convertElement(s, v[0], input.dtype, dtype,
                              n.g.computeType(type), rounding);
      });
  return n.set(0, n.g.make(dtype, result, input.dims));
}

static LogicalResult buildCast(Node &n) {
  return castTo(n, n.integer("to", TensorProto::FLOAT));
}
static LogicalResult buildCastLike(Node &n) { return castTo(n, n.in(1).dtype); }

void qtale::onnx_import::addElementwise(NodeTable &table) {
  auto add = [&](StringRef op, Revisions revisions, Build build) {
    table.add(op, revisions, build, RowsRule::Elementwise);
  };
  add("Add", 14,
      shapeAware<&IndexMath::add, arithmetic<arith::AddFOp, arith::AddIOp>>);
  add("Sub", 14,
      shapeAware<&IndexMath::sub, arithmetic<arith::SubFOp, arith::SubIOp>>);
  add("Mul", 14,
      shapeAware<&IndexMath::mul, arithmetic<arith::MulFOp, arith::MulIOp>>);
  add("Div", 14, shapeAware<&IndexMath::quotient, divide>);
  add("Mod", {13, 28}, same<modulo>);
  add("Pow", 15, same<power>);
  add("Min", 13, shapeAware<&IndexMath::lesser, minimumOfAll>);
  add("Max", 13, shapeAware<&IndexMath::max, maximumOfAll>);
  add("Sum", 13, same<fold<arith::AddFOp, arith::AddIOp>>);
  add("Mean", 13, same<meanOfAll>);

  add("Neg", 13, buildNeg);
  add("Abs", 13, same<absolute>);
  add("Sqrt", 13, same<function<math::SqrtOp>>);
  add("Reciprocal", 13, same<reciprocal>);
  add("Exp", 13, same<function<math::ExpOp>>);
  add("Log", 13, same<function<math::LogOp>>);
  add("Erf", 13, same<function<math::ErfOp>>);
  add("Tanh", 13, same<function<math::TanhOp>>);
  add("Sin", 22, same<function<math::SinOp>>);
  add("Cos", 22, same<function<math::CosOp>>);
  add("Floor", 13, same<function<math::FloorOp>>);
  add("Ceil", 13, same<function<math::CeilOp>>);
  add("Round", 22, same<function<math::RoundEvenOp>>);
  add("Sign", 13, same<sign>);
  add("Clip", 13, same<clip>);
  add("IsNaN", 20, predicate<isNaN>);
  add("IsInf", 20, predicate<isInf>);

  add("Equal", 19, buildEqual);
  add("Greater", 13, decided<std::greater<>, predicate<greater>>);
  add("GreaterOrEqual", 16,
      decided<std::greater_equal<>, predicate<greaterOrEqual>>);
  add("Less", 13, decided<std::less<>, predicate<less>>);
  add("LessOrEqual", 16, decided<std::less_equal<>, predicate<lessOrEqual>>);
  add("And", 7, decided<std::logical_and<>, same<logic<arith::AndIOp>>>);
  add("Or", 7, decided<std::logical_or<>, same<logic<arith::OrIOp>>>);
  add("Xor", 7, decided<std::not_equal_to<>, same<logic<arith::XOrIOp>>>);
  add("Not", 1, decided<IsZero, same<invert>>);
  add("BitwiseAnd", 18, same<logic<arith::AndIOp>>);
  add("BitwiseOr", 18, same<logic<arith::OrIOp>>);
  add("BitwiseXor", 18, same<logic<arith::XOrIOp>>);
  add("BitwiseNot", 18, same<invert>);
  add("BitShift", {11, 28}, same<bitShift>);
  add("Where", 16, buildWhere);
  add("Cast", {23, 24, 25, 28}, buildCast);
  add("CastLike", {23, 24, 25}, buildCastLike);
}
