//===- StepScope.h - Values of @step, for one set of rows, in one place ---===//
//
//              all rows        wanted rows
//   outside    scope     ───▶  scope            gather_rows by `wanted`
//                │               │
//   in a route   ▼               ▼              the route gathers: an argument
//              scope           scope
//
// Each scope knows the values that were built in it, and finds others in the
// one that it comes from: rows are gathered on the way, once. What has no rows
// (weights, shapes) is the same everywhere.
//
//===----------------------------------------------------------------------===//

#ifndef QTALE_LIB_IMPORT_ONNX_STEPSCOPE_H
#define QTALE_LIB_IMPORT_ONNX_STEPSCOPE_H

#include "StepNode.h"

namespace qtale::onnx_import {

/// A block that is being filled. Index arithmetic is shared within one only.
struct Code {
  Code(mlir::Block *block, mlir::Location loc, const Model &model,
       Weights &weights, std::optional<std::string> *giveUp)
      : b(mlir::OpBuilder::atBlockEnd(block)), g(b, model, weights) {
    g.loc = loc;
    g.giveUp = giveUp;
  }
  mlir::OpBuilder b;
  GraphBuilder g;
};

class StepScope {
public:
  /// How rows come in from the scope outside: a value with other rows.
  using Fetch = std::function<mlir::Value(mlir::Value)>;

  StepScope(Code &code, StepScope *outside = nullptr, Fetch fetch = {})
      : code(code), outside(outside), fetch(std::move(fetch)) {}

  /// The term of a value; null where nobody has built it.
  Term *lookup(llvm::StringRef name);
  /// A tensor of rows of the scope outside, with this scope's rows.
  mlir::Value rows(mlir::Value value);
  StepScope *getOutside() const { return outside; }
  void set(llvm::StringRef name, Term term) { terms[name] = std::move(term); }

  Code &code;
  StepInputs step;
  /// Number of this scope's rows.
  OpFoldResult count;

private:
  StepScope *outside;
  Fetch fetch;
  llvm::StringMap<Term> terms;
  llvm::DenseMap<mlir::Value, mlir::Value> fetched;
};

} // namespace qtale::onnx_import

#endif // QTALE_LIB_IMPORT_ONNX_STEPSCOPE_H
