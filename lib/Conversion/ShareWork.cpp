//===- ShareWork.cpp - What one thread does for all -----------------------===//
//
//   arithmetic, loads     every thread repeats them
//   parallel loops        divided; a barrier follows each
//   other writes          if (thread == 0) { … }  barrier
//
// What one thread does next to each other is one block with one barrier, loads
// between that only it needs included.
//
// A thread that still reads for its own arithmetic must not be overtaken by a
// write: a barrier stands between such loads and the next write. Loads that only
// the write needs move into its block.
//
//===----------------------------------------------------------------------===//

#include "qtale/Conversion/Entry.h"
#include "qtale/Conversion/Passes.h"
#include "qtale/Dialect/QTale/IR/QTale.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/ControlFlow/IR/ControlFlowOps.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"

using namespace mlir;
using namespace qtale;

namespace qtale {
#define GEN_PASS_DEF_SHAREWORK
#include "qtale/Conversion/Passes.h.inc"
} // namespace qtale

namespace {

bool isParallel(Operation *op) {
  return isa<scf::ParallelOp, scf::ForallOp, func::CallOp>(op);
}

bool contains(Operation *op, function_ref<bool(Operation *)> predicate) {
  return op
      ->walk([&](Operation *inner) {
        return predicate(inner) ? WalkResult::interrupt()
                                : WalkResult::advance();
      })
      .wasInterrupted();
}

bool writes(Operation *op) {
  return contains(op, [](Operation *inner) {
    if (inner->hasTrait<OpTrait::HasRecursiveMemoryEffects>())
      return false;
    auto effects = dyn_cast<MemoryEffectOpInterface>(inner);
    return effects && effects.hasEffect<MemoryEffects::Write>() &&
           !isa<cf::AssertOp>(inner);
  });
}

/// Whether the team enters an operation's regions: they hold parallel loops, or
/// all threads need a branch's results or its reason to stop.
bool isDividedWithin(Operation *op) {
  return contains(op, isParallel) ||
         (isa<scf::IfOp>(op) && writes(op) &&
          (!op->use_empty() || contains(op, llvm::IsaPred<cf::AssertOp>)));
}

bool reads(Operation *op) {
  return contains(op,
                  [](Operation *inner) { return isa<memref::LoadOp>(inner); });
}

class Sharer {
public:
  Sharer(Value context) : context(context) {}

  LogicalResult share(Block &block) {
    for (Operation &op : llvm::make_early_inc_range(block)) {
      if (isParallel(&op)) {
        last.reset();
        beforeWrite(&op);
      } else if (op.getNumRegions() && isDividedWithin(&op)) {
        // A sequential loop or branch around parallel ones. Reads before it
        // come before each of its blocks, those in a loop before the next turn.
        bool before = readSinceBarrier || !ownReads.empty() ||
                      (isa<LoopLikeOpInterface>(op) && reads(&op));
        ownReads.clear();
        bool after = before;
        last.reset();
        for (Region &region : op.getRegions())
          for (Block &inner : region) {
            readSinceBarrier = before;
            if (failed(share(inner)))
              return failure();
            after |= readSinceBarrier || !ownReads.empty();
            ownReads.clear();
            last.reset();
          }
        readSinceBarrier = after;
      } else if (writes(&op)) {
        if (failed(doOnce(&op)))
          return failure();
      } else if (reads(&op)) {
        ownReads.push_back(&op);
      }
    }
    return success();
  }

private:
  void beforeWrite(Operation *op) {
    if (!readSinceBarrier && ownReads.empty())
      return;
    OpBuilder builder(op);
    BarrierOp::create(builder, op->getLoc(), context);
    passBarrier();
  }

  void passBarrier() {
    readSinceBarrier = false;
    ownReads.clear();
  }

  LogicalResult doOnce(Operation *op) {
    if (op->getNumResults() && !op->use_empty())
      return op->emitError("writes memory and has a result: the team can't "
                           "share it");
    if (contains(op, llvm::IsaPred<cf::AssertOp>))
      return op->emitError("writes memory and asserts: the team can't share "
                           "it");
    if (joinLast(op))
      return success();
    std::optional<Operations> moved;
    if (!readSinceBarrier && !ownReads.empty())
      moved = neededBy(op, ownReads.front());
    if (!moved)
      beforeWrite(op);
    ImplicitLocOpBuilder b(op->getLoc(), op);
    Value isFirst =
        arith::CmpIOp::create(b, arith::CmpIPredicate::eq,
                              ThreadOp::create(b, b.getIndexType(), context),
                              arith::ConstantIndexOp::create(b, 0));
    auto once = scf::IfOp::create(b, isFirst, /*withElseRegion=*/false);
    enter(once, moved.value_or(Operations()), op);
    b.setInsertionPointAfter(once); // it moved with the operation
    last = {once, BarrierOp::create(b, context)};
    passBarrier();
    return success();
  }

  using Operations = llvm::SetVector<Operation *>;

  static void enter(scf::IfOp once, const Operations &before, Operation *op) {
    Operation *end = once.thenBlock()->getTerminator();
    for (Operation *each : before)
      each->moveBefore(end);
    op->moveBefore(end);
  }

  /// Reads from `first` on, up to `op`, and what is computed of them; none of it
  /// may be needed elsewhere, and there may be no other effects between.
  static std::optional<Operations> neededBy(Operation *op, Operation *first) {
    Operations needed;
    for (Operation *between = first; between != op;
         between = between->getNextNode()) {
      bool follows = llvm::any_of(between->getOperands(), [&](Value operand) {
        return needed.contains(operand.getDefiningOp());
      });
      if (isa<cf::AssertOp>(between) ? !follows : isMemoryEffectFree(between)) {
        if (follows || between->getNumRegions())
          needed.insert(between);
      } else if (reads(between) && !writes(between) &&
                 !contains(between, llvm::IsaPred<cf::AssertOp>)) {
        needed.insert(between);
      } else {
        return std::nullopt;
      }
    }
    for (Operation *each : needed)
      for (Operation *user : each->getUsers()) {
        Operation *here = op->getBlock()->findAncestorOpInBlock(*user);
        if (here != op && !needed.contains(here))
          return std::nullopt;
      }
    return needed;
  }

  /// Moves what one thread did last down to `op`, which it does then too. Between
  /// them no memory is read but for values that this thread alone needs.
  bool joinLast(Operation *op) {
    std::optional<Operations> between;
    if (last)
      between = neededBy(op, last->end->getNextNode());
    if (!between)
      return false;
    last->body->moveBefore(op);
    last->end->moveAfter(op);
    enter(last->body, *between, op);
    passBarrier();
    return true;
  }

  /// What one thread does, in this block, and the barrier behind it.
  struct Once {
    scf::IfOp body;
    Operation *end;
  };
  std::optional<Once> last;
  Value context;
  // Reads that not all threads may have done: around this block, and in it.
  bool readSinceBarrier = false;
  SmallVector<Operation *> ownReads;
};

struct ShareWork : qtale::impl::ShareWorkBase<ShareWork> {
  using Base::Base;

  void runOnOperation() override {
    func::FuncOp func = getOperation();
    // Kernels share their own work.
    Value context = contextOf(func);
    if (!func.isPublic() || !context)
      return;
    if (failed(checkBlocks(func)) ||
        failed(Sharer(context).share(func.front())))
      signalPassFailure();
  }
};
} // namespace
