//===- Floats.h - Half floats and bfloat16 as bits ------------------------===//
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
