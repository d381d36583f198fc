//===- EnterLevels.cpp - A module for each CPU level ----------------------===//
//
//   module { weights, @main, @step }
//     -->  module {ports, caches} { weights at offsets,
//                                   module @level { @main, @step } … }
//
//===----------------------------------------------------------------------===//

#include "qtale/Codegen/CPU/Level.h"
#include "qtale/Conversion/Passes.h"
#include "qtale/Dialect/QTale/IR/QTale.h"

#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/IR/Builders.h"

using namespace mlir;
using namespace qtale;

namespace qtale {
#define GEN_PASS_DEF_ENTERLEVELS
#include "qtale/Conversion/Passes.h.inc"
} // namespace qtale

namespace {

/// A port's dictionary: name, dtype, shape (-1: dynamic).
DictionaryAttr port(Builder &builder, DictionaryAttr attributes, Type type) {
  SmallVector<int64_t> shape;
  for (int64_t size : cast<RankedTensorType>(type).getShape())
    shape.push_back(ShapedType::isDynamic(size) ? -1 : size);
  return builder.getDictionaryAttr({
      builder.getNamedAttr("name", attributes.get(attr::name)),
      builder.getNamedAttr("dtype", attributes.get(attr::dtype)),
      builder.getNamedAttr("shape", builder.getDenseI64ArrayAttr(shape)),
  });
}

struct EnterLevels : qtale::impl::EnterLevelsBase<EnterLevels> {
  using Base::Base;

  void runOnOperation() override {
    ModuleOp module = getOperation();
    auto main = module.lookupSymbol<func::FuncOp>("main");
    auto step = module.lookupSymbol<func::FuncOp>("step");
    if (!main && !step) {
      module.emitError("has neither @main nor @step");
      return signalPassFailure();
    }
    placeWeights();
    if ((main && failed(describeMain(main))) ||
        (step && failed(describeStep(step))))
      return signalPassFailure();

    for (const std::string &name : levels) {
      const Level *level = getLevel(name);
      if (!level) {
        module.emitError("there is no CPU level '") << name << "'";
        return signalPassFailure();
      }
      enter(*level, {main, step});
    }
    for (func::FuncOp entry : {main, step})
      if (entry)
        entry.erase();
  }

private:
  void placeWeights() {
    int64_t offset = 0;
    Builder builder(&getContext());
    for (auto weight : getOperation().getOps<WeightOp>()) {
      weight.setOffsetAttr(builder.getI64IntegerAttr(offset));
      offset += roundUp(weight.getBytes(), 64);
    }
  }

  LogicalResult describeMain(func::FuncOp main) {
    Builder builder(&getContext());
    SmallVector<Attribute> inputs, outputs;
    auto add = [&](SmallVector<Attribute> &ports, DictionaryAttr attributes,
                   Type type, StringRef what, unsigned i) -> LogicalResult {
      if (!isa<RankedTensorType>(type) || !attributes ||
          !attributes.getAs<StringAttr>(attr::name) ||
          !attributes.getAs<StringAttr>(attr::dtype))
        return main.emitError(what) << " " << i
                                    << " of @main must be a ranked tensor with "
                                       "qtale.name and qtale.dtype";
      ports.push_back(port(builder, attributes, type));
      return success();
    };
    for (auto [i, type] : llvm::enumerate(main.getArgumentTypes()))
      if (failed(add(inputs, main.getArgAttrDict(i), type, "argument", i)))
        return failure();
    for (auto [i, type] : llvm::enumerate(main.getResultTypes()))
      if (failed(add(outputs, main.getResultAttrDict(i), type, "result", i)))
        return failure();
    getOperation()->setAttr(attr::inputs, builder.getArrayAttr(inputs));
    getOperation()->setAttr(attr::outputs, builder.getArrayAttr(outputs));
    return success();
  }

  LogicalResult describeStep(func::FuncOp step) {
    Builder builder(&getContext());
    ArrayRef<Type> types = step.getArgumentTypes();
    auto logits = step.getNumResults() == 1
                      ? dyn_cast<RankedTensorType>(step.getResultTypes()[0])
                      : RankedTensorType();
    auto isRows = [](Type type) {
      auto rows = dyn_cast<RankedTensorType>(type);
      return rows && rows.getRank() == 1 && rows.getElementType().isInteger(32);
    };
    auto isThresholds = [](Type type) {
      auto matrix = dyn_cast<RankedTensorType>(type);
      return matrix && matrix.getRank() == 2 && !matrix.isDynamicDim(1) &&
             matrix.getElementType().isF32();
    };
    bool ok = types.size() >= 4 && logits && logits.getRank() == 2 &&
              !logits.isDynamicDim(1) && logits.getElementType().isF32() &&
              llvm::all_of(types.take_front(4), isRows);
    types = types.drop_front(std::min<size_t>(4, types.size()));
    bool routed = bool(getOperation()->getAttr(attr::routing));
    if (routed) {
      ok &= types.size() >= 2 && isThresholds(types[0]) && isRows(types[1]);
      types = types.drop_front(std::min<size_t>(2, types.size()));
    }
    SmallVector<Attribute> caches;
    for (Type type : types) {
      ok &= isa<KVCacheType>(type);
      caches.push_back(TypeAttr::get(type));
    }
    if (!ok)
      return step.emitError("@step must take tokens, sequences, positions and "
                            "rows as tensor<?xi32>, ")
             << (routed ? "thresholds as tensor<?xUxf32>, budgets as "
                          "tensor<?xi32>, "
                        : "")
             << "then caches, and return tensor<?xVxf32>, but is "
             << step.getFunctionType();
    getOperation()->setAttr(attr::caches, builder.getArrayAttr(caches));
    getOperation()->setAttr(attr::vocab,
                            builder.getI64IntegerAttr(logits.getDimSize(1)));
    return success();
  }

  void enter(const Level &level, ArrayRef<func::FuncOp> entries) {
    OpBuilder builder(&getContext());
    builder.setInsertionPointToEnd(getOperation().getBody());
    Location loc = getOperation().getLoc();
    auto nested = ModuleOp::create(builder, loc, level.name);
    nested->setAttr(attr::cpu, builder.getStringAttr(level.cpu));
    nested->setAttr(attr::features, builder.getStringAttr(level.features));
    nested->setAttr(attr::required, builder.getStringAttr(level.required));
    builder.setInsertionPointToStart(nested.getBody());
    for (func::FuncOp entry : entries) {
      if (!entry)
        continue;
      auto clone = cast<func::FuncOp>(builder.clone(*entry));
      // Inputs are the caller's: never written.
      for (unsigned i = 0; i < clone.getNumArguments(); ++i)
        if (isa<TensorType>(clone.getArgumentTypes()[i]))
          clone.setArgAttr(
              i, bufferization::BufferizationDialect::kWritableAttrName,
              builder.getBoolAttr(false));
      (void)clone.insertArgument(0, ContextType::get(&getContext()), {}, loc);
    }
  }
};
} // namespace
