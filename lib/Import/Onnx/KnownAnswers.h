//===- KnownAnswers.h - Comparisons that are decided while compiling ------===//

#ifndef QTALE_LIB_IMPORT_ONNX_KNOWNANSWERS_H
#define QTALE_LIB_IMPORT_ONNX_KNOWNANSWERS_H

#include "Node.h"

namespace qtale::onnx_import {

/// `op` on a node's one or two inputs, if their integers or flags are known. Of
/// one input it gets the element twice.
std::optional<Term> knownAnswer(Node &n, bool (*op)(int64_t, int64_t));

} // namespace qtale::onnx_import

#endif // QTALE_LIB_IMPORT_ONNX_KNOWNANSWERS_H
