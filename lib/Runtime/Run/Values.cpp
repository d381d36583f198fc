//===- Values.cpp - Elements as numbers that can be shown -----------------===//
//
//   s eeee fff      2^(e - bias) * 1.fff, or 2^(1 - bias) * 0.fff where e is 0
//
//===----------------------------------------------------------------------===//

#include "Values.h"
#include <cmath>

namespace {

/// Magnitudes from `infinity` on are infinite, from `nan` on no numbers.
struct Format {
  unsigned bits, fraction;
  int bias;
  unsigned infinity, nan;
};

constexpr Format kHalf = {16, 10, 15, 0x7c00, 0x7c01};
constexpr Format kBfloat = {16, 7, 127, 0x7f80, 0x7f81};

} // namespace

static double fromFormat(const Format &format, unsigned code) {
  unsigned sign = 1u << (format.bits - 1), magnitude = code & (sign - 1);
  unsigned one = 1u << format.fraction, exponent = magnitude / one;
  double units = magnitude % one + (exponent ? one : 0);
  int scale = int(exponent ? exponent : 1) - format.bias - int(format.fraction);
  double value = magnitude >= format.nan        ? NAN
                 : magnitude >= format.infinity ? INFINITY
                                                : std::ldexp(units, scale);
  return code & sign ? -value : value;
}

/// An element of a byte.
static double shortValue(int32_t dtype, unsigned code) {
  switch (dtype) {
  case QTALE_FLOAT8_E4M3FN:
    return fromFormat({8, 3, 7, 0x7f, 0x7f}, code);
  case QTALE_FLOAT8_E4M3FNUZ: // the code of -0 is NaN
    return code == 0x80 ? NAN : fromFormat({8, 3, 8, 0x80, 0x80}, code);
  case QTALE_FLOAT8_E5M2:
    return fromFormat({8, 2, 15, 0x7c, 0x7d}, code);
  case QTALE_FLOAT8_E5M2FNUZ:
    return code == 0x80 ? NAN : fromFormat({8, 2, 16, 0x80, 0x80}, code);
  case QTALE_FLOAT8_E8M0FNU: // an exponent alone
    return code == 0xff ? NAN : std::ldexp(1.0, int(code) - 127);
  case QTALE_FLOAT6_E2M3FN:
    return fromFormat({6, 3, 1, 0x40, 0x40}, code);
  case QTALE_FLOAT6_E3M2FN:
    return fromFormat({6, 2, 3, 0x40, 0x40}, code);
  case QTALE_FLOAT4_E2M1FN:
    return fromFormat({4, 1, 1, 0x10, 0x10}, code);
  case QTALE_INT4:
    return int(code ^ 8) - 8;
  case QTALE_INT2:
    return int(code ^ 2) - 2;
  default: // bool, uint8, uint4, uint2
    return code;
  }
}

double qtale::run::valueAt(const qtale_tensor &tensor, uint64_t i) {
  switch (tensor.dtype) {
  case QTALE_INT8:
    return static_cast<const int8_t *>(tensor.data)[i];
  case QTALE_INT16:
    return static_cast<const int16_t *>(tensor.data)[i];
  case QTALE_UINT16:
    return static_cast<const uint16_t *>(tensor.data)[i];
  case QTALE_INT32:
    return static_cast<const int32_t *>(tensor.data)[i];
  case QTALE_UINT32:
    return static_cast<const uint32_t *>(tensor.data)[i];
  case QTALE_INT64:
    return double(static_cast<const int64_t *>(tensor.data)[i]);
  case QTALE_UINT64:
    return double(static_cast<const uint64_t *>(tensor.data)[i]);
  case QTALE_FLOAT16:
    return fromFormat(kHalf, static_cast<const uint16_t *>(tensor.data)[i]);
  case QTALE_BFLOAT16:
    return fromFormat(kBfloat, static_cast<const uint16_t *>(tensor.data)[i]);
  case QTALE_FLOAT32:
    return static_cast<const float *>(tensor.data)[i];
  case QTALE_FLOAT64:
    return static_cast<const double *>(tensor.data)[i];
  default:
    return shortValue(tensor.dtype,
                      static_cast<const uint8_t *>(tensor.data)[i]);
  }
}
