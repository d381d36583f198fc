//===- Floats.h - Half floats, bfloat16 and shorter ones as bits ----------===//
//
// Round to nearest even, subnormals and infinities included. Plain integer
// arithmetic without branches: loops over these vectorise on every machine and
// give the same bits on all of them.
//
//===----------------------------------------------------------------------===//

#ifndef QTALE_LIB_TARGET_FLOATS_H
#define QTALE_LIB_TARGET_FLOATS_H

#include <cstdint>
#include <cstring>

namespace qtale {

inline uint32_t floatBits(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}

inline float bitsToFloat(uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

/// Magnitudes from here on are infinite or no numbers.
inline constexpr uint32_t infinityBits = 0x7f800000;
inline constexpr uint32_t magnitudeMask = 0x7fffffff;

inline float halfToFloat(uint16_t half) {
  uint32_t sign = uint32_t(half & 0x8000) << 16;
  // The exponent is moved to its place, then rebased by a product with 2^112,
  // which makes subnormal halves normal at once.
  uint32_t magnitude = uint32_t(half & 0x7fff) << 13;
  uint32_t finite = floatBits(bitsToFloat(magnitude) * 0x1p112f);
  uint32_t special = (half & 0x7c00) == 0x7c00 ? infinityBits : 0;
  return bitsToFloat(sign | finite | special);
}

inline uint16_t floatToHalf(float value) {
  uint32_t bits = floatBits(value);
  uint32_t sign = bits >> 16 & 0x8000;
  uint32_t magnitude = bits & magnitudeMask;
  // Subnormal results: adding 0.5 lets the FPU round at 2^-24.
  uint32_t subnormal = floatBits(bitsToFloat(magnitude) + 0.5f) - 0x3f000000;
  // Normal results: rebase the exponent, add half a unit, ties to even.
  uint32_t odd = magnitude >> 13 & 1;
  uint32_t normal = (magnitude - 0x38000000 + 0xfff + odd) >> 13;
  uint32_t result = magnitude < 0x38800000 ? subnormal : normal;
  result = magnitude >= 0x477ff000 ? 0x7c00 : result; // 65520 and beyond
  result = magnitude > infinityBits ? 0x7e00 : result;
  return sign | result;
}

inline float bfloatToFloat(uint16_t bfloat) {
  return bitsToFloat(uint32_t(bfloat) << 16);
}

inline uint16_t floatToBfloat(float value) {
  uint32_t bits = floatBits(value);
  uint32_t rounded = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
  uint32_t quietNan = bits >> 16 | 0x40;
  return (bits & magnitudeMask) > infinityBits ? quietNan : rounded;
}

/// A float of at most 8 bits: a sign, an exponent whose `bias` is 1.0, and
/// `fraction` bits. Magnitudes from `infinity` on are infinite, from `nan` on
/// no numbers; with `oneNaN` the code of -0 is the only one that is none.
template <unsigned Bits, unsigned Fraction, int Bias, unsigned Infinity,
          unsigned NaN, bool OneNaN>
struct LowFloatFormat {
  static constexpr unsigned bits = Bits, fraction = Fraction;
  static constexpr int bias = Bias;
  static constexpr unsigned infinity = Infinity, nan = NaN;
  static constexpr bool oneNaN = OneNaN;
};
using E4M3FN = LowFloatFormat<8, 3, 7, 0x7f, 0x7f, false>;
using E4M3FNUZ = LowFloatFormat<8, 3, 8, 0x80, 0x80, true>;
using E5M2 = LowFloatFormat<8, 2, 15, 0x7c, 0x7d, false>;
using E5M2FNUZ = LowFloatFormat<8, 2, 16, 0x80, 0x80, true>;
using E2M3FN = LowFloatFormat<6, 3, 1, 0x40, 0x40, false>;
using E3M2FN = LowFloatFormat<6, 2, 3, 0x40, 0x40, false>;
using E2M1FN = LowFloatFormat<4, 1, 1, 0x10, 0x10, false>;
/// A power of two from 2^-127 on, and NaN.
struct E8M0FNU {
  static constexpr unsigned bits = 8;
};

template <typename Format> float lowBitsToFloat(uint32_t code) {
  constexpr uint32_t signBit = 1u << (Format::bits - 1);
  constexpr uint32_t nan = 0x7fc00000;
  uint32_t magnitude = code & (signBit - 1);
  uint32_t sign = (code & signBit) << (32 - Format::bits);
  uint32_t normal = (magnitude << (23 - Format::fraction)) +
                    (uint32_t(127 - Format::bias) << 23);
  // Subnormal: so many times the least number, 2^-least.
  constexpr unsigned least = Format::bias - 1 + Format::fraction;
  uint32_t subnormal =
      floatBits(static_cast<float>(magnitude) / float(1u << least));
  uint32_t bits = magnitude < (1u << Format::fraction) ? subnormal : normal;
  bits = magnitude >= Format::infinity ? infinityBits : bits;
  bits = magnitude >= Format::nan ? nan : bits;
  bits |= sign;
  return bitsToFloat(Format::oneNaN && code == signBit ? nan : bits);
}

template <> inline float lowBitsToFloat<E8M0FNU>(uint32_t code) {
  uint32_t bits = code ? code << 23 : 0x00400000;
  return bitsToFloat(code == 0xff ? 0x7fc00000 : bits);
}

/// Rounded to odd: where bits are lost, the last one kept is set. Rounding the
/// result again, to a format at least two bits shorter, gives what one rounding
/// of the double gives.
inline float doubleToOddFloat(double value) {
  float nearest = static_cast<float>(value);
  uint32_t bits = floatBits(nearest);
  if (static_cast<double>(nearest) == value || value != value ||
      (bits & magnitudeMask) == infinityBits)
    return nearest;
  bool outward = (static_cast<double>(nearest) > value) == (value > 0);
  uint32_t truncated = bits - (outward ? 1 : 0);
  return bitsToFloat(truncated | 1);
}

} // namespace qtale

#endif // QTALE_LIB_TARGET_FLOATS_H
