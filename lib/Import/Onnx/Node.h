//===- Node.h - A node while it is built ----------------------------------===//

#ifndef QTALE_LIB_IMPORT_ONNX_NODE_H
#define QTALE_LIB_IMPORT_ONNX_NODE_H

#include "GraphBuilder.h"

#include "mlir/IR/Diagnostics.h"
#include "llvm/ADT/SmallVectorExtras.h"

namespace qtale::onnx_import {

/// Builds the nodes of a graph that is an attribute of a node, where the code
/// stands that is being built.
class SubgraphBuilder {
public:
  virtual ~SubgraphBuilder() = default;
  /// The graph's results.
  virtual llvm::FailureOr<llvm::SmallVector<Term>>
  build(const onnx::GraphProto &graph) = 0;
  /// Those of the branch of an If whose condition is known.
  virtual llvm::FailureOr<llvm::SmallVector<Term>>
  take(const onnx::NodeProto &node, bool condition) = 0;
};

/// A node with its operands as terms, and results that its builder fills in.
/// The same builders serve `@main` and, on rows, `@step`: they ask for axes
/// through `axis`, which knows how a term is stored.
class Node {
public:
  Node(GraphBuilder &g, const onnx::NodeProto &proto,
       llvm::ArrayRef<Term *> inputs, SubgraphBuilder *subgraphs = nullptr)
      : g(g), proto(proto), subgraphs(subgraphs), inputs(inputs),
        results(proto.output_size()) {}

  GraphBuilder &g;
  const onnx::NodeProto &proto;
  /// Null in `@step`, which has no nodes with graphs.
  SubgraphBuilder *subgraphs;

  //===- Operands and results ---------------------------------------------===//

  unsigned size() const { return inputs.size(); }
  bool has(unsigned i) const { return i < inputs.size() && inputs[i]; }
  Term &in(unsigned i) const { return *inputs[i]; }
  mlir::Value tensor(unsigned i) const { return g.tensor(in(i)); }
  bool wants(int i) const {
    return i < proto.output_size() && !proto.output(i).empty();
  }
  llvm::LogicalResult set(unsigned i, Term term) {
    results[i] = std::move(term);
    return llvm::success();
  }
  /// The first result, of the first operand's element type.
  llvm::LogicalResult set(mlir::Value value,
                          llvm::ArrayRef<OpFoldResult> dims) {
    return set(0, g.make(in(0).dtype, value, dims));
  }
  std::optional<Term> &result(unsigned i) { return results[i]; }

  //===- Attributes -------------------------------------------------------===//

  const onnx::AttributeProto *attribute(llvm::StringRef name) const;
  int64_t integer(llvm::StringRef name, int64_t otherwise) const;
  double real(llvm::StringRef name, double otherwise) const;
  std::string text(llvm::StringRef name, llvm::StringRef otherwise) const;
  std::optional<llvm::SmallVector<int64_t>> list(llvm::StringRef name) const;

  /// The axis of the term's tensor, from one that may be negative.
  llvm::FailureOr<int64_t> axis(const Term &term, int64_t axis) const;
  /// Axes from an attribute or from input `i`, where both may be absent.
  llvm::FailureOr<std::optional<llvm::SmallVector<int64_t>>>
  axes(unsigned i, llvm::StringRef name = "axes") const;

  //===- What inputs must be ----------------------------------------------===//
  // Refused where it is known, otherwise asserted when the model runs.

  /// a = c.
  llvm::LogicalResult checkEqual(OpFoldResult a, OpFoldResult c,
                                 const llvm::Twine &message) const;
  /// a <= c.
  llvm::LogicalResult checkAtMost(OpFoldResult a, OpFoldResult c,
                                  const llvm::Twine &message) const;
  /// A size that is given as a number is not negative.
  llvm::LogicalResult checkSize(OpFoldResult &size) const;
  /// Axes at whose elements results look have some, unless there is no result.
  llvm::LogicalResult checkRead(llvm::ArrayRef<OpFoldResult> axes,
                                llvm::ArrayRef<OpFoldResult> results) const;
  /// Asserts a condition when the model runs.
  void require(mlir::Value holds, const llvm::Twine &message) const;

  /// An error at the node; in `@step` a reason to give up instead.
  llvm::LogicalResult fail(const llvm::Twine &message) const;
  /// "input 'x'".
  std::string inputName(unsigned i) const;
  mlir::Type type(const Term &term) const {
    return elementType(g.context(), term.dtype);
  }

private:
  llvm::SmallVector<Term *> inputs;
  llvm::SmallVector<std::optional<Term>> results;
};

} // namespace qtale::onnx_import

#endif // QTALE_LIB_IMPORT_ONNX_NODE_H
