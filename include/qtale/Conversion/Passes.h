//===- Passes.h - Tensors to buffers to LLVM ------------------------------===//

#ifndef QTALE_CONVERSION_PASSES_H
#define QTALE_CONVERSION_PASSES_H

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/ControlFlow/IR/ControlFlow.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"

namespace qtale {
#define GEN_PASS_DECL
#include "qtale/Conversion/Passes.h.inc"
#define GEN_PASS_REGISTRATION
#include "qtale/Conversion/Passes.h.inc"

/// How `qtale.launch` bufferizes: to a call of its kernel.
void registerBufferizableOpInterface(mlir::DialectRegistry &registry);

} // namespace qtale

#endif // QTALE_CONVERSION_PASSES_H
