//===- Quantize.cpp - Groups of floats as integers and a scale ------------===//
//
//   symmetric    s = f16(absmax / 7)                q = clamp(rne(w / s)) + 8
//   asymmetric   s = f16((max' - min') / 15)        q = clamp(rne(w / s) + zp)
//                zp = clamp(rne(-min' / s))         min' = min(w, 0), max'
//                alike
//
//   (127 and 128, 255 with 8 bits.) All in f32. Extremes are found on the bits
//   of floats, ordered like integers: that vectorises, and shows infinities and
//   NaN as the largest magnitudes.
//
//===----------------------------------------------------------------------===//

#include "Floats.h"
#include "Pack.h"

#include <algorithm>

using namespace qtale;

/// Rounds to the nearest integer, ties to even; |x| < 2^22. After the sum the
/// last bit of the mantissa is worth one, so the FPU rounds there.
static inline int32_t roundEven(float x) {
  constexpr float magic = 0x1.8p23f;
  return static_cast<int32_t>(floatBits(x + magic)) -
         static_cast<int32_t>(0x4b400000);
}

static inline int32_t clamp(int32_t x, int32_t low, int32_t high) {
  x = x < low ? low : x;
  return x > high ? high : x;
}

template <int bits>
static QuantizeProblem quantizeSymmetric(const float *weights, int64_t group,
                                         uint8_t *values, uint16_t &scale) {
  constexpr int32_t low = bits == 4 ? -8 : -127, high = bits == 4 ? 7 : 127;
  constexpr int32_t bias = bits == 4 ? 8 : 128;
  int32_t largest = 0;
  for (int64_t i = 0; i < group; ++i) {
    int32_t magnitude = floatBits(weights[i]) & magnitudeMask;
    largest = magnitude > largest ? magnitude : largest;
  }
  if (uint32_t(largest) >= infinityBits)
    return QuantizeProblem::NotFinite;
  scale = floatToHalf(bitsToFloat(largest) / float(high));
  if (scale >= 0x7c00)
    return QuantizeProblem::ScaleOverflow;
  if (scale == 0) {
    std::fill_n(values, group, uint8_t(bias));
    return QuantizeProblem::None;
  }
  float s = halfToFloat(scale);
  for (int64_t i = 0; i < group; ++i)
    values[i] = clamp(roundEven(weights[i] / s), low, high) + bias;
  return QuantizeProblem::None;
}

template <int bits>
static QuantizeProblem quantizeAsymmetric(const float *weights, int64_t group,
                                          uint8_t *values, uint16_t &scale,
                                          uint8_t &zero) {
  constexpr int32_t high = bits == 4 ? 15 : 255;
  // As signed integers, floats of one sign are ordered, those of the other
  // sign are negative.
  int32_t above = 0, below = 0;
  for (int64_t i = 0; i < group; ++i) {
    int32_t up = floatBits(weights[i]);
    int32_t down = floatBits(weights[i]) ^ 0x80000000;
    above = up > above ? up : above;
    below = down > below ? down : below;
  }
  if (uint32_t(std::max(above, below)) >= infinityBits)
    return QuantizeProblem::NotFinite;
  float max = bitsToFloat(above), min = -bitsToFloat(below);
  scale = floatToHalf((max - min) / float(high));
  if (scale >= 0x7c00)
    return QuantizeProblem::ScaleOverflow;
  zero = 0;
  if (scale == 0) {
    std::fill_n(values, group, uint8_t(0));
    return QuantizeProblem::None;
  }
  float s = halfToFloat(scale);
  int32_t zp = clamp(roundEven(-min / s), 0, high);
  zero = zp;
  for (int64_t i = 0; i < group; ++i)
    values[i] = clamp(roundEven(weights[i] / s) + zp, 0, high);
  return QuantizeProblem::None;
}

QuantizeProblem qtale::quantizeGroup(IntAttr scheme, const float *weights,
                                     uint8_t *values, uint16_t &scale,
                                     uint8_t &zero) {
  int64_t group = scheme.getGroup();
  if (scheme.getAsymmetric())
    return scheme.getBits() == 4
               ? quantizeAsymmetric<4>(weights, group, values, scale, zero)
               : quantizeAsymmetric<8>(weights, group, values, scale, zero);
  return scheme.getBits() == 4
             ? quantizeSymmetric<4>(weights, group, values, scale)
             : quantizeSymmetric<8>(weights, group, values, scale);
}
