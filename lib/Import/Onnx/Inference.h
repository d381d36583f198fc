//===- Inference.h - ONNX's inference, within limits --------------------===//

#ifndef QTALE_LIB_IMPORT_ONNX_INFERENCE_H
#define QTALE_LIB_IMPORT_ONNX_INFERENCE_H

#include "Model.h"

namespace qtale::onnx_import {

/// Refuses attributes with which ONNX's inference, also that of its converter and
/// inliner, does not end or reads elsewhere: axes that no tensor has, equations of
/// other characters.
llvm::LogicalResult checkAttributes(mlir::MLIRContext *context,
                                    const Model &model);

/// Infers shapes and types, also from values that shapes are computed of.
/// Throws where they don't fit.
void inferShapes(onnx::ModelProto &model);

} // namespace qtale::onnx_import

#endif // QTALE_LIB_IMPORT_ONNX_INFERENCE_H
