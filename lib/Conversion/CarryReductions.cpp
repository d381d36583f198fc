//===- CarryReductions.cpp - Reductions in registers ----------------------===//
//
//   for %k {                           %0 = load %sum[%i]
//     %s = load %sum[%i]               %1 = for %k iter_args(%s = %0) {
//     %t = addf %s, …            -->     %t = addf %s, …
//     store %t, %sum[%i]                 yield %t
//   }                                  }
//                                      store %1, %sum[%i]
//
// From inner loops to outer ones, within parallel loops; what one thread does for
// all (ShareWork.cpp) stays one operation. LLVM does the same only where it can prove that
// no other access of the loop meets the sum's, and of outlined loops it knows too
// little; here the sum's buffer is still an allocation of its own.
//
//===----------------------------------------------------------------------===//

#include "qtale/Conversion/Passes.h"

#include "mlir/Interfaces/ViewLikeInterface.h"

using namespace mlir;

namespace qtale {
#define GEN_PASS_DEF_CARRYREDUCTIONS
#include "qtale/Conversion/Passes.h.inc"
} // namespace qtale

namespace {

/// The buffer that one is a view of, or the buffer itself.
Value sourceOf(Value buffer) {
  SmallPtrSet<Operation *, 4> seen; // unreachable code may view itself
  for (auto view = buffer.getDefiningOp<ViewLikeOpInterface>();
       view && seen.insert(view).second;
       view = buffer.getDefiningOp<ViewLikeOpInterface>())
    buffer = view.getViewSource();
  return buffer;
}

/// The allocation that a buffer is, or is a view of; null if unknown.
Operation *allocationOf(Value buffer) {
  return sourceOf(buffer).getDefiningOp<memref::AllocOp>();
}

/// Whether a buffer can't be (part of) this allocation.
bool isApart(Value buffer, Operation *allocation) {
  buffer = sourceOf(buffer);
  if (Operation *made = buffer.getDefiningOp())
    return isa<memref::AllocOp, memref::GetGlobalOp>(made) &&
           made != allocation;
  // What a function is given is older than what it allocates.
  return isa<FunctionOpInterface>(
      cast<BlockArgument>(buffer).getOwner()->getParentOp());
}

/// A load and a store of one element that stays the same in a loop.
struct Reduction {
  memref::LoadOp load;
  memref::StoreOp store;
};

std::optional<Reduction> getReduction(scf::ForOp loop, memref::StoreOp store) {
  Operation *sum = allocationOf(store.getMemRef());
  if (!sum || !loop.isDefinedOutsideOfLoop(store.getMemRef()) ||
      !llvm::all_of(store.getIndices(), [&](Value index) {
        return loop.isDefinedOutsideOfLoop(index);
      }))
    return std::nullopt;
  memref::LoadOp load;
  WalkResult result = loop.getBody()->walk([&](Operation *op) {
    if (op == store || isMemoryEffectFree(op) ||
        op->hasTrait<OpTrait::HasRecursiveMemoryEffects>())
      return WalkResult::advance();
    if (auto other = dyn_cast<memref::StoreOp>(op))
      return isApart(other.getMemRef(), sum) ? WalkResult::advance()
                                             : WalkResult::interrupt();
    auto other = dyn_cast<memref::LoadOp>(op);
    if (other && isApart(other.getMemRef(), sum))
      return WalkResult::advance();
    if (!other || load || other->getBlock() != loop.getBody() ||
        !other->isBeforeInBlock(store) ||
        other.getMemRef() != store.getMemRef() ||
        !llvm::equal(other.getIndices(), store.getIndices()))
      return WalkResult::interrupt();
    load = other;
    return WalkResult::advance();
  });
  if (result.wasInterrupted() || !load)
    return std::nullopt;
  return Reduction{load, store};
}

/// The loop with the element among what it carries.
scf::ForOp carry(IRRewriter &rewriter, scf::ForOp loop, Reduction reduction) {
  auto [load, store] = reduction;
  Location at = store.getLoc();
  rewriter.setInsertionPoint(loop);
  Value first = memref::LoadOp::create(rewriter, load.getLoc(),
                                       load.getMemRef(), load.getIndices());
  Value last = store.getValueToStore();
  auto carried = cast<scf::ForOp>(**loop.replaceWithAdditionalYields(
      rewriter, first, /*replaceInitOperandUsesInLoop=*/false,
      [&](OpBuilder &, Location, ArrayRef<BlockArgument>) {
        return SmallVector<Value>{last};
      }));
  rewriter.replaceOp(load, carried.getRegionIterArgs().back());
  rewriter.setInsertionPointAfter(carried);
  memref::StoreOp::create(rewriter, at, carried.getResults().back(),
                          store.getMemRef(), store.getIndices());
  rewriter.eraseOp(store);
  return carried;
}

struct CarryReductions : qtale::impl::CarryReductionsBase<CarryReductions> {
  using Base::Base;

  void runOnOperation() override {
    IRRewriter rewriter(&getContext());
    SmallVector<scf::ForOp> loops;
    getOperation().walk([&](scf::ForOp loop) {
      if (loop->getParentOfType<scf::ParallelOp>())
        loops.push_back(loop);
    });
    for (scf::ForOp loop : loops)
      for (auto store :
           llvm::to_vector(loop.getBody()->getOps<memref::StoreOp>()))
        if (std::optional<Reduction> reduction = getReduction(loop, store)) {
          loop = carry(rewriter, loop, *reduction);
          ++numReductions;
        }
  }
};
} // namespace
