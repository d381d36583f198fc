//===- FuseEpilogues.cpp - Add where the matmul writes --------------------===//
//
//   matmul --> add(bias) --> add(residual)   ==>   matmul bias(b) residual(r)
//
//===----------------------------------------------------------------------===//

#include "qtale/Dialect/QTale/IR/QTale.h"
#include "qtale/Dialect/QTale/Transforms/Passes.h"

#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

using namespace mlir;
using namespace qtale;

namespace qtale {
#define GEN_PASS_DEF_FUSEEPILOGUES
#include "qtale/Dialect/QTale/Transforms/Passes.h.inc"
} // namespace qtale

namespace {

/// The two inputs of an elementwise f32 addition over a matrix, and how they
/// are indexed.
struct Addition {
  Value inputs[2];
  AffineMap maps[2];
};

std::optional<Addition> matchAddition(linalg::GenericOp op) {
  Block *body = op.getBody();
  if (op.getNumDpsInputs() != 2 || op.getNumDpsInits() != 1 ||
      op.getNumLoops() != 2 || op.getNumParallelLoops() != 2 ||
      op->getNumResults() != 1 || body->getOperations().size() != 2)
    return std::nullopt;
  auto add = dyn_cast<arith::AddFOp>(body->front());
  if (!add || body->getTerminator()->getOperand(0) != add.getResult())
    return std::nullopt;
  auto maps = op.getIndexingMapsArray();
  if (!maps[2].isIdentity())
    return std::nullopt;
  // The body may add its arguments in either order.
  auto first = dyn_cast<BlockArgument>(add.getLhs());
  auto second = dyn_cast<BlockArgument>(add.getRhs());
  if (!first || !second || first == second || first.getArgNumber() > 1 ||
      second.getArgNumber() > 1)
    return std::nullopt;
  return Addition{{op.getInputs()[0], op.getInputs()[1]}, {maps[0], maps[1]}};
}

struct FuseAddition : OpRewritePattern<linalg::GenericOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(linalg::GenericOp op,
                                PatternRewriter &rewriter) const override {
    std::optional<Addition> addition = matchAddition(op);
    if (!addition)
      return rewriter.notifyMatchFailure(op, "not an addition of matrices");
    for (int side : {0, 1}) {
      auto matmul = addition->inputs[side].getDefiningOp<MatmulOp>();
      Value other = addition->inputs[1 - side];
      if (!matmul || !matmul->hasOneUse() || matmul.getResidual() ||
          !addition->maps[side].isIdentity())
        continue;
      if (succeeded(
              fuse(op, matmul, other, addition->maps[1 - side], rewriter)))
        return success();
    }
    return rewriter.notifyMatchFailure(op, "no input is a matmul of this use");
  }

  static LogicalResult fuse(linalg::GenericOp op, MatmulOp matmul, Value other,
                            AffineMap map, PatternRewriter &rewriter) {
    Type type = op->getResult(0).getType();
    auto otherType = dyn_cast<RankedTensorType>(other.getType());
    if (!otherType || matmul.getType() != type)
      return failure();
    Value bias = matmul.getBias(), residual;
    if (map.isIdentity() && otherType == type) {
      residual = other;
    } else {
      // A vector over the columns, by itself or as a matrix of one row.
      auto columns = AffineMap::get(2, 0, rewriter.getAffineDimExpr(1));
      if (bias || map != columns ||
          otherType.getDimSize(0) != matmul.getType().getDimSize(1))
        return failure();
      bias = other;
    }
    rewriter.setInsertionPoint(op);
    rewriter.replaceOpWithNewOp<MatmulOp>(op, type, matmul.getInput(),
                                          matmul.getWeight(), bias, residual);
    return success();
  }
};

struct FuseEpilogues : qtale::impl::FuseEpiloguesBase<FuseEpilogues> {
  using Base::Base;

  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    patterns.add<FuseAddition>(&getContext());
    if (failed(applyPatternsGreedily(getOperation(), std::move(patterns))))
      signalPassFailure();
  }
};
} // namespace
