//===- Compile.h - What qtale-compile does with a module, in memory -------===//

#ifndef QTALE_TEST_FUZZ_COMPILE_H
#define QTALE_TEST_FUZZ_COMPILE_H

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/MLIRContext.h"
#include "llvm/ADT/StringRef.h"

namespace fuzz {

/// A context with all dialects and passes. It is made anew now and then, since
/// what it has uniqued stays. Diagnostics go nowhere.
mlir::MLIRContext &context();

/// All stages from the one in the module's attribute on. Nothing where there is
/// none, or its options can't be read.
void compile(mlir::ModuleOp module);

/// A pipeline as text. Does nothing where it is not made of our own passes and
/// the canonicalizer: upstream's are not what is tested.
void runPasses(mlir::ModuleOp module, llvm::StringRef pipeline);

} // namespace fuzz

#endif // QTALE_TEST_FUZZ_COMPILE_H
