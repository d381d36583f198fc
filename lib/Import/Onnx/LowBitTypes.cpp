//===- LowBitTypes.cpp - Numbers of at most 8 bits ------------------------===//
//
//   float8e4m3fn   s eeee fff      in the IR and in arrays an element is a
//   float4e2m1        s ee f       byte, its bits at the low end, the others 0;
//   float8e8m0     eeeeeeee        moved as they are, computed as f32 or i8
//   int4               nnnn
//
//   f32     s eeeeeeee fffffffffffffffffffffff
//             rebase ─▶ round at `cut` ─▶ code      normal
//             + 2^(cut - bias): the FPU rounds      subnormal
//
// Integer arithmetic without branches, so that loops over it vectorize; each
// value is rounded once, also where it comes from f64 or a long integer.
//
//===----------------------------------------------------------------------===//

#include "LowBitTypes.h"

#include <cmath>

using namespace llvm;
using namespace mlir;
using namespace qtale::onnx_import;
using arith::CmpIPredicate;
using onnx::TensorProto;

static constexpr LowBitType types[] = {
    {TensorProto::INT4, "int4", 4, LowBitType::Signed},
    {TensorProto::UINT4, "uint4", 4, LowBitType::Unsigned},
    {TensorProto::INT2, "int2", 2, LowBitType::Signed},
    {TensorProto::UINT2, "uint2", 2, LowBitType::Unsigned},
    {TensorProto::FLOAT8E4M3FN, "float8_e4m3fn", 8, LowBitType::NaNOnly, 3, 7},
    {TensorProto::FLOAT8E4M3FNUZ, "float8_e4m3fnuz", 8, LowBitType::OneNaN, 3,
     8},
    {TensorProto::FLOAT8E5M2, "float8_e5m2", 8, LowBitType::Standard, 2, 15},
    {TensorProto::FLOAT8E5M2FNUZ, "float8_e5m2fnuz", 8, LowBitType::OneNaN, 2,
     16},
    {TensorProto::FLOAT8E8M0, "float8_e8m0fnu", 8, LowBitType::Power},
    {TensorProto::FLOAT6E2M3, "float6_e2m3fn", 6, LowBitType::Finite, 3, 1},
    {TensorProto::FLOAT6E3M2, "float6_e3m2fn", 6, LowBitType::Finite, 2, 3},
    {TensorProto::FLOAT4E2M1, "float4_e2m1fn", 4, LowBitType::Finite, 1, 1},
};

const LowBitType *qtale::onnx_import::lowBitType(int32_t dtype) {
  for (const LowBitType &type : types)
    if (type.dtype == dtype)
      return &type;
  return nullptr;
}

uint32_t LowBitType::largest() const {
  uint32_t magnitudes = sign() - 1;
  if (kind == NaNOnly)
    return magnitudes - 1;
  if (kind == Standard)
    return magnitudes - (1u << fraction);
  return magnitudes;
}

namespace {

/// Arithmetic on 32 bits.
struct Words {
  const Scalars &s;
  Type i32 = s.b.getI32Type(), f32 = s.b.getF32Type();

  Value word(uint32_t value) const { return s.integer(i32, value); }
  Value both(Value a, uint32_t mask) const {
    return s.make<arith::AndIOp>(a, word(mask));
  }
  Value either(Value a, Value c) const { return s.make<arith::OrIOp>(a, c); }
  Value plus(Value a, uint32_t c) const {
    return s.make<arith::AddIOp>(a, word(c));
  }
  Value left(Value a, int by) const {
    return by ? s.make<arith::ShLIOp>(a, word(by)) : a;
  }
  Value right(Value a, int by) const {
    return by ? s.make<arith::ShRUIOp>(a, word(by)) : a;
  }
  Value is(CmpIPredicate predicate, Value a, uint32_t c) const {
    return s.cmp(predicate, a, word(c));
  }
  Value choose(Value condition, uint32_t yes, Value no) const {
    return s.select(condition, word(yes), no);
  }
  Value bits(Value real) const {
    return arith::BitcastOp::create(s.b, s.loc, i32, real);
  }
  Value real(Value bits) const {
    return arith::BitcastOp::create(s.b, s.loc, f32, bits);
  }
  Value byte(Value bits) const {
    return arith::TruncIOp::create(s.b, s.loc, s.b.getI8Type(), bits);
  }
};

} // namespace

static constexpr uint32_t infinity = 0x7f800000, quietNaN = 0x7fc00000;

//===----------------------------------------------------------------------===//
// Code -> number
//===----------------------------------------------------------------------===//

