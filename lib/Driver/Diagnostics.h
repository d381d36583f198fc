//===- Diagnostics.h - How errors read ------------------------------------===//

#ifndef QTALE_LIB_DRIVER_DIAGNOSTICS_H
#define QTALE_LIB_DRIVER_DIAGNOSTICS_H

#include "mlir/IR/Diagnostics.h"
#include "llvm/ADT/StringSet.h"

namespace qtale {

/// Prints diagnostics to stderr while it lives:
///   qtale-compile: error: model.onnx: node '/model/norm': message
/// What each CPU level finds alike is said once.
class DiagnosticPrinter : public mlir::ScopedDiagnosticHandler {
public:
  explicit DiagnosticPrinter(mlir::MLIRContext *context);

private:
  llvm::StringSet<> told;
};

} // namespace qtale

#endif // QTALE_LIB_DRIVER_DIAGNOSTICS_H
