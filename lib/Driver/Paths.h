//===- Paths.h - Paths in a module are relative to its file ---------------===//

#ifndef QTALE_LIB_DRIVER_PATHS_H
#define QTALE_LIB_DRIVER_PATHS_H

#include "mlir/IR/BuiltinOps.h"
#include <set>
#include <string>

namespace qtale {

/// The folder of a file, "." for none.
std::string folderOf(llvm::StringRef file);

/// `path`, relative to the working directory, as seen from `folder`.
std::string relativeTo(llvm::StringRef folder, llvm::StringRef path);

/// Makes a module's paths (sources of weights, tokenizer), relative to `from`,
/// relative to `to`.
void rebasePaths(mlir::ModuleOp module, llvm::StringRef from,
                 llvm::StringRef to);

/// The files that a module in `folder` reads: sources of weights, tokenizer.
std::set<std::string> getFiles(mlir::ModuleOp module, llvm::StringRef folder);

} // namespace qtale

#endif // QTALE_LIB_DRIVER_PATHS_H