/// 2^(code - 127); the least of them is subnormal in f32.
static Value decodePower(const Words &w, Value code) {
  Value bits = w.left(code, 23);
  bits = w.choose(w.is(CmpIPredicate::eq, code, 0), 0x00400000, bits);
  bits = w.choose(w.is(CmpIPredicate::eq, code, 255), quietNaN, bits);
  return w.real(bits);
}

static Value decodeFloat(const Words &w, Value code, const LowBitType &type) {
  Value magnitude = w.both(code, type.sign() - 1);
  Value sign = w.left(w.both(code, type.sign()), 32 - type.bits);
  Value normal = w.plus(w.left(magnitude, 23 - type.fraction),
                        uint32_t(127 - type.bias) << 23);
  Value units = arith::UIToFPOp::create(w.s.b, w.s.loc, w.f32, magnitude);
  Value subnormal = w.bits(w.s.make<arith::MulFOp>(
      units,
      w.s.constant(w.f32, std::ldexp(1.0, 1 - type.bias - type.fraction))));
  Value bits =
      w.s.select(w.is(CmpIPredicate::ult, magnitude, 1u << type.fraction),
                 subnormal, normal);
  if (type.kind == LowBitType::Standard)
    bits = w.choose(
        w.is(CmpIPredicate::eq, magnitude, type.largest() + 1), infinity,
        w.choose(w.is(CmpIPredicate::ugt, magnitude, type.largest() + 1),
                 quietNaN, bits));
  if (type.kind == LowBitType::NaNOnly)
    bits = w.choose(w.is(CmpIPredicate::ugt, magnitude, type.largest()),
                    quietNaN, bits);
  bits = w.either(bits, sign);
  if (type.kind == LowBitType::OneNaN)
    bits = w.choose(w.is(CmpIPredicate::eq, code, type.sign()), quietNaN, bits);
  return w.real(bits);
}

Value qtale::onnx_import::decode(const Scalars &s, Value code,
                                 const LowBitType &type) {
  if (type.kind == LowBitType::Unsigned)
    return code;
  if (type.kind == LowBitType::Signed) {
    Value sign = s.integer(code.getType(), type.sign());
    return s.make<arith::SubIOp>(s.make<arith::XOrIOp>(code, sign), sign);
  }
  Words w{s};
  Value word = arith::ExtUIOp::create(s.b, s.loc, w.i32, code);
  return type.kind == LowBitType::Power ? decodePower(w, word)
                                        : decodeFloat(w, word, type);
}

//===----------------------------------------------------------------------===//
// Number -> code
//===----------------------------------------------------------------------===//

/// Rounded to odd: where bits are lost the last one kept is set, so that the
/// next rounding, to a shorter format, gives what one rounding would.
static Value oddFloat(const Words &w, Value real) {
  const Scalars &s = w.s;
  auto truncated = arith::TruncFOp::create(s.b, s.loc, w.f32, real);
  Value bits = w.bits(truncated);
  auto wide = [&](Value narrow) -> Value {
    Value back = arith::ExtFOp::create(s.b, s.loc, s.b.getF64Type(), narrow);
    return math::AbsFOp::create(s.b, s.loc, back);
  };
  Value back = wide(truncated), exact = math::AbsFOp::create(s.b, s.loc, real);
  Value above =
      arith::CmpFOp::create(s.b, s.loc, arith::CmpFPredicate::OGT, back, exact);
  Value inexact =
      arith::CmpFOp::create(s.b, s.loc, arith::CmpFPredicate::ONE, back, exact);
  Value inward = s.select(above, w.plus(bits, -1), bits);
  return w.real(s.select(inexact, w.either(inward, w.word(1)), bits));
}

/// Of the magnitude: powers know no sign.
static Value encodePower(const Words &w, Value bits, Rounding rounding) {
  Value magnitude = w.both(bits, 0x7fffffff);
  Value exponent = w.right(magnitude, 23);
  Value fraction = w.both(magnitude, 0x007fffff);
  Value isLeast = w.is(CmpIPredicate::eq, exponent, 0);
  auto increment = [&](CmpIPredicate predicate, uint32_t normal,
                       uint32_t least) {
    Value bound = w.choose(isLeast, least, w.word(normal));
    Value up = w.s.cmp(predicate, fraction, bound);
    return w.s.make<arith::AddIOp>(
        exponent, arith::ExtUIOp::create(w.s.b, w.s.loc, w.i32, up));
  };
  // Below 2^-126 a f32 has no leading one, and 2^-127 is fraction 0x400000.
  Value code = exponent;
  if (rounding.power == Rounding::Up)
    code = increment(CmpIPredicate::ugt, 0, 0x00400000);
  else if (rounding.power == Rounding::Nearest)
    code = increment(CmpIPredicate::uge, 0x00400000, 0x00600000);
  if (rounding.saturate)
    code = w.s.make<arith::MinUIOp>(code, w.word(254));
  else
    code = w.choose(w.is(CmpIPredicate::ult, magnitude, 0x00400000), 255, code);
  return w.choose(w.is(CmpIPredicate::ugt, magnitude, infinity), 255, code);
}

