//===- IndexMath.h - Arithmetic on dimensions -----------------------------===//

#ifndef QTALE_LIB_IMPORT_ONNX_INDEXMATH_H
#define QTALE_LIB_IMPORT_ONNX_INDEXMATH_H

#include "Term.h"

#include "llvm/ADT/DenseSet.h"
#include <map>

namespace qtale::onnx_import {

/// What is known of index values.
class IndexFacts {
public:
  /// An OpFoldResult as a static factor and dynamic ones, in a fixed order.
  struct Product {
    int64_t factor = 1;
    llvm::SmallVector<void *> values;
    bool operator==(const Product &other) const {
      return factor == other.factor && values == other.values;
    }
  };

protected:
  llvm::DenseMap<std::tuple<int, void *, void *>, mlir::Value> known;
  // Any number stands in a model, also those that a DenseMap keeps for itself.
  std::map<int64_t, mlir::Value> constants;
  llvm::DenseMap<mlir::Value, Product> products;
  llvm::DenseMap<mlir::Value, std::pair<OpFoldResult, OpFoldResult>> sums,
      differences;
  llvm::DenseSet<mlir::Value> nonNegative;
  /// Order of appearance: products compare by it, so output is reproducible.
  llvm::DenseMap<mlir::Value, unsigned> order;
};

/// Index arithmetic in one block: constants fold, and equal expressions are
/// one SSA value, so that equality of dimensions is seen.
class IndexMath : private IndexFacts {
public:
  using IndexFacts::Product;

  IndexMath(mlir::OpBuilder &b, mlir::Location &loc) : b(b), loc(loc) {}

  OpFoldResult constant(int64_t value) { return b.getIndexAttr(value); }
  OpFoldResult add(OpFoldResult a, OpFoldResult c);
  OpFoldResult sub(OpFoldResult a, OpFoldResult c);
  OpFoldResult mul(OpFoldResult a, OpFoldResult c);
  /// Rounds toward zero; 0 where `c` is 0.
  OpFoldResult div(OpFoldResult a, OpFoldResult c);
  OpFoldResult min(OpFoldResult a, OpFoldResult c);
  OpFoldResult max(OpFoldResult a, OpFoldResult c);
  /// a where a >= 0, otherwise a + dim (indices from the end).
  OpFoldResult wrap(OpFoldResult a, OpFoldResult dim);
  /// 0 <= a <= dim.
  OpFoldResult clamp(OpFoldResult a, OpFoldResult dim);

  OpFoldResult product(llvm::ArrayRef<OpFoldResult> dims);
  mlir::Value value(OpFoldResult a);
  bool same(OpFoldResult a, OpFoldResult c);
  /// Declares that a value, a dimension, is at least 0.
  void markNonNegative(mlir::Value value) { nonNegative.insert(value); }
  bool isNonNegative(OpFoldResult a);

  Product factors(OpFoldResult a);
  Product factors(llvm::ArrayRef<OpFoldResult> dims);

  /// Asserts at run time, unless it is known.
  void check(OpFoldResult a, OpFoldResult c, const llvm::Twine &message);

  /// A block within this one is filled between the two: it knows what is known
  /// here, and what it makes is not known outside.
  IndexFacts facts() const { return *this; }
  void restore(IndexFacts outside) {
    static_cast<IndexFacts &>(*this) = std::move(outside);
  }

private:
  enum Kind { Add, Sub, Mul, Div, Min, Max };
  OpFoldResult make(Kind kind, OpFoldResult a, OpFoldResult c);

  mlir::OpBuilder &b;
  mlir::Location &loc;
};

} // namespace qtale::onnx_import

#endif // QTALE_LIB_IMPORT_ONNX_INDEXMATH_H
