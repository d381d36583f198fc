//===- Quantization.cpp - QuantizeLinear and DequantizeLinear -------------===//
//
//   q = saturate(round_even(x / scale) + zero)      y = (q - zero) * scale
//
// The scale is one number, a vector along `axis`, or has `axis` in blocks. Of
// a weight, dequantizing is a recipe: its scales are read once, in pieces, and
// must be finite.
//
//===----------------------------------------------------------------------===//

#include "LowBitTypes.h"
#include "Model.h"
#include "Node.h"
#include "NodeTable.h"

#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"
#include <cmath>

using namespace llvm;
using namespace mlir;
using namespace qtale;
using namespace qtale::onnx_import;
using onnx::TensorProto;

namespace {
/// How scale and zero point are spread over a tensor.
struct Spread {
  enum { Tensor, Axis, Block } kind;
  int64_t axis, block;
};
} // namespace

static FailureOr<Spread> spreadOfScale(Node &n) {
  Term &x = n.in(0), &scale = n.in(1);
  // Larger ones than any dimension do the same, and can't overflow.
  int64_t block = std::min(n.integer("block_size", 0), int64_t(1) << 40);
  // Many exporters write one number as a vector of one element.
  if (scale.rank() == 0 ||
      (scale.rank() == 1 && scale.isScalar() && (x.rank() != 1 || block == 0)))
    return Spread{Spread::Tensor, 0, 0};
  FailureOr<int64_t> axis = n.axis(x, n.integer("axis", 1));
  if (failed(axis))
    return failure();
  if (block == 0) {
    std::string message =
        ("needs a scale for each element of axis " + Twine(*axis)).str();
    if (scale.rank() != 1)
      return n.fail(message);
    if (failed(n.checkEqual(scale.dims[0], x.dims[*axis], message)))
      return failure();
    return Spread{Spread::Axis, *axis, 0};
  }
  if (block < 0 || scale.rank() != x.rank())
    return n.fail(
        "needs scales of the input's rank, and a positive block_size");
  for (int64_t i = 0; i < x.rank(); ++i) {
    OpFoldResult wanted = x.dims[i];
    if (i == *axis)
      wanted = n.g.math.div(n.g.math.add(wanted, n.g.math.constant(block - 1)),
                            n.g.math.constant(block));
    auto a = getConstantIntValue(scale.dims[i]),
         c = getConstantIntValue(x.dims[i]);
    std::string message = a && c ? ("has " + Twine(*a) + " scales along axis " +
                                    Twine(i) + " for " + Twine(*c) +
                                    " elements in blocks of " + Twine(block))
                                       .str()
                                 : "needs a scale for each block";
    if (failed(n.checkEqual(scale.dims[i], wanted, message)))
      return failure();
  }
  return Spread{Spread::Block, *axis, block};
}

/// As the scale is spread, so is the zero point.
static FailureOr<Spread> spread(Node &n) {
  FailureOr<Spread> how = spreadOfScale(n);
  if (failed(how) || !n.has(2))
    return how;
  GraphBuilder &g = n.g;
  constexpr StringLiteral message("the shapes of scale and zero point differ");
  ArrayRef<OpFoldResult> dims = n.in(2).dims, wanted = n.in(1).dims;
  if (how->kind == Spread::Tensor) {
    if (failed(n.checkEqual(g.math.product(dims), g.math.constant(1), message)))
      return failure();
    return how;
  }
  if (dims.size() != wanted.size())
    return n.fail(message);
  for (auto [own, other] : llvm::zip_equal(dims, wanted))
    if (failed(n.checkEqual(own, other, message)))
      return failure();
  return how;
}

/// Scale and zero point with the input's rank, one element for each.
static Term spreadOut(Node &n, Term &term, const Spread &how) {
  GraphBuilder &g = n.g;
  Term &x = n.in(0);
  if (how.kind == Spread::Tensor)
    return g.reshape(term, {});
  if (how.kind == Spread::Axis) {
    Dims dims(x.rank(), g.math.constant(1));
    dims[how.axis] = term.dims[0];
    return g.reshape(term, dims);
  }
  Value input = g.tensor(term);
  Value value = g.generate(x.dims, n.type(term), [&](Scalars s) {
    SmallVector<Value> at;
    for (int64_t i = 0; i < x.rank(); ++i) {
      Value index = s.loopIndex(i);
      if (i == how.axis)
        index = s.make<arith::DivUIOp>(index, s.index(how.block));
      at.push_back(s.clamped(index, input, i));
    }
    return s.at(input, at);
  });
  return g.make(term.dtype, value, x.dims);
}

