//===- MatMul.h - Operands of products, rows against weights --------------===//

#ifndef QTALE_LIB_IMPORT_ONNX_MATMUL_H
#define QTALE_LIB_IMPORT_ONNX_MATMUL_H

#include "Node.h"

namespace qtale::onnx_import {

/// A matrix in files, of a float type that `matmul` and `embedding` take.
bool isWeightMatrix(const Term &term);

/// A term [.., columns] as f32 rows [?, columns].
mlir::Value toRows(Node &n, Term &term, int64_t columns);

/// `qtale.matmul` of rows [M, K] and a recipe [N, K].
mlir::Value matmul(Node &n, mlir::Value rows, RecipeAttrInterface weight,
                   llvm::StringRef name, mlir::Value bias);

/// Two operands [.., M, K] · [.., K, N]; vectors have become matrices. Each batch
/// dimension is 1 or the product's.
struct MatrixOperands {
  Term a, c;
  /// Of the product as matrices; and without the dimensions that vectors lack.
  Dims dims, given;
};
mlir::FailureOr<MatrixOperands> readMatrices(Node &n, unsigned a, unsigned c);

/// A term whose dimensions are known to be 1 or those of `full` at the right:
/// those that may or may not be 1 are broadcast here.
Term settled(GraphBuilder &g, Term term,
             llvm::ArrayRef<mlir::OpFoldResult> full);

} // namespace qtale::onnx_import

#endif // QTALE_LIB_IMPORT_ONNX_MATMUL_H
