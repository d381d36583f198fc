//===- Elements.h - Plain tensors, element by element ---------------------===//

#ifndef QTALE_LIB_TARGET_ELEMENTS_H
#define QTALE_LIB_TARGET_ELEMENTS_H

#include "Recipe.h"
#include "llvm/ADT/ArrayRef.h"

namespace qtale {

/// Writes `count` elements of a tensor, from element `first` on in row-major
/// order, to `out`, as its element type is stored.
llvm::Error readElements(const Reader &tensor, int64_t first, int64_t count,
                         uint8_t *out, llvm::MutableArrayRef<float> scratch);

} // namespace qtale

#endif // QTALE_LIB_TARGET_ELEMENTS_H
