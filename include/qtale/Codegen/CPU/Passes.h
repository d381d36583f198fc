//===- Passes.h - Kernels for CPUs ----------------------------------------===//

#ifndef QTALE_CODEGEN_CPU_PASSES_H
#define QTALE_CODEGEN_CPU_PASSES_H

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"

namespace qtale {
#define GEN_PASS_DECL
#include "qtale/Codegen/CPU/Passes.h.inc"
#define GEN_PASS_REGISTRATION
#include "qtale/Codegen/CPU/Passes.h.inc"
} // namespace qtale

#endif // QTALE_CODEGEN_CPU_PASSES_H
