//===- QuantizeWeights.cpp - Choose the scheme of every matrix ------------===//
//
//   recipe                       -->  quantize(recipe, int4/32)
//   … of a router's matrix       -->  cast(recipe, f16): decisions are worth it
//   dequantize(q, s), if kept    -->  integers(q, s, int4/32)
//   matmul %x, %w                -->  matmul (quantize_rows %x), %w
//   !qtale.kv_cache<4x8xf32>     -->  !qtale.kv_cache<4x8xf16>
//
//===----------------------------------------------------------------------===//

#include "MatrixWeights.h"
#include "ModelIntegers.h"
#include "qtale/Dialect/QTale/Transforms/Passes.h"

#include "mlir/IR/Builders.h"
#include "llvm/ADT/MapVector.h"
#include "llvm/ADT/StringSwitch.h"

using namespace mlir;
using namespace qtale;

namespace qtale {
#define GEN_PASS_DEF_QUANTIZEWEIGHTS
#include "qtale/Dialect/QTale/Transforms/Passes.h.inc"
} // namespace qtale

namespace {
struct QuantizeWeights : qtale::impl::QuantizeWeightsBase<QuantizeWeights> {
  using Base::Base;

  void runOnOperation() override {
    if (failed(checkOptions()))
      return signalPassFailure();
    if (weights == "keep")
      keepIntegers();
    else
      for (MatrixWeight &weight : getMatrixWeights(getOperation())) {
        // What has a scheme or layout keeps it, and so do integers and a small
        // weight of a router.
        RankedTensorType type = weight.weight.getTensorType();
        if (type.getEncoding() || !isa<FloatType>(type.getElementType()) ||
            weight.router == RouterUse::Vector)
          continue;
        setRecipe(weight, wrap(weight.weight.getRecipe(),
                               weight.router == RouterUse::Matrix));
        ++numWeights;
      }
    if (activations == "int8")
      getOperation().walk([](func::FuncOp func) { quantizeRows(func); });
    if (kv != "f32") {
      Type element = kv == "f16" ? Type(Float16Type::get(&getContext()))
                                 : Type(IntegerType::get(&getContext(), 8));
      getOperation().walk(
          [&](func::FuncOp func) { storeCachesAs(func, element); });
    }
  }

  /// Matrices that the model dequantizes stay integers where a scheme has their
  /// form. A router's are few bytes, and decisions follow the model's rounding.
  void keepIntegers() {
    llvm::MapVector<StringAttr, SmallVector<WeightOp>> problems;
    for (MatrixWeight &weight : getMatrixWeights(getOperation())) {
      if (weight.weight.getTensorType().getEncoding() ||
          weight.router != RouterUse::None)
        continue;
      std::string problem;
      FailureOr<IntegersAttr> recipe =
          getModelIntegers(weight.weight.getRecipe(), problem);
      if (failed(recipe)) {
        problems[StringAttr::get(&getContext(), problem)].push_back(
            weight.weight);
      } else if (*recipe) {
        setRecipe(weight, *recipe);
        ++numWeights;
      }
    }
    for (auto &[problem, stayed] : problems) {
      InFlightDiagnostic remark = emitRemark(stayed.front().getLoc());
      remark << "weight @" << stayed.front().getSymName();
      if (stayed.size() > 1)
        remark << " (and " << stayed.size() - 1 << " like it)";
      remark << " comes quantized, but is stored as floats: "
             << problem.getValue()
             << "; --weights=int4 or int8 would quantize it anew";
    }
  }

  LogicalResult checkOptions() {
    ModuleOp module = getOperation();
    if (!llvm::is_contained({"keep", "f32", "f16", "bf16", "int8", "int4"},
                            weights.getValue()))
      return module.emitError("weights must be keep, f32, f16, bf16, int8 or "
                              "int4, but is ")
             << weights;
    if (!llvm::is_contained({32, 64, 128}, group.getValue()))
      return module.emitError("group must be 32, 64 or 128, but is ")
             << group.getValue();
    if (activations != "int8" && activations != "float")
      return module.emitError("activations must be int8 or float, but is ")
             << activations;
    if (!llvm::is_contained({"f32", "f16", "int8"}, kv.getValue()))
      return module.emitError("kv must be f32, f16 or int8, but is ") << kv;
    return success();
  }

  /// The recipe with the chosen format on top. Integers would move a router's
  /// decisions for few bytes: its matrix becomes f16 instead.
  RecipeAttrInterface wrap(RecipeAttrInterface recipe, bool router) {
    MLIRContext *context = &getContext();
    int64_t bits = llvm::StringSwitch<int64_t>(weights)
                       .Case("int4", 4)
                       .Case("int8", 8)
                       .Default(0);
    if (bits && !router)
      return QuantizeAttr::get(context, recipe,
                               IntAttr::get(context, bits, group, asymmetric,
                                            Float16Type::get(context)));
    Type type = llvm::StringSwitch<Type>(weights)
                    .Case("f32", Float32Type::get(context))
                    .Case("bf16", BFloat16Type::get(context))
                    .Default(Float16Type::get(context));
    if (recipe.getTensorType().getElementType() == type)
      return recipe;
    return CastAttr::get(context, recipe, type);
  }

  /// Activations of integer matmuls become int8, each matrix once.
  static void quantizeRows(func::FuncOp func) {
    DenseMap<std::pair<Value, int64_t>, Value> quantized;
    func.walk([&](Operation *op) {
      if (!isa<MatmulOp, FusedMatmulOp, JointMatmulOp>(op))
        return;
      OpOperand &input = op->getOpOperand(0);
      auto type = cast<RankedTensorType>(input.get().getType());
      auto weight = cast<RankedTensorType>(
          getMatrixOperands(op).front()->get().getType());
      auto scheme = dyn_cast_or_null<IntAttr>(weight.getEncoding());
      if (!scheme || type.getEncoding())
        return;
      Value &rows = quantized[{input.get(), scheme.getGroup()}];
      if (!rows) {
        OpBuilder builder(op->getContext());
        builder.setInsertionPointAfterValue(input.get());
        auto rowsType = RankedTensorType::get(
            type.getShape(), type.getElementType(),
            IntRowsAttr::get(op->getContext(), scheme.getGroup()));
        rows = QuantizeRowsOp::create(builder, op->getLoc(), rowsType,
                                      input.get());
      }
      input.assign(rows);
    });
  }

  static void storeCachesAs(func::FuncOp func, Type element) {
    if (func.isExternal())
      return;
    for (BlockArgument argument : func.getArguments())
      if (auto type = dyn_cast<KVCacheType>(argument.getType()))
        argument.setType(type.withElementType(element));
    func.setFunctionType(FunctionType::get(func.getContext(),
                                           func.getBody().getArgumentTypes(),
                                           func.getResultTypes()));
  }
};
} // namespace
