//===- StepNode.h - A node of @step, whose terms are rows -----------------===//

#ifndef QTALE_LIB_IMPORT_ONNX_STEPNODE_H
#define QTALE_LIB_IMPORT_ONNX_STEPNODE_H

#include "Model.h"
#include "Node.h"

namespace qtale::onnx_import {

/// What `@step` knows of its rows.
struct StepInputs {
  mlir::Value tokens, sequences, positions;
  /// Number of all rows: what S is in shape computations, where B is 1.
  mlir::Value count;
};

/// A node built by a rows builder of its own.
class StepNode : public Node {
public:
  StepNode(GraphBuilder &g, const onnx::NodeProto &proto,
           llvm::ArrayRef<Term *> inputs, const StepInputs &step,
           const Model &model, mlir::Value cache)
      : Node(g, proto, inputs), step(step), model(model), cache(cache) {}

  const StepInputs &step;
  const Model &model;
  /// Of an Attention node.
  mlir::Value cache;

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

} // namespace qtale::onnx_import

#endif // QTALE_LIB_IMPORT_ONNX_STEPNODE_H
