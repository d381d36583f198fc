//===- WeightsWriter.h - Weights to a file that is not yet kept -----------===//

#ifndef QTALE_LIB_TARGET_WEIGHTSWRITER_H
#define QTALE_LIB_TARGET_WEIGHTSWRITER_H

#include "OutputFile.h"
#include "qtale/Target/WeightsFile.h"

namespace qtale {

/// As writeWeights, to a file that the caller keeps when all else is done too.
mlir::FailureOr<WeightsFileInfo> writeWeights(mlir::ModuleOp module,
                                              llvm::StringRef sourceFolder,
                                              OutputFile &file,
                                              ProgressFn progress);

} // namespace qtale

#endif // QTALE_LIB_TARGET_WEIGHTSWRITER_H
