//===- FuseActivations.cpp - Functions of what matmuls sum up -------------===//
//
//   gate = matmul x, g ─┐
//                       ├─▶ silu(gate) * up   ==>   fused_matmul x, g, u { … }
//   up   = matmul x, u ─┘
//
// Any elementwise loop will do whose inputs are all matmuls of one x: nobody
// has to know which activation it is.
//
//===----------------------------------------------------------------------===//

#include "qtale/Dialect/QTale/IR/QTale.h"
#include "qtale/Dialect/QTale/Transforms/Passes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/IR/Matchers.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

using namespace mlir;
using namespace qtale;

namespace qtale {
#define GEN_PASS_DEF_FUSEACTIVATIONS
#include "qtale/Dialect/QTale/Transforms/Passes.h.inc"
} // namespace qtale

namespace {

/// The matmuls that an elementwise loop reads, in the order of its inputs, and
/// how their results were reshaped (in @main, where rows are batch x sequence).
struct Sources {
  SmallVector<MatmulOp> matmuls;
  tensor::ExpandShapeOp expanded; // any of them; null where rows are rows
};

/// Whether every operation of the body may stand in a fused_matmul.
bool isFunction(linalg::GenericOp op) {
  Block *body = op.getBody();
  if (!body->getArguments().back().use_empty())
    return false;
  return llvm::all_of(body->getOperations(), [&](Operation &inner) {
    // Of the values from outside only constants can be taken along.
    bool closed = llvm::all_of(inner.getOperands(), [&](Value operand) {
      return operand.getParentBlock() == body ||
             matchPattern(operand, m_Constant());
    });
    return closed && (isa<linalg::YieldOp, arith::ConstantOp>(inner) ||
                      FusedMatmulOp::mayContain(&inner));
  });
}

FailureOr<Sources> findSources(linalg::GenericOp op) {
  Sources sources;
  for (Value input : op.getInputs()) {
    if (!input.hasOneUse() || input.getType() != op->getResult(0).getType())
      return failure();
    auto expanded = input.getDefiningOp<tensor::ExpandShapeOp>();
    if (expanded) {
      input = expanded.getSrc();
      // Columns stay as they are.
      if (!input.hasOneUse() || expanded.getSrcType().getRank() == 0 ||
          expanded.getReassociationIndices().back().size() != 1)
        return failure();
    }
    auto matmul = input.getDefiningOp<MatmulOp>();
    if (!matmul || matmul.getResidual())
      return failure();
    if (!sources.matmuls.empty()) {
      MatmulOp first = sources.matmuls.front();
      if (matmul.getInput() != first.getInput() ||
          matmul.getWeight().getType() != first.getWeight().getType() ||
          !matmul.getBias() != !first.getBias() ||
          !expanded != !sources.expanded ||
          (expanded &&
           expanded.getReassociation() != sources.expanded.getReassociation()))
        return failure();
    }
    sources.matmuls.push_back(matmul);
    sources.expanded = expanded;
  }
  return sources;
}

struct FuseActivation : OpRewritePattern<linalg::GenericOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(linalg::GenericOp op,
                                PatternRewriter &rewriter) const override {
    if (op->getNumResults() != 1 || op.getNumDpsInputs() == 0 ||
        op.getNumParallelLoops() != op.getNumLoops() ||
        !llvm::all_of(op.getIndexingMapsArray(),
                      [](AffineMap map) { return map.isIdentity(); }))
      return rewriter.notifyMatchFailure(op, "not elementwise");
    if (!isFunction(op))
      return rewriter.notifyMatchFailure(op, "not a function of its inputs");
    FailureOr<Sources> sources = findSources(op);
    if (failed(sources))
      return rewriter.notifyMatchFailure(op, "not of matmuls of one input");

    MatmulOp first = sources->matmuls.front();
    SmallVector<Value> weights, biases;
    for (MatmulOp matmul : sources->matmuls) {
      weights.push_back(matmul.getWeight());
      if (matmul.getBias())
        biases.push_back(matmul.getBias());
    }
    auto fused = FusedMatmulOp::create(rewriter, op.getLoc(), first.getType(),
                                       first.getInput(), weights, biases);
    moveBody(op, fused, rewriter);
    if (tensor::ExpandShapeOp expanded = sources->expanded)
      rewriter.replaceOpWithNewOp<tensor::ExpandShapeOp>(
          op, expanded.getType(), fused.getResult(),
          expanded.getReassociationIndices(), expanded.getMixedOutputShape());
    else
      rewriter.replaceOp(op, fused);
    return success();
  }

  static void moveBody(linalg::GenericOp op, FusedMatmulOp fused,
                       PatternRewriter &rewriter) {
    Block *from = op.getBody();
    unsigned count = op.getNumDpsInputs();
    OpBuilder::InsertionGuard guard(rewriter);
    Block *to =
        rewriter.createBlock(&fused.getFunction(), {},
                             SmallVector<Type>(count, rewriter.getF32Type()),
                             SmallVector<Location>(count, op.getLoc()));
    IRMapping mapping;
    mapping.map(from->getArguments().take_front(count), to->getArguments());
    for (Operation &inner : from->getOperations()) {
      for (Value operand : inner.getOperands())
        if (!mapping.contains(operand) && operand.getParentBlock() != from)
          mapping.map(operand,
                      rewriter.clone(*operand.getDefiningOp())->getResult(0));
      if (isa<linalg::YieldOp>(inner))
        YieldOp::create(rewriter, op.getLoc(),
                        mapping.lookup(inner.getOperand(0)));
      else
        rewriter.clone(inner, mapping);
    }
  }
};

struct FuseActivations : qtale::impl::FuseActivationsBase<FuseActivations> {
  using Base::Base;

  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    patterns.add<FuseActivation>(&getContext());
    if (failed(applyPatternsGreedily(getOperation(), std::move(patterns))))
      signalPassFailure();
  }
};
} // namespace
