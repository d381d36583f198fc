//===- Import.h - ONNX models as modules of the stage `imported` ----------===//

#ifndef QTALE_IMPORT_ONNX_IMPORT_H
#define QTALE_IMPORT_ONNX_IMPORT_H

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/raw_ostream.h"

namespace qtale {

/// Reads `path`, `.onnx` or `.onnxtxt`, into a module with `@main` and, for a
/// language model, `@step`. Weights stay in their files. Null after
/// diagnostics that name the file and the node.
mlir::OwningOpRef<mlir::ModuleOp> importOnnx(llvm::StringRef path,
                                             mlir::MLIRContext *context);

/// What is taken of ONNX, as JSON: each operator's revisions, element types and
/// attributes, and what is refused of them, with the reason.
void printOperators(llvm::raw_ostream &os);

} // namespace qtale

#endif // QTALE_IMPORT_ONNX_IMPORT_H
