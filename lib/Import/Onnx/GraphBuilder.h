//===- GraphBuilder.h - Tensor code for one entry -------------------------===//

#ifndef QTALE_LIB_IMPORT_ONNX_GRAPHBUILDER_H
#define QTALE_LIB_IMPORT_ONNX_GRAPHBUILDER_H

#include "IndexMath.h"
#include "Term.h"
#include "Weights.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Builders.h"

namespace qtale::onnx_import {

/// Scalar code inside a linalg body.
struct Scalars {
  mlir::OpBuilder &b;
  mlir::Location loc;

  mlir::Value constant(mlir::Type type, double value) const;
  mlir::Value integer(mlir::Type type, int64_t value) const;
  mlir::Value index(int64_t value) const;
  mlir::Value loopIndex(unsigned axis) const;
  /// Element of a tensor; indices must be in range.
  mlir::Value at(mlir::Value tensor, mlir::ValueRange indices) const;
  /// 0 <= index < dim of the tensor's axis, or 0 where the axis is empty.
  mlir::Value clamped(mlir::Value index, mlir::Value tensor,
                      int64_t axis) const;
  mlir::Value cmp(mlir::arith::CmpIPredicate predicate, mlir::Value a,
                  mlir::Value c) const;
  mlir::Value select(mlir::Value condition, mlir::Value a, mlir::Value c) const;
  template <typename Op> mlir::Value make(mlir::Value a, mlir::Value c) const {
    return Op::create(b, loc, a, c);
  }
  /// A number of any type as another type, by value; never undefined.
  mlir::Value convert(mlir::Value value, mlir::Type to, bool fromUnsigned,
                      bool toUnsigned) const;
};

class GraphBuilder {
public:
  GraphBuilder(mlir::OpBuilder &b, const Model &model, Weights &weights)
      : b(b), model(model), loc(b.getUnknownLoc()), math(b, loc),
        weights(weights) {}

  mlir::OpBuilder &b;
  const Model &model;
  /// Of the node that is being built.
  mlir::Location loc;
  IndexMath math;
  Weights &weights;
  /// In `@step`: reasons to give up are collected instead of reported.
  std::optional<std::string> *giveUp = nullptr;

  using Body = llvm::function_ref<mlir::Value(Scalars, mlir::ValueRange)>;

  mlir::MLIRContext *context() { return b.getContext(); }

  //===- Terms ------------------------------------------------------------===//

  /// The term as a tensor.
  mlir::Value tensor(Term &term);
  Term make(int32_t dtype, mlir::Value value,
            llvm::ArrayRef<OpFoldResult> dims);
  Term fromElements(int32_t dtype, llvm::ArrayRef<OpFoldResult> elements,
                    bool scalar = false);
  /// Results of arithmetic on elements as elements of the type: known ones wrap
  /// to its width, and sizes are asserted to fit int32. Null where other
  /// numbers might not fit.
  std::optional<Dims> wrapped(int32_t dtype,
                              llvm::ArrayRef<OpFoldResult> results,
                              const llvm::Twine &op);
  Term fromConstant(int32_t dtype, mlir::DenseElementsAttr values);
  /// The integers of a tensor of rank 0 or 1 as index values.
  std::optional<Dims> indices(Term &term);
  /// The integers, where all are known now.
  std::optional<llvm::SmallVector<int64_t>> integers(Term &term);
  /// One number, where it is known now.
  std::optional<double> number(Term &term);

  //===- Loops ------------------------------------------------------------===//

  mlir::Value empty(llvm::ArrayRef<OpFoldResult> dims, mlir::Type type);
  mlir::Value filled(llvm::ArrayRef<OpFoldResult> dims, mlir::Value scalar);
  mlir::Value scalar(mlir::Type type, double value);

  /// The shape of inputs broadcast to each other; asserts what is unknown.
  std::optional<Dims> broadcast(llvm::ArrayRef<llvm::ArrayRef<OpFoldResult>> s);
  /// One result element for each index of `dims`; inputs are broadcast. 16-bit
  /// floats reach the body as f32, and a f32 result becomes `type`.
  mlir::Value elementwise(llvm::ArrayRef<Term *> inputs,
                          llvm::ArrayRef<OpFoldResult> dims, mlir::Type type,
                          Body body);
  /// The body finds its inputs by loop indices.
  mlir::Value generate(llvm::ArrayRef<OpFoldResult> dims, mlir::Type type,
                       llvm::function_ref<mlir::Value(Scalars)> body);
  /// Folds the axes; the result lacks them. `map` is applied to each element
  /// before, in f32 for 16-bit floats, and in this type is the result.
  mlir::Value reduce(mlir::Value input, llvm::ArrayRef<OpFoldResult> dims,
                     llvm::ArrayRef<int64_t> axes, mlir::Value init,
                     Body combine);
  /// An einsum of two tensors over `numLoops` loops, summed in f32 at least:
  /// axes name the loop that each dimension runs along.
  mlir::Value contract(Term &lhs, llvm::ArrayRef<int64_t> lhsLoops, Term &rhs,
                       llvm::ArrayRef<int64_t> rhsLoops,
                       llvm::ArrayRef<int64_t> outLoops,
                       llvm::ArrayRef<OpFoldResult> outDims, unsigned numLoops);
  mlir::Value softmax(mlir::Value input, llvm::ArrayRef<OpFoldResult> dims,
                      int64_t axis, bool log, bool maskedRowsAreZero = false);
  mlir::Value transpose(mlir::Value input, llvm::ArrayRef<OpFoldResult> dims,
                        llvm::ArrayRef<int64_t> perm);

  //===- Shapes -----------------------------------------------------------===//

  /// The same elements in another shape, by collapse and expand.
  mlir::Value reshape(mlir::Value input, llvm::ArrayRef<OpFoldResult> from,
                      llvm::ArrayRef<OpFoldResult> to);
  Term reshape(Term &term, llvm::ArrayRef<OpFoldResult> to);
  mlir::Value broadcastTo(mlir::Value input, llvm::ArrayRef<OpFoldResult> from,
                          llvm::ArrayRef<OpFoldResult> to);
  mlir::Value insert(mlir::Value piece, mlir::Value into,
                     llvm::ArrayRef<OpFoldResult> offsets,
                     llvm::ArrayRef<OpFoldResult> sizes);
  mlir::Value concat(llvm::ArrayRef<Term *> pieces, int64_t axis,
                     llvm::ArrayRef<OpFoldResult> dims, mlir::Type type);

  /// f32 for 16-bit floats, otherwise the type.
  mlir::Type computeType(mlir::Type type);
  /// A tensor in another float type.
  mlir::Value castFloat(mlir::Value input, llvm::ArrayRef<OpFoldResult> dims,
                        mlir::Type type);

private:
  mlir::Value collapse(mlir::Value input, llvm::ArrayRef<OpFoldResult> dims,
                       llvm::ArrayRef<mlir::ReassociationIndices> groups,
                       Dims &result);
};

} // namespace qtale::onnx_import

#endif // QTALE_LIB_IMPORT_ONNX_GRAPHBUILDER_H
