//===- LowerExpandShape.cpp - A view with strides -------------------------===//
//
//   group [i, j] of a dimension with stride s:   sizes a, b   strides b*s, s
//
//===----------------------------------------------------------------------===//

#include "qtale/Conversion/Passes.h"

#include "mlir/IR/ImplicitLocOpBuilder.h"

using namespace mlir;

namespace qtale {
#define GEN_PASS_DEF_LOWEREXPANDSHAPE
#include "qtale/Conversion/Passes.h.inc"
} // namespace qtale

namespace {

void lower(memref::ExpandShapeOp op) {
  ImplicitLocOpBuilder b(op.getLoc(), op);
  auto metadata = memref::ExtractStridedMetadataOp::create(b, op.getSrc());
  SmallVector<OpFoldResult> sizes = op.getMixedOutputShape();
  MemRefType type = op.getResultType();
  auto [known, offset] = type.getStridesAndOffset();

  // A source without axes has no groups: its one element, at any stride.
  SmallVector<OpFoldResult> strides(sizes.size(), b.getIndexAttr(1));
  for (auto [axis, group] : llvm::enumerate(op.getReassociationIndices())) {
    Value stride = metadata.getStrides()[axis];
    for (int64_t inner : llvm::reverse(group)) {
      strides[inner] = ShapedType::isDynamic(known[inner])
                           ? OpFoldResult(stride)
                           : b.getIndexAttr(known[inner]);
      Value size = getValueOrCreateConstantIndexOp(b, b.getLoc(), sizes[inner]);
      stride = arith::MulIOp::create(b, stride, size);
    }
  }
  OpFoldResult start = ShapedType::isDynamic(offset)
                           ? OpFoldResult(metadata.getOffset())
                           : b.getIndexAttr(offset);
  Value view = memref::ReinterpretCastOp::create(
      b, type, metadata.getBaseBuffer(), start, sizes, strides);
  op.replaceAllUsesWith(view);
  op.erase();
}

struct LowerExpandShape : qtale::impl::LowerExpandShapeBase<LowerExpandShape> {
  using Base::Base;

  void runOnOperation() override {
    getOperation().walk([](memref::ExpandShapeOp op) { lower(op); });
  }
};
} // namespace
