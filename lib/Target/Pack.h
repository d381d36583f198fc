//===- Pack.h - Matrices in the order that kernels read -------------------===//

#ifndef QTALE_LIB_TARGET_PACK_H
#define QTALE_LIB_TARGET_PACK_H

#include "Recipe.h"
#include "llvm/ADT/ArrayRef.h"

namespace qtale {

/// Floats [N, K]; or a model's integers, with their scales and zero points as
/// #qtale.integers has them.
struct PackInput {
  std::unique_ptr<Reader> values, scale, zero;
  /// The floats before the cast to the weights' type, if there is one.
  std::unique_ptr<Reader> wide;
  int64_t block = 0;

  bool hasScales() const { return scale != nullptr; }
};

/// Readers for what #qtale.pack takes.
llvm::Expected<PackInput> makePackInput(RecipeAttrInterface recipe,
                                        SourceFiles &files);

/// Writes tiles [begin, begin + count) of the packed form of `input` to `out`
/// (zeros before). `scratch` bounds the temporary memory; it holds at least
/// `minPackScratch` floats for each row of a tile.
llvm::Error packTiles(const PackInput &input, PackedAttr format, int64_t begin,
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
