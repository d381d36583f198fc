//===- Passes.h - qtale to qtale ------------------------------------------===//

#ifndef QTALE_DIALECT_QTALE_TRANSFORMS_PASSES_H
#define QTALE_DIALECT_QTALE_TRANSFORMS_PASSES_H

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"

namespace qtale {
#define GEN_PASS_DECL
#include "qtale/Dialect/QTale/Transforms/Passes.h.inc"
#define GEN_PASS_REGISTRATION
#include "qtale/Dialect/QTale/Transforms/Passes.h.inc"
} // namespace qtale

#endif // QTALE_DIALECT_QTALE_TRANSFORMS_PASSES_H
