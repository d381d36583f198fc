//===- RowTypes.h - Comparing the types of tensors of rows ----------------===//

#ifndef QTALE_LIB_DIALECT_QTALE_IR_ROWTYPES_H
#define QTALE_LIB_DIALECT_QTALE_IR_ROWTYPES_H

#include "qtale/Dialect/QTale/IR/QTale.h"

namespace qtale {

inline mlir::RankedTensorType typeOf(mlir::Value value) {
  return llvm::cast<mlir::RankedTensorType>(value.getType());
}

/// Equal, as far as both are known.
inline bool agree(int64_t a, int64_t b) {
  return a == b || mlir::ShapedType::isDynamic(a) ||
         mlir::ShapedType::isDynamic(b);
}

/// As many rows, as far as they are known.
inline bool sameRows(llvm::ArrayRef<mlir::Value> values) {
  int64_t rows = mlir::ShapedType::kDynamic;
  for (mlir::Value value : values) {
    int64_t size = typeOf(value).getDimSize(0);
    if (!agree(rows, size))
      return false;
    if (!mlir::ShapedType::isDynamic(size))
      rows = size;
  }
  return true;
}

/// The type with some number of rows.
inline mlir::RankedTensorType withAnyRows(mlir::Type type) {
  auto tensor = llvm::cast<mlir::RankedTensorType>(type);
  llvm::SmallVector<int64_t> shape(tensor.getShape());
  shape[0] = mlir::ShapedType::kDynamic;
  return mlir::RankedTensorType::get(shape, tensor.getElementType(),
                                     tensor.getEncoding());
}

} // namespace qtale

#endif // QTALE_LIB_DIALECT_QTALE_IR_ROWTYPES_H
