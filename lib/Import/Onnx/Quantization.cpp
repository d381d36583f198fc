//===- Quantization.cpp - QuantizeLinear and DequantizeLinear -------------===//
//
//   q = saturate(round_even(x / scale) + zero)      y = (q - zero) * scale
//
// The scale is one number, a vector along `axis`, or has `axis` in blocks. Of
// a weight, dequantizing is a recipe: its scales are read once, in pieces, and
// must be finite.
//
//===----------------------------------------------------------------------===//

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

static FailureOr<Spread> spread(Node &n) {
  Term &x = n.in(0), &scale = n.in(1);
  int64_t block = n.integer("block_size", 0);
  if (scale.rank() == 0 ||
      (scale.rank() == 1 && scale.isScalar() && x.rank() != 1))
    return Spread{Spread::Tensor, 0, 0};
  FailureOr<int64_t> axis = n.axis(x, n.integer("axis", 1));
  if (failed(axis)) {
    if (x.rank() == 1 && scale.isScalar())
      return Spread{Spread::Tensor, 0, 0};
    return failure();
  }
  if (n.has(2) && n.in(2).rank() != scale.rank())
    return n.fail("the shapes of scale and zero point differ");
  if (block == 0) {
    auto a = getConstantIntValue(scale.dims[0]),
         c = getConstantIntValue(x.dims[*axis]);
    if (scale.rank() != 1 || (a && c && *a != *c))
      return n.fail("needs a scale for each element of axis " + Twine(*axis));
    return Spread{Spread::Axis, *axis, 0};
  }
  if (block < 0 || scale.rank() != x.rank())
    return n.fail(
        "needs scales of the input's rank, and a positive block_size");
  for (int64_t i = 0; i < x.rank(); ++i) {
    auto a = getConstantIntValue(scale.dims[i]),
         c = getConstantIntValue(x.dims[i]);
    if (a && c && *a != (i == *axis ? (*c + block - 1) / block : *c))
      return n.fail("has " + Twine(*a) + " scales along axis " + Twine(i) +
                    " for " + Twine(*c) + " elements in blocks of " +
                    Twine(block));
  }
  return Spread{Spread::Block, *axis, block};
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
  auto type = cast<FloatType>(n.type(scale));
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
static FailureOr<Term> dequantizedWeight(Node &n, const Spread &how) {
  Term &x = n.in(0), &scale = n.in(1);
  Term result = n.g.make(scale.dtype, {}, x.dims);
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
  result.recipe = recipes::dequantize(x.recipe, shaped(scale.recipe),
                                      shaped(zero), how.axis, how.block);
  result.name = x.name;
  return result;
}

static LogicalResult buildDequantize(Node &n) {
  GraphBuilder &g = n.g;
  Term &x = n.in(0), &scale = n.in(1);
  FailureOr<Spread> how = spread(n);
  if (failed(how))
    return failure();
  if (!isFloat(scale.dtype) || isFloat(x.dtype))
    return n.fail("is supported from integers to floats only");
  if (x.recipe) {
    FailureOr<Term> weight = dequantizedWeight(n, *how);
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
  Type type = n.type(scale), wide = g.computeType(type);
  bool unsignedInput = isUnsigned(x.dtype);
  Value result =
      g.elementwise(inputs, x.dims, type, [&](Scalars s, ValueRange v) {
        Value q = s.convert(v[0], wide, unsignedInput, false);
        if (v.size() == 3) // zero points are small: exact in floats
          q = s.make<arith::SubFOp>(
              q, s.convert(v[2], wide, unsignedInput, false));
        return s.make<arith::MulFOp>(q, v[1]);
      });
  return n.set(0, g.make(scale.dtype, result, x.dims));
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
  if (!isInteger(dtype) || elementBits(dtype) > 16)
    return n.fail("is supported to integers of up to 16 bits");
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
  Value result =
      g.elementwise(inputs, x.dims, type, [&](Scalars s, ValueRange v) {
        Type wide = g.b.getF32Type();
        Value value = s.convert(v[0], wide, isUnsigned(x.dtype), false);
        Value by = s.convert(v[1], wide, false, false);
        value = s.make<arith::DivFOp>(value, by);
        value = math::RoundEvenOp::create(s.b, s.loc, value);
        if (v.size() == 3)
          value = s.make<arith::AddFOp>(
              value, s.convert(v[2], wide, unsignedResult, false));
        value = s.make<arith::MaximumFOp>(value, s.constant(wide, low));
        value = s.make<arith::MinimumFOp>(value, s.constant(wide, high));
        return s.convert(value, type, false, unsignedResult);
      });
  return n.set(0, g.make(dtype, result, x.dims));
}

void qtale::onnx_import::addQuantization(NodeTable &table) {
  table.add("DequantizeLinear", {23, 24, 25, 28}, buildDequantize,
            RowsRule::Axes);
  table.add("QuantizeLinear", {23, 24, 25, 28}, buildQuantize, RowsRule::Axes);
}
