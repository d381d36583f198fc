//===- WeightsFile.h - From recipes to a safetensors file -----------------===//

#ifndef QTALE_TARGET_WEIGHTSFILE_H
#define QTALE_TARGET_WEIGHTSFILE_H

#include "mlir/IR/BuiltinOps.h"
#include "llvm/ADT/STLFunctionalExtras.h"
#include "llvm/ADT/StringRef.h"
#include <array>
#include <cstdint>
#include <string>

namespace qtale {

/// What a long step reports: its name, units done, units in all. Called by one
/// thread at a time, not always the caller's.
using ProgressFn =
    llvm::function_ref<void(llvm::StringRef what, uint64_t done, uint64_t all)>;

/// What an artifact knows of its weights file.
struct WeightsFileInfo {
  std::string fileName;                 // without folder
  uint64_t bytes = 0;                   // of the whole file
  uint64_t headerBytes = 0;             // before the data section
  std::array<uint8_t, 32> headerHash{}; // SHA-256 of these bytes
};

/// Evaluates the recipes of all `qtale.weight`s of `module` and writes the
/// results to `path`. Files that recipes name are relative to `sourceFolder`.
/// The file appears whole or not at all; errors are reported at the weight.
mlir::FailureOr<WeightsFileInfo> writeWeights(mlir::ModuleOp module,
                                              llvm::StringRef sourceFolder,
                                              llvm::StringRef path,
                                              ProgressFn progress = nullptr);

} // namespace qtale

#endif // QTALE_TARGET_WEIGHTSFILE_H
