//===- Entries.h - @main and @step from one graph -------------------------===//

#ifndef QTALE_LIB_IMPORT_ONNX_ENTRIES_H
#define QTALE_LIB_IMPORT_ONNX_ENTRIES_H

#include "GraphBuilder.h"
#include "Model.h"
#include "Subgraphs.h"

#include "mlir/IR/BuiltinOps.h"

namespace qtale::onnx_import {

class StepNode;

/// The entry that computes the graph as it is. Conditions that turn out to be
/// known are noted in `taken`.
llvm::LogicalResult buildMain(const Model &model, mlir::ModuleOp module,
                              Weights &weights, Branches &taken);

/// The entry of sessions, where the graph is a language model; otherwise, or
/// where an operator mixes tokens, the module says why there is none.
void buildStep(const Model &model, mlir::ModuleOp module, Weights &weights);

/// Initializers as terms, by name.
llvm::FailureOr<llvm::StringMap<Term>> initializers(const Model &model,
                                                    GraphBuilder &g);

/// Builds an elementwise node on rows: operands are brought to one layout.
llvm::LogicalResult buildElementwiseRows(StepNode &node);

} // namespace qtale::onnx_import

#endif // QTALE_LIB_IMPORT_ONNX_ENTRIES_H
