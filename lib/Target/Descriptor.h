//===- Descriptor.h - What the runtime knows of a model -------------------===//

#ifndef QTALE_LIB_TARGET_DESCRIPTOR_H
#define QTALE_LIB_TARGET_DESCRIPTOR_H

#include "Object.h"
#include "qtale/Target/WeightsFile.h"

namespace qtale {

/// `qtale_module_descriptor` of ModuleABI.h as an ELF object. Errors are
/// reported at the module.
mlir::FailureOr<llvm::SmallVector<char, 0>>
emitDescriptor(mlir::ModuleOp module, llvm::ArrayRef<LevelObject> levels,
               const WeightsFileInfo &weights, llvm::StringRef sourceFolder);

/// The JSON of --info, but for "levels".
std::string buildInfo(mlir::ModuleOp module, const WeightsFileInfo &weights,
                      bool hasSession);

} // namespace qtale

#endif // QTALE_LIB_TARGET_DESCRIPTOR_H
