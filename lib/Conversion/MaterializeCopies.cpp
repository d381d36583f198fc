//===- MaterializeCopies.cpp - Copies are loops ---------------------------===//

#include "qtale/Conversion/Passes.h"

#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"

using namespace mlir;

namespace qtale {
#define GEN_PASS_DEF_MATERIALIZECOPIES
#include "qtale/Conversion/Passes.h.inc"
} // namespace qtale

namespace {
struct MaterializeCopies
    : qtale::impl::MaterializeCopiesBase<MaterializeCopies> {
  using Base::Base;

  void runOnOperation() override {
    getOperation().walk([](memref::CopyOp copy) {
      auto type = dyn_cast<MemRefType>(copy.getTarget().getType());
      if (!type || !isa<MemRefType>(copy.getSource().getType()))
        return; // of unknown axes
      ImplicitLocOpBuilder b(copy.getLoc(), copy);
      int64_t rank = type.getRank();
      AffineMap identity = b.getMultiDimIdentityMap(rank);
      SmallVector<utils::IteratorType> iterators(rank,
                                                 utils::IteratorType::parallel);
      linalg::GenericOp::create(
          b, copy.getSource(), copy.getTarget(),
          ArrayRef<AffineMap>{identity, identity}, iterators,
          [](OpBuilder &builder, Location loc, ValueRange args) {
            linalg::YieldOp::create(builder, loc, args[0]);
          });
      copy.erase();
    });
  }
};
} // namespace
