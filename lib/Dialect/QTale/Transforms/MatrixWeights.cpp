//===- MatrixWeights.cpp - Weights whose format passes may choose ---------===//

#include "MatrixWeights.h"

#include "llvm/ADT/MapVector.h"

using namespace mlir;
using namespace qtale;

static bool isMatrixUse(OpOperand &use) {
  if (auto matmul = dyn_cast<MatmulOp>(use.getOwner()))
    return &use == &matmul.getWeightMutable();
  if (auto embedding = dyn_cast<EmbeddingOp>(use.getOwner()))
    return &use == &embedding.getTableMutable();
  return false;
}

SmallVector<MatrixWeight> qtale::getMatrixWeights(ModuleOp module) {
  llvm::MapVector<StringAttr, MatrixWeight> weights;
  for (auto weight : module.getOps<WeightOp>())
    weights[weight.getSymNameAttr()].weight = weight;

  module.walk([&](ParamOp param) {
    auto it = weights.find(param.getWeightAttr().getAttr());
    if (it == weights.end())
      return;
    if (llvm::all_of(param->getUses(), isMatrixUse))
      it->second.params.push_back(param);
    else
      weights.erase(it);
  });

  SmallVector<MatrixWeight> result;
  for (auto &[name, weight] : weights)
    if (!weight.params.empty())
      result.push_back(std::move(weight));
  return result;
}

void qtale::setRecipe(MatrixWeight &weight, RecipeAttrInterface recipe) {
  weight.weight.setRecipeAttr(recipe);
  weight.weight.setTypeAttr(TypeAttr::get(recipe.getTensorType()));
  for (ParamOp param : weight.params)
    param.getResult().setType(recipe.getTensorType());
}
