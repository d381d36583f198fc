//===- SinCos.h - Sine and cosine of large angles -------------------------===//

#ifndef QTALE_LIB_CONVERSION_SINCOS_H
#define QTALE_LIB_CONVERSION_SINCOS_H

#include "mlir/IR/PatternMatch.h"

namespace qtale {

/// Expands `math.sin` and `math.cos` of f32.
void populateSinCosPatterns(mlir::RewritePatternSet &patterns);

} // namespace qtale

#endif // QTALE_LIB_CONVERSION_SINCOS_H
