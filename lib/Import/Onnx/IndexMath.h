//===- IndexMath.h - Arithmetic on dimensions -----------------------------===//
//
// Index values are int64 and wrap as those do. What is simplified here holds for
// every number, but for two rules, which need numbers far from overflow:
//
//   (a * b) / b = a      of sizes: dimensions, small constants, and sums,
//   a, b >= 0: a * b >= 0    products and so on of sizes
//
// A product of dimensions is taken for a number of elements, so it doesn't wrap.
//
//===----------------------------------------------------------------------===//

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
  llvm::DenseSet<mlir::Value> sizes;
  /// Sizes that were asserted to fit int32.
  llvm::DenseSet<mlir::Value> fitInt32;
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
  OpFoldResult max(OpFoldResult a, OpFoldResult c);
  /// Of any numbers: a division that rounds toward zero, where x / 0 is x and
  /// the minimum / -1 wraps.
  OpFoldResult quotient(OpFoldResult a, OpFoldResult c);
  OpFoldResult lesser(OpFoldResult a, OpFoldResult c);
  /// Of shapes: 0 where `c` is 0, and what both have as a factor cancels.
  OpFoldResult div(OpFoldResult a, OpFoldResult c);
  /// Of bounds: a huge one is "to the end", and the other one is the result.
  OpFoldResult min(OpFoldResult a, OpFoldResult c);
  /// a where a >= 0, otherwise a + dim (indices from the end).
  OpFoldResult wrap(OpFoldResult a, OpFoldResult dim);
  /// 0 <= a <= dim.
  OpFoldResult clamp(OpFoldResult a, OpFoldResult dim);

  OpFoldResult product(llvm::ArrayRef<OpFoldResult> dims);
  mlir::Value value(OpFoldResult a);
  bool same(OpFoldResult a, OpFoldResult c);
  /// Declares that a value is a dimension: at least 0, and a size.
  void markNonNegative(mlir::Value value) {
    nonNegative.insert(value);
    sizes.insert(value);
  }
  bool isNonNegative(OpFoldResult a);
  bool isSize(OpFoldResult a);

  Product factors(OpFoldResult a);
  Product factors(llvm::ArrayRef<OpFoldResult> dims);

  /// Asserts at run time, unless it is known.
  void check(OpFoldResult a, OpFoldResult c, const llvm::Twine &message);
  void checkInt32(mlir::Value a, const llvm::Twine &message);

  /// A block within this one is filled between the two: it knows what is known
  /// here, and what it makes is not known outside.
  IndexFacts facts() const { return *this; }
  void restore(IndexFacts outside) {
    static_cast<IndexFacts &>(*this) = std::move(outside);
  }

private:
  enum Kind { Add, Sub, Mul, Div, Min, Max };
  OpFoldResult make(Kind kind, OpFoldResult a, OpFoldResult c);
  /// a / c by factors that both have, where c has no others.
  std::optional<OpFoldResult> cancelled(OpFoldResult a, OpFoldResult c);
  OpFoldResult divided(OpFoldResult a, OpFoldResult c, OpFoldResult byZero);

  mlir::OpBuilder &b;
  mlir::Location &loc;
};

} // namespace qtale::onnx_import

#endif // QTALE_LIB_IMPORT_ONNX_INDEXMATH_H
