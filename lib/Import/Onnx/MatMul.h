//===- MatMul.h - Rows against weights ------------------------------------===//

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

} // namespace qtale::onnx_import

#endif // QTALE_LIB_IMPORT_ONNX_MATMUL_H
