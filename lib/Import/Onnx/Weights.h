//===- Weights.h - One symbol for each distinct recipe --------------------===//

#ifndef QTALE_LIB_IMPORT_ONNX_WEIGHTS_H
#define QTALE_LIB_IMPORT_ONNX_WEIGHTS_H

#include "Model.h"
#include "Term.h"

#include "mlir/IR/BuiltinOps.h"
#include "llvm/ADT/StringSet.h"

namespace qtale::onnx_import {

class Weights {
public:
  Weights(mlir::ModuleOp module) : module(module) {}

  /// A source for a tensor in a file.
  static RecipeAttrInterface source(mlir::MLIRContext *context,
                                    const onnx::TensorProto &tensor,
                                    const Blob &blob);

  /// The symbol of a recipe; declared where it is new, named after `name`.
  mlir::FlatSymbolRefAttr symbol(RecipeAttrInterface recipe,
                                 llvm::StringRef name, mlir::Location loc);

  /// Removes declarations that nobody uses.
  void eraseUnused();

  /// Scales that are known to be finite.
  llvm::DenseSet<mlir::Attribute> checked;

private:
  mlir::ModuleOp module;
  llvm::DenseMap<mlir::Attribute, mlir::StringAttr> symbols;
  llvm::StringSet<> names;
  WeightOp last;
};

/// Recipe constructors that simplify: what cancels is gone, so that equal
/// weights have equal recipes.
namespace recipes {
RecipeAttrInterface transpose(RecipeAttrInterface input,
                              llvm::ArrayRef<int64_t> perm);
RecipeAttrInterface reshape(RecipeAttrInterface input,
                            llvm::ArrayRef<int64_t> shape);
RecipeAttrInterface slice(RecipeAttrInterface input, int64_t axis,
                          int64_t begin, int64_t size);
RecipeAttrInterface concat(llvm::ArrayRef<RecipeAttrInterface> inputs,
                           int64_t axis);
RecipeAttrInterface cast(RecipeAttrInterface input, mlir::Type type);
RecipeAttrInterface dequantize(RecipeAttrInterface input,
                               RecipeAttrInterface scale,
                               RecipeAttrInterface zero, int64_t axis,
                               int64_t block);
/// The same recipe as the IR holds its elements: unsigned integers signless,
/// low-bit types as codes in bytes.
RecipeAttrInterface stored(RecipeAttrInterface input);
/// Without a cast that only widens a float.
RecipeAttrInterface peelWidening(RecipeAttrInterface input);
/// Whether a node may not make more of recipes: far enough from what they may be
/// at most that each node can put some around them.
inline bool isLarge(llvm::ArrayRef<RecipeAttrInterface> recipes) {
  return qtale::isLarge(recipes, maxRecipeParts / 4, maxRecipeDepth / 2);
}
} // namespace recipes

} // namespace qtale::onnx_import

#endif // QTALE_LIB_IMPORT_ONNX_WEIGHTS_H
