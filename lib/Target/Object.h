//===- Object.h - Machine code of the CPU levels --------------------------===//

#ifndef QTALE_LIB_TARGET_OBJECT_H
#define QTALE_LIB_TARGET_OBJECT_H

#include "qtale/Target/WeightsFile.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/Support/Error.h"
#include "llvm/Target/TargetMachine.h"
#include <memory>
#include <string>
#include <vector>

namespace llvm {
class Module;
} // namespace llvm

namespace qtale {

/// The code of one CPU level. Symbols are empty where there is no such entry.
struct LevelObject {
  std::string name;
  std::string features; // what the CPU must have, for the runtime's check
  std::string main, step, stepScratch;
  llvm::SmallVector<char, 0> object; // an ELF file
};

/// Compiles every nested module, in parallel; errors are reported at them.
mlir::FailureOr<std::vector<LevelObject>> emitLevels(mlir::ModuleOp module,
                                                     ProgressFn progress);

/// The triple that `module` is compiled for: `llvm.target_triple`, or this
/// machine's.
std::string getTargetTriple(mlir::ModuleOp module);

/// A machine that emits position-independent code.
llvm::Expected<std::unique_ptr<llvm::TargetMachine>>
makeMachine(llvm::StringRef triple, llvm::StringRef cpu,
            llvm::StringRef features);

/// Emits a module as it is.
llvm::Expected<llvm::SmallVector<char, 0>> emitObject(llvm::Module &module,
                                                      llvm::TargetMachine &);

} // namespace qtale

#endif // QTALE_LIB_TARGET_OBJECT_H
