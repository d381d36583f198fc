//===- Constants.cpp - Constant, ConstantOfShape, Range -------------------===//
//
// What is small and known now stays a list of numbers, for shape arithmetic;
// the rest is filled or counted at run time.
//
//===----------------------------------------------------------------------===//

#include "Model.h"
#include "Node.h"
#include "NodeTable.h"

#include "mlir/Dialect/ControlFlow/IR/ControlFlowOps.h"
#include "llvm/Support/MathExtras.h"

using namespace llvm;
using namespace mlir;
using namespace qtale::onnx_import;
using onnx::TensorProto;

static LogicalResult buildConstant(Node &n) {
  MLIRContext *context = n.g.context();
  auto vectorOf = [&](int32_t dtype, auto list, bool scalar) {
    Type type = elementType(context, dtype);
    SmallVector<int64_t> shape;
    if (!scalar)
      shape.push_back(list.size());
    return n.set(
        0, n.g.fromConstant(
               dtype, DenseElementsAttr::get(RankedTensorType::get(shape, type),
                                             ArrayRef(list))));
  };
  for (const onnx::AttributeProto &attribute : n.proto.attribute()) {
    StringRef name = attribute.name();
    if (name == "value") {
      std::string error;
      DenseElementsAttr values = tensorValues(context, attribute.t(), error);
      if (!values)
        return n.fail(error);
      return n.set(0, n.g.fromConstant(attribute.t().data_type(), values));
    }
    if (name == "value_int")
      return vectorOf(TensorProto::INT64, SmallVector<int64_t>{attribute.i()},
                      true);
    if (name == "value_ints")
      return vectorOf(TensorProto::INT64,
                      SmallVector<int64_t>(attribute.ints().begin(),
                                           attribute.ints().end()),
                      false);
    if (name == "value_float")
      return vectorOf(TensorProto::FLOAT, SmallVector<float>{attribute.f()},
                      true);
    if (name == "value_floats")
      return vectorOf(TensorProto::FLOAT,
                      SmallVector<float>(attribute.floats().begin(),
                                         attribute.floats().end()),
                      false);
  }
  return n.fail("only tensors, numbers and lists of numbers are supported, but "
                "no text and no sparse tensors");
}

static LogicalResult buildConstantOfShape(Node &n) {
  std::optional<Dims> dims = n.g.indices(n.in(0));
  if (!dims)
    return n.fail("needs a shape of a known rank");
  for (OpFoldResult &size : *dims)
    if (failed(n.checkSize(size)))
      return failure();
  int32_t dtype = TensorProto::FLOAT;
  DenseElementsAttr value;
  if (auto *attribute = n.attribute("value")) {
    std::string error;
    dtype = attribute->t().data_type();
    value = tensorValues(n.g.context(), attribute->t(), error);
    if (!value)
      return n.fail(error);
    if (value.getNumElements() != 1)
      return n.fail("needs a value of one element");
  } else {
    value = DenseElementsAttr::get(
        RankedTensorType::get({1}, n.g.b.getF32Type()), 0.0f);
  }
  SmallVector<int64_t> shape = staticShape(*dims);
  Type type = elementType(n.g.context(), dtype);
  bool small = true;
  int64_t count = 1;
  for (int64_t dim : shape)
    if (dim < 0 && !ShapedType::isDynamic(dim))
      return n.fail("has a negative dimension");
    else if (ShapedType::isDynamic(dim) || MulOverflow(count, dim, count))
      small = false;
  if (small && count <= 64)
    return n.set(
        0, n.g.fromConstant(dtype, DenseElementsAttr::get(
                                       RankedTensorType::get(shape, type),
                                       *value.getValues<Attribute>().begin())));
  for (OpFoldResult &dim : *dims)
    dim = n.g.math.max(dim, n.g.math.constant(0));
  Value scalar = arith::ConstantOp::create(
      n.g.b, n.g.loc, cast<TypedAttr>(*value.getValues<Attribute>().begin()));
  return n.set(0, n.g.make(dtype, n.g.filled(*dims, scalar), *dims));
}