/// Scales are finite; read from their file in pieces, once for each tensor.
static LogicalResult checkScales(Node &n, Term &scale) {
  if (scale.constant) {
    if (lowBitType(scale.dtype)) // as weights they are read from their file
      return success();
    for (APFloat value : scale.constant.getValues<APFloat>())
      if (!value.isFinite())
        return n.fail(n.inputName(1) +
                      " holds a scale that is NaN or infinite");
    return success();
  }
  auto source = dyn_cast<SourceAttr>(Attribute(scale.recipe));
  if (!source || !n.g.weights.checked.insert(source).second)
    return success();
  SmallString<128> path(n.g.model.folder);
  sys::path::append(path, source.getFile().getValue());
  auto type = cast<FloatType>(recipeElementType(n.g.context(), scale.dtype));
  int64_t width = type.getWidth() / 8, piece = 1 << 20;
  for (int64_t at = 0; at < source.getBytes(); at += piece) {
    int64_t size = std::min(piece, source.getBytes() - at);
    auto buffer =
        MemoryBuffer::getFileSlice(path, size, source.getOffset() + at);
    if (!buffer)
      return n.fail("can't read '" + path +
                    "': " + buffer.getError().message());
    const char *data = (*buffer)->getBufferStart();
    for (int64_t i = 0; i < size; i += width) {
      uint64_t bits = 0;
      memcpy(&bits, data + i, width);
      APFloat value(type.getFloatSemantics(), APInt(width * 8, bits));
      if (!value.isFinite())
        return n.fail(n.inputName(1) +
                      " holds a scale that is NaN or "
                      "infinite, at element " +
                      Twine((at + i) / width) + " ('" + path + "')");
    }
  }
  return success();
}

/// A weight as a recipe; without one where a small weight is better computed.
static FailureOr<Term> dequantizedWeight(Node &n, const Spread &how,
                                         int32_t dtype) {
  Term &x = n.in(0), &scale = n.in(1);
  Term result = n.g.make(dtype, {}, x.dims);
  RecipeAttrInterface zero;
  StringRef missing;
  if (!scale.recipe)
    missing = n.proto.input(1);
  if (n.has(2)) {
    Term &point = n.in(2);
    bool none = point.constant && point.constant.isSplat() &&
                point.constant.getSplatValue<APInt>().isZero();
    if (!none && !point.recipe)
      missing = n.proto.input(2);
    else if (!none)
      zero = point.recipe;
  }
  if (!missing.empty()) {
    if (x.constant)
      return result;
    return n.fail("'" + missing +
                  "' has no raw bytes in a file, so that this weight can't be "
                  "unpacked when it is written; save the model with raw_data");
  }
  if (failed(checkScales(n, scale)))
    return failure();
  auto shaped = [&](RecipeAttrInterface recipe) {
    return recipe && how.kind == Spread::Tensor ? recipes::reshape(recipe, {})
                                                : recipe;
  };
  // The product is rounded once, to the result's type.
  RecipeAttrInterface factor = scale.recipe;
  if (dtype != scale.dtype)
    factor = recipes::cast(factor, n.g.b.getF32Type());
  result.recipe =
      recipes::cast(recipes::dequantize(x.recipe, shaped(factor), shaped(zero),
                                        how.axis, how.block),
                    n.type(result));
  result.name = x.name;
  return result;
}

static LogicalResult buildDequantize(Node &n) {
  GraphBuilder &g = n.g;
  Term &x = n.in(0), &scale = n.in(1);
  FailureOr<Spread> how = spread(n);
  if (failed(how))
    return failure();
  int32_t dtype = n.integer("output_dtype", 0);
  if (!dtype)
    dtype = scale.dtype;
  bool isNumber = isInteger(x.dtype) || lowBitType(x.dtype);
  bool isScale = isFloat(scale.dtype) || scale.dtype == TensorProto::FLOAT8E8M0;
  if (!isFloat(dtype) || !isScale || !isNumber)
    return n.fail("is supported from integers and low-bit types to floats; "
                  "scales of float8e8m0 need an output_dtype");
  if (x.recipe) {
    FailureOr<Term> weight = dequantizedWeight(n, *how, dtype);
    if (failed(weight))
      return failure();
    if (weight->recipe)
      return n.set(0, *weight);
  }
  SmallVector<Term> sources{spreadOut(n, scale, *how)};
  if (n.has(2))
    sources.push_back(spreadOut(n, n.in(2), *how));
  SmallVector<Term *> inputs{&x};
  for (Term &term : sources)
    inputs.push_back(&term);
  Type type = elementType(g.context(), dtype), wide = g.computeType(type);
  Value result =
      g.elementwise(inputs, x.dims, type, [&](Scalars s, ValueRange v) {
        auto real = [&](Value value, int32_t from) {
          return convertElement(s, value, from, dtype, wide);
        };
        Value q = real(v[0], x.dtype);
        if (v.size() == 3) // zero points are small: exact in floats
          q = s.make<arith::SubFOp>(q, real(v[2], x.dtype));
        return s.make<arith::MulFOp>(q, real(v[1], scale.dtype));
      });
  return n.set(0, g.make(dtype, result, x.dims));
}

