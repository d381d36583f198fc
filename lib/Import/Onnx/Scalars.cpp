//===- Scalars.cpp - Scalar code inside a linalg body ---------------------===//
//
// Conversions are defined for every value: floats beyond an integer's range
// are clamped into it, NaN becomes 0.
//
//===----------------------------------------------------------------------===//

#include "GraphBuilder.h"

using namespace llvm;
using namespace mlir;
using namespace qtale::onnx_import;

Value Scalars::constant(Type type, double value) const {
  if (auto floatType = dyn_cast<FloatType>(type))
    return arith::ConstantOp::create(b, loc, b.getFloatAttr(floatType, value));
  return integer(type, int64_t(value));
}

Value Scalars::integer(Type type, int64_t value) const {
  unsigned width = type.isIndex() ? 64 : type.getIntOrFloatBitWidth();
  return arith::ConstantOp::create(
      b, loc,
      b.getIntegerAttr(type,
                       APInt(width, value, true, /*implicitTrunc=*/true)));
}

Value Scalars::index(int64_t value) const {
  return arith::ConstantIndexOp::create(b, loc, value);
}

Value Scalars::loopIndex(unsigned axis) const {
  return linalg::IndexOp::create(b, loc, axis);
}

Value Scalars::at(Value tensor, ValueRange indices) const {
  return tensor::ExtractOp::create(b, loc, tensor, indices);
}

Value Scalars::clamped(Value at, Value tensor, int64_t axis) const {
  auto type = cast<RankedTensorType>(tensor.getType());
  Value last =
      type.isDynamicDim(axis)
          ? make<arith::SubIOp>(
                tensor::DimOp::create(b, loc, tensor, axis).getResult(),
                index(1))
          : index(type.getDimSize(axis) - 1);
  return make<arith::MaxSIOp>(make<arith::MinSIOp>(at, last), index(0));
}

Value Scalars::cmp(arith::CmpIPredicate predicate, Value a, Value c) const {
  return arith::CmpIOp::create(b, loc, predicate, a, c);
}

Value Scalars::select(Value condition, Value a, Value c) const {
  return arith::SelectOp::create(b, loc, condition, a, c);
}

Value Scalars::convert(Value value, Type to, bool fromUnsigned,
                       bool toUnsigned) const {
  Type from = value.getType();
  if (from == to)
    return value;
  auto fromFloat = dyn_cast<FloatType>(from), toFloat = dyn_cast<FloatType>(to);
  if (fromFloat && toFloat) {
    if (from.getIntOrFloatBitWidth() == to.getIntOrFloatBitWidth()) {
      value = arith::ExtFOp::create(b, loc, b.getF32Type(), value);
      return arith::TruncFOp::create(b, loc, to, value);
    }
    if (from.getIntOrFloatBitWidth() < to.getIntOrFloatBitWidth())
      return arith::ExtFOp::create(b, loc, to, value);
    return arith::TruncFOp::create(b, loc, to, value);
  }
  if (to.isInteger(1)) { // not 0; NaN is true
    if (fromFloat)
      return arith::CmpFOp::create(b, loc, arith::CmpFPredicate::UNE, value,
                                   constant(from, 0));
    return cmp(arith::CmpIPredicate::ne, value, integer(from, 0));
  }
  if (toFloat) {
    if (fromUnsigned)
      return arith::UIToFPOp::create(b, loc, to, value);
    return arith::SIToFPOp::create(b, loc, to, value);
  }
  if (!fromFloat) {
    unsigned width = from.getIntOrFloatBitWidth(),
             target = to.getIntOrFloatBitWidth();
    if (width == target)
      return value;
    if (width > target)
      return arith::TruncIOp::create(b, loc, to, value);
    if (fromUnsigned)
      return arith::ExtUIOp::create(b, loc, to, value);
    return arith::ExtSIOp::create(b, loc, to, value);
  }
  // Float to integer: outside of the range LLVM promises nothing, so values
  // are clamped to what both types hold, and NaN becomes 0.
  unsigned width = to.getIntOrFloatBitWidth();
  APInt low = toUnsigned ? APInt::getZero(width)
                         : APInt::getSignedMinValue(width),
        high = toUnsigned ? APInt::getMaxValue(width)
                          : APInt::getSignedMaxValue(width);
  auto bound = [&](const APInt &limit) -> Value {
    APFloat exact(fromFloat.getFloatSemantics());
    exact.convertFromAPInt(limit, !toUnsigned, APFloat::rmTowardZero);
    return arith::ConstantOp::create(b, loc, FloatAttr::get(fromFloat, exact));
  };
  Value ordered =
      arith::CmpFOp::create(b, loc, arith::CmpFPredicate::ORD, value, value);
  value = select(ordered, value, constant(from, 0));
  value = make<arith::MaximumFOp>(value, bound(low));
  value = make<arith::MinimumFOp>(value, bound(high));
  if (toUnsigned)
    return arith::FPToUIOp::create(b, loc, to, value);
  return arith::FPToSIOp::create(b, loc, to, value);
}
