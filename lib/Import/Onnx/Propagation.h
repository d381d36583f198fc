//===- Propagation.h - ONNX's inference, within limits --------------------===//

#ifndef QTALE_LIB_IMPORT_ONNX_PROPAGATION_H
#define QTALE_LIB_IMPORT_ONNX_PROPAGATION_H

#include "onnx/onnx_pb.h"

namespace qtale::onnx_import {

/// Infers shapes and types, also from values that shapes are computed of.
/// Throws where they don't fit.
void inferShapes(onnx::ModelProto &model);

} // namespace qtale::onnx_import

#endif // QTALE_LIB_IMPORT_ONNX_PROPAGATION_H
