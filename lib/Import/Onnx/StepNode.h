//===- StepNode.h - A node of @step, whose terms are rows -----------------===//

#ifndef QTALE_LIB_IMPORT_ONNX_STEPNODE_H
#define QTALE_LIB_IMPORT_ONNX_STEPNODE_H

#include "Model.h"
#include "Node.h"

namespace qtale::onnx_import {

/// What `@step` knows of its rows.
struct StepInputs {
  mlir::Value sequences, positions;
  /// Number of all rows: what S is in shape computations, where B is 1.
  mlir::Value count;
};

/// Whether a term holds each row's token id or position: they alone are i32
/// where ONNX has int64.
inline bool isRowNumber(const Term &term) {
  return term.rows && term.value && term.dtype == onnx::TensorProto::INT64 &&
         llvm::cast<mlir::RankedTensorType>(term.value.getType())
             .getElementType()
             .isInteger(32);
}

/// A node built by a rows builder of its own.
class StepNode : public Node {
public:
  StepNode(GraphBuilder &g, const onnx::NodeProto &proto,
           llvm::ArrayRef<Term *> inputs, const StepInputs &step,
           const Model &model)
      : Node(g, proto, inputs), step(step), model(model) {}

  const StepInputs &step;
  const Model &model;

  /// The first result has the layout of the first operand.
  llvm::LogicalResult keepRows() {
    result(0)->rows = in(0).rows;
    return llvm::success();
  }
  llvm::LogicalResult setRows(Term term, RowLayout layout) {
    term.rows = layout;
    return set(0, std::move(term));
  }
};

/// Stores the keys and values (inputs 1 and 2) of an Attention node's rows.
llvm::LogicalResult buildKVAppend(StepNode &n, mlir::Value cache,
                                  mlir::Value slots);
/// An Attention node on what its cache holds; only the query is read.
llvm::LogicalResult buildAttentionRows(StepNode &n, mlir::Value cache,
                                       mlir::Value slots);
/// A router of `ai.qtale`: a probability for each row.
llvm::LogicalResult buildRouter(StepNode &n);

} // namespace qtale::onnx_import

#endif // QTALE_LIB_IMPORT_ONNX_STEPNODE_H
