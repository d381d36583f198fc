//===- Launcher.h - Replaces verbs by launches of kernels -----------------===//
//
//   %y = qtale.VERB %x, %w   -->   %y, … = qtale.launch @VERB(%context, numbers)
//                                             ins(%x, %w) outs(%init, scratch)
//
// Operands become inputs in their order, results the outputs. Two verbs that
// differ in operands only launch one kernel: code does not grow with the depth.
//
//===----------------------------------------------------------------------===//

#ifndef QTALE_LIB_CODEGEN_CPU_LAUNCHER_H
#define QTALE_LIB_CODEGEN_CPU_LAUNCHER_H

#include "Kernels.h"

#include "llvm/ADT/StringMap.h"

namespace qtale {

/// What a launch has besides its verb's tensors.
struct LaunchExtras {
  /// Handed to the kernel behind the context: which cache, which unit.
  llvm::SmallVector<mlir::Value> numbers = {};
  /// Outputs behind the results; what is dynamic has the size of the rows.
  llvm::SmallVector<mlir::RankedTensorType> scratch = {};
  /// The operand that the only result overwrites in part.
  mlir::OpOperand *updated = nullptr;
};

class Launcher {
public:
  using Build =
      llvm::function_ref<void(KernelBuilder &, mlir::ValueRange arguments)>;

  Launcher(mlir::ModuleOp module, const Level &level)
      : level(level), module(module), symbols(module) {}

  /// All verbs of an entry; its cache arguments go.
  void run(mlir::func::FuncOp entry);

  /// Replaces `op` by a launch of the kernel that `build` makes. Its arguments:
  /// the context, numbers, tensor operands, results, scratch. What `build`
  /// depends on besides the types has to be in `op`'s attributes.
  LaunchOp launch(mlir::Operation *op, const LaunchExtras &extras, Build build);

  /// Which of the entry's caches it is.
  static mlir::Value numberOf(mlir::OpBuilder &builder, mlir::Value cache,
                              mlir::Location loc);

  const Level &level;
  int64_t numKernels = 0;

private:
  void lower(mlir::Operation *op);
  void lowerParam(ParamOp param);
  mlir::func::FuncOp getKernel(mlir::Operation *op,
                               llvm::ArrayRef<mlir::Type> arguments,
                               Build build);
  /// The operand as a tensor of its storage.
  mlir::Value stored(mlir::Value value) {
    mlir::Value known = storage.lookup(value);
    return known ? known : value;
  }

  mlir::ModuleOp module;
  mlir::SymbolTable symbols;
  llvm::StringMap<mlir::func::FuncOp> kernels;
  llvm::DenseMap<mlir::Value, mlir::Value> storage;
};

/// RoutingVerbs.cpp: whether `op` was one of routing's verbs, now launched.
bool lowerRoutingVerb(Launcher &launcher, mlir::Operation *op);

/// CheckVerbs.cpp: whether all of an entry can be lowered.
llvm::LogicalResult checkVerbs(mlir::func::FuncOp entry, mlir::ModuleOp level);

} // namespace qtale

#endif // QTALE_LIB_CODEGEN_CPU_LAUNCHER_H