/// ceil((last - first) / step), at least 0: how many numbers a Range has. Lengths
/// are unsigned: one may be beyond 2^63, and -2^63 has no positive number.
static OpFoldResult stepsBetween(GraphBuilder &g, OpFoldResult first,
                                 OpFoldResult last, OpFoldResult step) {
  constexpr int64_t most = std::numeric_limits<int64_t>::max();
  auto from = getConstantIntValue(first), to = getConstantIntValue(last),
       by = getConstantIntValue(step);
  OpFoldResult zero = g.math.constant(0), span = g.math.sub(last, first);
  if (from && to && by) {
    if (*by > 0 ? *from >= *to : *from <= *to)
      return zero;
    uint64_t length = uint64_t(*to) - uint64_t(*from), each = *by;
    if (*by < 0)
      length = -length, each = -each;
    uint64_t count = length / each + (length % each != 0);
    return g.math.constant(std::min(count, uint64_t(most)));
  }
  // These differences don't wrap.
  bool exact = from == 0 || g.math.isSize(span) ||
               (g.math.isNonNegative(first) && g.math.isNonNegative(last));
  if (exact && by == 1)
    return g.math.max(span, zero);
  Scalars s{g.b, g.loc};
  Value begin = g.math.value(first), end = g.math.value(last),
        stride = g.math.value(step), none = s.index(0);
  if (!by)
    cf::AssertOp::create(g.b, g.loc,
                         s.cmp(arith::CmpIPredicate::ne, stride, none),
                         "Range: the step must not be 0");
  Value down = s.cmp(arith::CmpIPredicate::slt, stride, none);
  auto along = [&](Value value) {
    return s.select(down, s.make<arith::SubIOp>(none, value), value);
  };
  Value ahead = s.select(down, s.cmp(arith::CmpIPredicate::slt, end, begin),
                         s.cmp(arith::CmpIPredicate::slt, begin, end));
  Value length = s.select(ahead, along(g.math.value(span)), none);
  Value each = s.make<arith::MaxUIOp>(along(stride), s.index(1));
  Value steps = arith::CeilDivUIOp::create(g.b, g.loc, length, each);
  Value count = s.make<arith::MinUIOp>(steps, s.index(most));
  g.math.markNonNegative(count);
  return count;
}

static LogicalResult buildRange(Node &n) {
  GraphBuilder &g = n.g;
  int32_t dtype = n.in(0).dtype;
  Type type = n.type(n.in(0));
  for (unsigned i = 0; i < 3; ++i)
    if (n.in(i).rank() > 1 || !n.in(i).isScalar())
      return n.fail(n.inputName(i) + " must be one number");
  auto scalarOf = [&](unsigned i) -> Value {
    Value value = g.reshape(n.tensor(i), n.in(i).dims, {});
    return tensor::ExtractOp::create(g.b, g.loc, value, ValueRange());
  };
  OpFoldResult count;
  Scalars s{g.b, g.loc};
  if (isInteger(dtype)) {
    auto first = g.indices(n.in(0)), last = g.indices(n.in(1)),
         step = g.indices(n.in(2));
    if (isConstantIntValue(step->front(), 0))
      return n.fail("needs a step that is not 0");
    count = stepsBetween(g, first->front(), last->front(), step->front());
    auto from = getConstantIntValue(first->front()),
         known = getConstantIntValue(step->front());
    if (auto length = getConstantIntValue(count);
        length && *length <= 64 && from && known) {
      Dims elements;
      for (int64_t i = 0; i < *length; ++i)
        elements.push_back(g.math.constant(*from + i * *known));
      return n.set(0, g.fromElements(dtype, elements));
    }
    Dims dims{count};
    Value begin = g.math.value(first->front()),
          by = g.math.value(step->front());
    Value result = g.generate(dims, type, [&](Scalars s) -> Value {
      Value at = s.make<arith::AddIOp>(
          begin, s.make<arith::MulIOp>(s.loopIndex(0), by));
      return arith::IndexCastOp::create(s.b, s.loc, type, at);
    });
    return n.set(result, dims);
  }
  if (!isFloat(dtype))
    return n.fail("needs numbers");
  Value first = scalarOf(0), last = scalarOf(1), by = scalarOf(2);
  Type wide = type.isF64() ? type : Type(g.b.getF32Type());
  first = s.convert(first, wide, false, false);
  by = s.convert(by, wide, false, false);
  Value span =
      s.make<arith::SubFOp>(s.convert(last, wide, false, false), first);
  Value steps =
      math::CeilOp::create(g.b, g.loc, s.make<arith::DivFOp>(span, by));
  Value whole = s.convert(steps, g.b.getI64Type(), false, false);
  Value index =
      arith::IndexCastOp::create(g.b, g.loc, g.b.getIndexType(), whole);
  count = g.math.max(index, g.math.constant(0));
  Dims dims{count};
  Value result = g.generate(dims, type, [&](Scalars s) {
    Value i = arith::IndexCastOp::create(s.b, s.loc, s.b.getI64Type(),
                                         s.loopIndex(0));
    Value at = s.convert(i, wide, false, false);
    Value value = s.make<arith::AddFOp>(first, s.make<arith::MulFOp>(at, by));
    return s.convert(value, type, false, false);
  });
  return n.set(result, dims);
}

void qtale::onnx_import::addConstants(NodeTable &table) {
  table.add("Constant", {13, 24, 25}, buildConstant)
      .refuses(
          "value_string, value_strings and sparse_value",
          "artifacts hold numbers, each in its place; write a dense tensor");
  table.add("ConstantOfShape", {9, 24, 25}, buildConstantOfShape)
      .refuses("a shape of unknown length", rankIsKnown);
  table.add("Range", {11, 27}, buildRange);
}
