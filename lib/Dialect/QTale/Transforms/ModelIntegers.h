//===- ModelIntegers.h - Matrices that a model brings as integers ---------===//

#ifndef QTALE_LIB_TRANSFORMS_MODELINTEGERS_H
#define QTALE_LIB_TRANSFORMS_MODELINTEGERS_H

#include "qtale/Dialect/QTale/IR/QTale.h"

namespace qtale {

/// The integers and scales of a matrix that the model dequantizes. Null where it
/// does not; failure, and what is in the way, where no scheme has their form.
mlir::FailureOr<IntegersAttr> getModelIntegers(RecipeAttrInterface recipe,
                                               std::string &problem);

} // namespace qtale

#endif // QTALE_LIB_TRANSFORMS_MODELINTEGERS_H
