//===- MatrixWeights.cpp - Weights whose format passes may choose ---------===//

#include "MatrixWeights.h"

#include "mlir/IR/Builders.h"
#include "llvm/ADT/MapVector.h"

using namespace mlir;
using namespace qtale;

static bool isMatrixUse(OpOperand &use) {
  return llvm::is_contained(getMatrixOperands(use.getOwner()), &use);
}

using RouterUses = DenseMap<StringAttr, RouterUse>;

static RouterUses findRouterUses(ModuleOp module) {
  RouterUses uses;
  module.walk([&](RouterOp router) {
    for (OpOperand &weight : router.getWeightsMutable())
      if (auto param = weight.get().getDefiningOp<ParamOp>())
        uses[param.getWeightAttr().getAttr()] = &weight == router.getMatrix()
                                                    ? RouterUse::Matrix
                                                    : RouterUse::Vector;
  });
  return uses;
}

/// Gives matrix uses of a weight that other operations read too a param, and a
/// weight, of their own: the others need it as it is.
static void splitMixedUses(ModuleOp module, RouterUses &routers) {
  SymbolTable symbols(module);
  DenseMap<StringAttr, SmallVector<ParamOp>> matrices;
  DenseSet<StringAttr> readByOthers;
  module.walk([&](ParamOp param) {
    bool matrix = llvm::any_of(param->getUses(), isMatrixUse);
    bool other = !llvm::all_of(param->getUses(), isMatrixUse);
    StringAttr name = param.getWeightAttr().getAttr();
    if (other)
      readByOthers.insert(name);
    if (matrix && other) {
      auto own = cast<ParamOp>(OpBuilder(param).clone(*param));
      param.getResult().replaceUsesWithIf(own.getResult(), isMatrixUse);
      matrices[name].push_back(own);
    } else if (matrix) {
      matrices[name].push_back(param);
    }
  });
  for (auto weight : llvm::make_early_inc_range(module.getOps<WeightOp>())) {
    StringAttr name = weight.getSymNameAttr();
    if (!readByOthers.contains(name) || !matrices.contains(name))
      continue;
    auto own = cast<WeightOp>(weight->clone());
    symbols.insert(own, std::next(weight->getIterator())); // renames it
    if (routers.contains(name))
      routers[own.getSymNameAttr()] = routers.lookup(name);
    for (ParamOp param : matrices[name])
      param.setWeight(own.getSymName());
  }
}

SmallVector<MatrixWeight> qtale::getMatrixWeights(ModuleOp module) {
  RouterUses routers = findRouterUses(module);
  splitMixedUses(module, routers);
  llvm::MapVector<StringAttr, MatrixWeight> weights;
  for (auto weight : module.getOps<WeightOp>())
    weights[weight.getSymNameAttr()] = {
        weight, {}, routers.lookup(weight.getSymNameAttr())};

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
