//===- Term.h - What the importer knows of an ONNX value ------------------===//
//
//               ┌ tensor    an SSA value (made on demand from the others)
//   a term is   ├ recipe    bytes in files: a weight
//   any of      ├ constant  small values from the model
//               └ elements  integers of a shape computation, as index values
//
// Elements are the numbers that the ONNX type holds, extended to 64 bits by its
// sign (of uint64: its bits). Who computes on them brings the results back into
// the type (GraphBuilder::wrapped), or leaves them to a tensor.
//
// Its dims are OpFoldResults: static, or one SSA value for each symbol, so that
// equal dimensions are equal values.
//
//===----------------------------------------------------------------------===//

#ifndef QTALE_LIB_IMPORT_ONNX_TERM_H
#define QTALE_LIB_IMPORT_ONNX_TERM_H

#include "qtale/Dialect/QTale/IR/QTale.h"

#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/IR/BuiltinAttributes.h"
#include "onnx/onnx_pb.h"
#include <optional>

namespace qtale::onnx_import {

using mlir::OpFoldResult;
using Dims = llvm::SmallVector<OpFoldResult>;

/// In `@step` a tensor is stored as [row, other axes…]: where the rows (and
/// the batch, which is always axis 0) are in ONNX's shape.
struct RowLayout {
  int64_t rank;
  int64_t rowAxis;
  bool batch;

  bool operator==(const RowLayout &other) const {
    return rank == other.rank && rowAxis == other.rowAxis &&
           batch == other.batch;
  }
  /// The stored axis of an axis of ONNX; none for rows and batch.
  std::optional<int64_t> stored(int64_t axis) const {
    if (axis == rowAxis || (batch && axis == 0))
      return std::nullopt;
    return 1 + axis - (axis > rowAxis) - (batch && axis > 0);
  }
};

struct Term {
  /// Element type: onnx::TensorProto::DataType.
  int32_t dtype = 0;
  Dims dims;

  mlir::Value value;
  RecipeAttrInterface recipe;
  mlir::DenseElementsAttr constant;
  std::optional<Dims> elements;

  /// What a weight is called after.
  std::string name;
  /// In `@step`, where the term has a value for each row.
  std::optional<RowLayout> rows;

  int64_t rank() const { return dims.size(); }
  /// A single value, whatever the rank.
  bool isScalar() const;
};

//===----------------------------------------------------------------------===//
// Element types
//===----------------------------------------------------------------------===//

/// The type of an element in the IR, where integers are signless, and low-bit
/// types are bytes (LowBitTypes.h); null for types without one.
mlir::Type elementType(mlir::MLIRContext *context, int32_t dtype);
/// The same in recipes, which read files: their own types, where unsigned
/// integers are told apart.
mlir::Type recipeElementType(mlir::MLIRContext *context, int32_t dtype);
/// Of a type without one: its name, and why it has none.
std::string refusal(int32_t dtype);
/// As NumPy and ml_dtypes spell it.
llvm::StringRef numpyName(int32_t dtype);
bool isUnsigned(int32_t dtype);
/// What is computed with as it is: low-bit types are neither.
bool isFloat(int32_t dtype);
bool isInteger(int32_t dtype);

/// A tensor's values; null, with a reason, where the data does not fit.
mlir::DenseElementsAttr tensorValues(mlir::MLIRContext *context,
                                     const onnx::TensorProto &tensor,
                                     std::string &error);

/// Static dims as OpFoldResults.
Dims staticDims(mlir::MLIRContext *context, llvm::ArrayRef<int64_t> dims);
/// The static value, or kDynamic.
int64_t staticOrDynamic(OpFoldResult dim);
llvm::SmallVector<int64_t> staticShape(llvm::ArrayRef<OpFoldResult> dims);

} // namespace qtale::onnx_import

#endif // QTALE_LIB_IMPORT_ONNX_TERM_H
