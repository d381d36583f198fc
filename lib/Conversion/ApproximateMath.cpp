//===- ApproximateMath.cpp - The same exp on every CPU --------------------===//

#include "SinCos.h"
#include "qtale/Conversion/Passes.h"

#include "mlir/Dialect/Arith/Transforms/Passes.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Math/Transforms/Passes.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

using namespace mlir;

namespace qtale {
#define GEN_PASS_DEF_APPROXIMATEMATH
#include "qtale/Conversion/Passes.h.inc"
} // namespace qtale

namespace {
/// Whole numbers to bfloat16, through f32, so that what is left is rounding.
template <typename Op> struct IntegerToBfloat : OpRewritePattern<Op> {
  using OpRewritePattern<Op>::OpRewritePattern;

  LogicalResult matchAndRewrite(Op op,
                                PatternRewriter &rewriter) const override {
    if (!getElementTypeOrSelf(op.getType()).isBF16())
      return rewriter.notifyMatchFailure(op, "not to bf16");
    Type wide = rewriter.getF32Type();
    if (auto shaped = dyn_cast<ShapedType>(op.getType()))
      wide = shaped.clone(wide);
    Value number = Op::create(rewriter, op.getLoc(), wide, op.getIn());
    rewriter.replaceOpWithNewOp<arith::TruncFOp>(op, op.getType(), number);
    return success();
  }
};

struct ApproximateMath : qtale::impl::ApproximateMathBase<ApproximateMath> {
  using Base::Base;

  void getDependentDialects(DialectRegistry &registry) const override {
    registry.insert<vector::VectorDialect, math::MathDialect>();
  }

  void runOnOperation() override {
    // Widen f16 and bf16 to f32 around them, then expand.
    auto isApproximated = [](StringRef name) {
      return llvm::is_contained(
          {math::ExpOp::getOperationName(), math::TanhOp::getOperationName(),
           math::ErfOp::getOperationName(), math::SinOp::getOperationName(),
           math::CosOp::getOperationName(), math::LogOp::getOperationName()},
          name);
    };
    RewritePatternSet patterns(&getContext());
    populateMathF32ExpansionPatterns(patterns, isApproximated);
    qtale::populateSinCosPatterns(patterns);
    populateMathPolynomialApproximationPatterns(patterns, [&](StringRef name) {
      return isApproximated(name) && name != math::SinOp::getOperationName() &&
             name != math::CosOp::getOperationName();
    });
    // Rounding to bfloat16 would call a library that we do not link.
    patterns.add<IntegerToBfloat<arith::SIToFPOp>,
                 IntegerToBfloat<arith::UIToFPOp>>(&getContext());
    arith::populateExpandBFloat16Patterns(patterns);
    if (failed(applyPatternsGreedily(getOperation(), std::move(patterns))))
      signalPassFailure();
  }
};
} // namespace
