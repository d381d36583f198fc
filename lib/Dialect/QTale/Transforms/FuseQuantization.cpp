//===- FuseQuantization.cpp - Integers where activations are made ---------===//
//
//   %n = rms_norm %x, %g              ==>   %q = rms_norm %x, %g : … int_rows
//   %q = quantize_rows %n
//
// The floats are never stored. Where somebody else reads them, too, they have
// to be: then nothing changes.
//
//===----------------------------------------------------------------------===//

#include "qtale/Dialect/QTale/IR/QTale.h"
#include "qtale/Dialect/QTale/Transforms/Passes.h"

#include "mlir/Transforms/WalkPatternRewriteDriver.h"

using namespace mlir;
using namespace qtale;

namespace qtale {
#define GEN_PASS_DEF_FUSEQUANTIZATION
#include "qtale/Dialect/QTale/Transforms/Passes.h.inc"
} // namespace qtale

namespace {

/// Whether the producer's kernel can write int_rows: it must have whole blocks
/// at hand.
bool canQuantize(Operation *producer, QuantizeRowsOp quantize) {
  RankedTensorType type = quantize.getType();
  int64_t pad = cast<IntRowsAttr>(type.getEncoding()).getPad();
  bool needsNoPadding = type.getDimSize(1) % pad == 0;
  if (isa<FusedMatmulOp>(producer))
    return needsNoPadding;
  if (auto attention = dyn_cast<AttentionOp>(producer))
    return needsNoPadding &&
           attention.getCache().getType().getHeadDim() % IntRowsAttr::block ==
               0;
  return isa<RMSNormOp, LayerNormOp>(producer);
}

struct FuseQuantizeRows : OpRewritePattern<QuantizeRowsOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(QuantizeRowsOp op,
                                PatternRewriter &rewriter) const override {
    Operation *producer = op.getInput().getDefiningOp();
    if (!producer || !op.getInput().hasOneUse())
      return rewriter.notifyMatchFailure(op, "others read the floats, too");
    if (!canQuantize(producer, op))
      return rewriter.notifyMatchFailure(op, "its producer writes floats only");
    rewriter.modifyOpInPlace(
        producer, [&] { producer->getResult(0).setType(op.getType()); });
    rewriter.replaceOp(op, producer->getResult(0));
    return success();
  }
};

struct FuseQuantization : qtale::impl::FuseQuantizationBase<FuseQuantization> {
  using Base::Base;

  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    patterns.add<FuseQuantizeRows>(&getContext());
    walkAndApplyPatterns(getOperation(), std::move(patterns));
  }
};
} // namespace
