//===- MatrixWeights.h - Weights whose format passes may choose -----------===//

#ifndef QTALE_LIB_TRANSFORMS_MATRIXWEIGHTS_H
#define QTALE_LIB_TRANSFORMS_MATRIXWEIGHTS_H

#include "qtale/Dialect/QTale/IR/QTale.h"

#include "mlir/IR/BuiltinOps.h"

namespace qtale {

/// What a router reads a weight as; in another entry a matmul may read it too.
enum class RouterUse { None, Matrix, Vector };

/// A weight that only matmuls (as weight), embeddings (as table) and routers (as
/// matrix) read.
struct MatrixWeight {
  WeightOp weight;
  llvm::SmallVector<ParamOp> params;
  /// All uses of one weight have to decide alike, so a matmul's copy of a small
  /// weight counts as `Vector`.
  RouterUse router = RouterUse::None;
};

/// In the module's order. A weight that is read in other ways too is split
/// first: its matrix uses get a copy of the declaration.
llvm::SmallVector<MatrixWeight> getMatrixWeights(mlir::ModuleOp module);

/// Gives the weight another recipe, and with it another type, everywhere.
void setRecipe(MatrixWeight &weight, RecipeAttrInterface recipe);

} // namespace qtale

#endif // QTALE_LIB_TRANSFORMS_MATRIXWEIGHTS_H
