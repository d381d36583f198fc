//===- Artifact.h - From the stage llvm to files --------------------------===//
//
//   module in the LLVM dialect, a nested one for each CPU level
//     │ objects  │ descriptor  │ weights
//     ▼          ▼             ▼
//   m.so (or a program, or one relocatable object)  +  m.safetensors
//
//===----------------------------------------------------------------------===//

#ifndef QTALE_TARGET_ARTIFACT_H
#define QTALE_TARGET_ARTIFACT_H

#include "qtale/Target/WeightsFile.h"

namespace qtale {

struct ArtifactOptions {
  enum Kind {
    Library,    // m.so
    Executable, // a program: the model and the body of qtale-run
    Object,     // m.o: everything in one relocatable object
  };
  Kind kind = Library;
  /// The weights go beside it (see getWeightsPath), or into it.
  std::string output;
  bool bundle = false;
  /// What recipes and the tokenizer's path are relative to.
  std::string sourceFolder;
  /// The compiler's own path; the runtime's objects are found from there.
  std::string toolPath;
  ProgressFn progress = nullptr;
};

/// `<stem>.safetensors`.
std::string getWeightsPath(llvm::StringRef output);

/// Writes an artifact from a module in the stage `llvm`. All its files appear,
/// or none; errors are reported as diagnostics. Equal modules give equal bytes.
mlir::LogicalResult writeArtifact(mlir::ModuleOp module,
                                  const ArtifactOptions &options);

} // namespace qtale

#endif // QTALE_TARGET_ARTIFACT_H
