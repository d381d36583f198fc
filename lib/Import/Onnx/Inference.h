//===- Inference.h - ONNX's inference, within limits ----------------------===//

#ifndef QTALE_LIB_IMPORT_ONNX_INFERENCE_H
#define QTALE_LIB_IMPORT_ONNX_INFERENCE_H

#include "onnx/onnx_pb.h"

namespace qtale::onnx_import {

/// Infers shapes and types, also from values that shapes are computed of.
/// Throws where they don't fit.
void inferShapes(onnx::ModelProto &model);

/// As ONNX's converter and inliner do on their own account, before they do. Throws
/// only where they would not end, or read elsewhere.
void inferWhatFits(onnx::ModelProto &model);

} // namespace qtale::onnx_import

#endif // QTALE_LIB_IMPORT_ONNX_INFERENCE_H