/// x / scale in the precision that is asked for, as f32 or f64.
static Value quotient(Node &n, Scalars s, Value x, Value scale,
                      int32_t precision) {
  Type type = elementType(n.g.context(), precision);
  Type wide = isFloat(precision) ? n.g.computeType(type) : type;
  auto rounded = [&](Value value) {
    if (wide == type)
      return value;
    return s.convert(s.convert(value, type, false, false), wide, false, false);
  };
  auto real = [&](Value value, int32_t from) {
    return rounded(convertElement(s, value, from, precision, wide));
  };
  return rounded(s.make<arith::DivFOp>(real(x, n.in(0).dtype),
                                       real(scale, n.in(1).dtype)));
}

static LogicalResult buildQuantize(Node &n) {
  GraphBuilder &g = n.g;
  Term &x = n.in(0), &scale = n.in(1);
  FailureOr<Spread> how = spread(n);
  if (failed(how))
    return failure();
  int32_t dtype = n.has(2)
                      ? n.in(2).dtype
                      : int32_t(n.integer("output_dtype", TensorProto::UINT8));
  if (!dtype)
    dtype = TensorProto::UINT8;
  const LowBitType *lowBit = lowBitType(dtype);
  bool toFloat = lowBit && !lowBit->isInteger();
  if (dtype == TensorProto::FLOAT8E8M0 ||
      (!lowBit && (!isInteger(dtype) || elementBits(dtype) > 16)))
    return n.fail("is supported to integers of up to 16 bits and to floats of "
                  "up to 8 bits with a fraction");
  int32_t precision = n.integer("precision", 0);
  if (!precision)
    precision = isFloat(scale.dtype)     ? scale.dtype
                : isInteger(scale.dtype) ? int32_t(TensorProto::DOUBLE)
                                         : int32_t(TensorProto::FLOAT);
  if (!isFloat(precision))
    return n.fail("needs a precision of float, float16, bfloat16 or double");
  SmallVector<Term> sources{spreadOut(n, scale, *how)};
  if (n.has(2))
    sources.push_back(spreadOut(n, n.in(2), *how));
  SmallVector<Term *> inputs{&x};
  for (Term &term : sources)
    inputs.push_back(&term);
  bool unsignedResult = isUnsigned(dtype);
  unsigned bits = elementBits(dtype);
  double low = unsignedResult ? 0 : -std::ldexp(1, bits - 1);
  double high = std::ldexp(1, unsignedResult ? bits : bits - 1) - 1;
  Type type = elementType(g.context(), dtype);
  Rounding rounding;
  rounding.saturate = n.integer("saturate", 1);
  Value result =
      g.elementwise(inputs, x.dims, type, [&](Scalars s, ValueRange v) {
        Value value = quotient(n, s, v[0], v[1], precision);
        Type wide = value.getType();
        if (!toFloat)
          value = math::RoundEvenOp::create(s.b, s.loc, value);
        if (v.size() == 3) {
          Value zero = convertElement(s, v[2], dtype, precision, wide);
          Value moved = s.make<arith::AddFOp>(value, zero);
          // A zero point of 0 keeps the sign of 0.
          if (toFloat)
            moved = s.select(arith::CmpFOp::create(s.b, s.loc,
                                                   arith::CmpFPredicate::OEQ,
                                                   zero, s.constant(wide, 0)),
                             value, moved);
          value = moved;
        }
        if (toFloat)
          return encode(s, value, false, *lowBit, rounding);
        value = s.make<arith::MaximumFOp>(value, s.constant(wide, low));
        value = s.make<arith::MinimumFOp>(value, s.constant(wide, high));
        return lowBit ? encode(s, value, false, *lowBit)
                      : s.convert(value, type, false, unsignedResult);
      });
  return n.set(0, g.make(dtype, result, x.dims));
}

void qtale::onnx_import::addQuantization(NodeTable &table) {
  table
      .add("DequantizeLinear", {23, 24, 25, 28}, buildDequantize,
           RowsRule::Axes)
      .refuses("scales that are NaN or infinite", "a weight would be lost");
  table.add("QuantizeLinear", {23, 24, 25, 28}, buildQuantize, RowsRule::Axes)
      .refuses("results of float8e8m0", "it has no fraction and no sign");
}
