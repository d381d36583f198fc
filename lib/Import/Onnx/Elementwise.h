//===- Elementwise.h - Nodes that are one loop over a scalar body ---------===//

#ifndef QTALE_LIB_IMPORT_ONNX_ELEMENTWISE_H
#define QTALE_LIB_IMPORT_ONNX_ELEMENTWISE_H

#include "Node.h"

namespace qtale::onnx_import {

/// What a scalar body needs to know of its node.
struct ElementContext {
  const Node &node;
  Scalars s;
  bool isUnsigned;

  mlir::Type type(mlir::Value v) const { return v.getType(); }
  bool isFloat(mlir::Value v) const {
    return llvm::isa<mlir::FloatType>(v.getType());
  }
  mlir::Value real(mlir::Value like, double value) const {
    return s.constant(like.getType(), value);
  }
  template <typename Op> mlir::Value unary(mlir::Value v) const {
    return Op::create(s.b, s.loc, v);
  }
  template <typename Op>
  mlir::Value binary(mlir::Value a, mlir::Value c) const {
    return s.make<Op>(a, c);
  }
  mlir::Value compare(mlir::arith::CmpFPredicate f,
                      mlir::arith::CmpIPredicate i,
                      mlir::arith::CmpIPredicate u, mlir::Value a,
                      mlir::Value c) const {
    if (isFloat(a))
      return mlir::arith::CmpFOp::create(s.b, s.loc, f, a, c);
    return s.cmp(isUnsigned ? u : i, a, c);
  }
};

using ScalarBody = mlir::Value (*)(const ElementContext &, mlir::ValueRange);

/// The node as one loop; `dtype` is the result's, and input `typed` says whether
/// integers are unsigned.
llvm::LogicalResult loop(Node &n, int32_t dtype, ScalarBody body,
                         unsigned typed = 0);

/// Of the first input's type.
template <ScalarBody body> llvm::LogicalResult same(Node &n) {
  return loop(n, n.in(0).dtype, body);
}

} // namespace qtale::onnx_import

#endif // QTALE_LIB_IMPORT_ONNX_ELEMENTWISE_H
