//===- PackWeights.cpp - Arrange weights in the order kernels read --------===//
//
//   [N, K]  -->  [N/16] tiles of 16 rows, a lane of a vector each
//
//===----------------------------------------------------------------------===//

#include "MatrixWeights.h"
#include "qtale/Dialect/QTale/Transforms/Passes.h"

using namespace mlir;
using namespace qtale;

namespace qtale {
#define GEN_PASS_DEF_PACKWEIGHTS
#include "qtale/Dialect/QTale/Transforms/Passes.h.inc"
} // namespace qtale

namespace {
struct PackWeights : qtale::impl::PackWeightsBase<PackWeights> {
  using Base::Base;

  void runOnOperation() override {
    ModuleOp module = getOperation();
    for (MatrixWeight &weight : getMatrixWeights(module)) {
      auto packed =
          PackAttr::getChecked([&] { return weight.weight.emitError(); },
                               &getContext(), weight.weight.getRecipe());
      if (!packed)
        return signalPassFailure();
      setRecipe(weight, packed);
      ++numWeights;
    }
    DenseSet<StringAttr> used;
    module.walk([&](ParamOp param) {
      if (param->use_empty())
        param.erase();
      else
        used.insert(param.getWeightAttr().getAttr());
    });
    for (auto weight : llvm::make_early_inc_range(module.getOps<WeightOp>()))
      if (!used.contains(weight.getSymNameAttr()))
        weight.erase();
  }
};
} // namespace