static Value encodeFloat(const Words &w, Value bits, const LowBitType &type,
                         bool saturate) {
  int cut = 23 - type.fraction;
  Value magnitude = w.both(bits, 0x7fffffff);
  Value sign = w.both(w.right(bits, 32 - type.bits), type.sign());
  // The unit of this power of two is the type's least number.
  Value unit = w.s.constant(w.f32, std::ldexp(1.0, 1 - type.bias + cut));
  Value sum = w.bits(w.s.make<arith::AddFOp>(w.real(magnitude), unit));
  Value subnormal = w.s.make<arith::SubIOp>(sum, w.bits(unit));
  Value odd = w.both(w.right(magnitude, cut), 1);
  Value normal = w.right(
      w.s.make<arith::AddIOp>(w.plus(magnitude, (1u << (cut - 1)) - 1), odd),
      cut);
  normal = w.plus(normal, -(uint32_t(127 - type.bias) << type.fraction));
  Value code = w.s.select(
      w.is(CmpIPredicate::ult, magnitude, uint32_t(128 - type.bias) << 23),
      subnormal, normal);

  Value isNaN = w.is(CmpIPredicate::ugt, magnitude, infinity);
  Value overflows = w.is(CmpIPredicate::ugt, code, type.largest());
  bool clamps = saturate || type.kind == LowBitType::Finite;
  if (type.kind == LowBitType::OneNaN) {
    Value signedCode =
        w.choose(w.is(CmpIPredicate::eq, code, 0), 0, w.either(code, sign));
    Value lost = isNaN;
    if (clamps)
      signedCode = w.s.select(overflows, w.either(w.word(type.largest()), sign),
                              signedCode);
    else
      lost = w.either(isNaN, overflows);
    return w.choose(lost, type.sign(), signedCode);
  }
  code = w.choose(overflows, type.largest() + !clamps, code);
  if (type.kind == LowBitType::Finite) // 0 of the other sign, as ml_dtypes has
    return w.s.select(isNaN, w.s.make<arith::XOrIOp>(sign, w.word(type.sign())),
                      w.either(code, sign));
  uint32_t nan = type.kind == LowBitType::Standard
                     ? type.largest() + 1 + (1u << (type.fraction - 1))
                     : type.largest() + 1;
  return w.either(w.choose(isNaN, nan, code), sign);
}

Value qtale::onnx_import::encode(const Scalars &s, Value number,
                                 bool isUnsigned, const LowBitType &type,
                                 Rounding rounding) {
  bool isFloat = isa<FloatType>(number.getType());
  unsigned width = number.getType().getIntOrFloatBitWidth();
  isUnsigned |= width == 1;
  Words w{s};
  if (type.isInteger()) {
    // Higher bits are discarded; a float goes through i32.
    Value low =
        s.convert(number, isFloat ? w.i32 : s.b.getI8Type(), isUnsigned, false);
    if (isFloat)
      low = w.byte(low);
    return s.make<arith::AndIOp>(low, s.integer(low.getType(), type.mask()));
  }
  if (!isFloat)
    number = s.convert(number, width < 32 ? w.f32 : s.b.getF64Type(),
                       isUnsigned, false);
  number = number.getType().isF64() ? oddFloat(w, number)
                                    : s.convert(number, w.f32, false, false);
  Value bits = w.bits(number);
  return w.byte(type.kind == LowBitType::Power
                    ? encodePower(w, bits, rounding)
                    : encodeFloat(w, bits, type, rounding.saturate));
}

Value qtale::onnx_import::convertElement(const Scalars &s, Value value,
                                         int32_t fromDtype, int32_t toDtype,
                                         Type to, Rounding rounding) {
  const LowBitType *from = lowBitType(fromDtype), *target = lowBitType(toDtype);
  bool fromUnsigned = isUnsigned(fromDtype);
  if (from)
    value = decode(s, value, *from);
  if (target)
    return encode(s, value, fromUnsigned, *target, rounding);
  // A 16-bit float, which is computed in f32 and shortened after.
  if (to.isF32() && toDtype != onnx::TensorProto::FLOAT &&
      value.getType().getIntOrFloatBitWidth() >= 32) {
    Words w{s};
    if (isa<IntegerType>(value.getType()))
      value = s.convert(value, s.b.getF64Type(), fromUnsigned, false);
    if (value.getType().isF64())
      return oddFloat(w, value);
  }
  return s.convert(value, to, fromUnsigned, isUnsigned(toDtype));
}
