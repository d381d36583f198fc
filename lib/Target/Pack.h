//===- Pack.h - Matrices in the order that kernels read -------------------===//

#ifndef QTALE_LIB_TARGET_PACK_H
#define QTALE_LIB_TARGET_PACK_H

#include "Recipe.h"
#include "llvm/ADT/ArrayRef.h"

namespace qtale {

/// Writes tiles [begin, begin + count) of the packed form of `matrix` to `out`
/// (zeros before). `scratch` bounds the temporary memory; it holds at least
/// `minPackScratch` floats for each row of a tile.
llvm::Error packTiles(const Reader &matrix, PackedAttr format, int64_t begin,
                      int64_t count, uint8_t *out,
                      llvm::MutableArrayRef<float> scratch);

inline constexpr int64_t minPackScratch = 256;

/// A row's groups, quantized.
enum class QuantizeProblem { None, NotFinite, ScaleOverflow };

/// Quantizes one group of a row: `group` unsigned values, a float16 scale, and
/// where asymmetric a zero point.
QuantizeProblem quantizeGroup(IntAttr scheme, const float *weights,
                              uint8_t *values, uint16_t &scale, uint8_t &zero);

} // namespace qtale

#endif // QTALE_LIB_TARGET_PACK_H
