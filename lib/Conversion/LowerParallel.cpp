//===- LowerParallel.cpp - Parallel loops among the team ------------------===//
//
//   while ((c = next_chunk) < chunks) { iterations of chunk c }   barrier
//
// scf.forall (kernels): an iteration is a chunk; dimensions are counted through.
// scf.parallel (elementwise): the last dimension is the inner loop, the others
// are counted through; a chunk has about 1024 elements, turns of loops within
// included.
//
//===----------------------------------------------------------------------===//

#include "qtale/Conversion/Passes.h"
#include "qtale/Dialect/QTale/IR/QTale.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/ControlFlow/IR/ControlFlowOps.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"

using namespace mlir;
using namespace qtale;

namespace qtale {
#define GEN_PASS_DEF_LOWERPARALLEL
#include "qtale/Conversion/Passes.h.inc"
} // namespace qtale

namespace {

constexpr int64_t chunkElements = 1024;

Value ceilDiv(ImplicitLocOpBuilder &b, Value a, Value c) {
  Value one = arith::ConstantIndexOp::create(b, 1);
  Value sum = arith::AddIOp::create(b, a, c);
  return arith::DivUIOp::create(b, arith::SubIOp::create(b, sum, one), c);
}

/// Turns of the loops in a block, one after the other or within each other, as far
/// as they are known before `around`.
Value turnsWithin(ImplicitLocOpBuilder &b, Block *block,
                  LoopLikeOpInterface around) {
  Value most = arith::ConstantIndexOp::create(b, 1);
  auto known = [&](Value bound) -> Value {
    if (auto constant = getConstantIntValue(bound))
      return arith::ConstantIndexOp::create(b, *constant);
    return around.isDefinedOutsideOfLoop(bound) ? bound : Value();
  };
  for (auto loop : block->getOps<scf::ForOp>()) {
    Value turns = turnsWithin(b, loop.getBody(), around);
    Value from = known(loop.getLowerBound()), to = known(loop.getUpperBound()),
          step = known(loop.getStep());
    if (from && to && step && loop.getInductionVar().getType().isIndex()) {
      Value span =
          arith::SubIOp::create(b, arith::MaxSIOp::create(b, to, from), from);
      turns = arith::MulIOp::create(b, turns, ceilDiv(b, span, step));
    }
    most = arith::MaxUIOp::create(b, most, turns);
  }
  return most;
}

/// A loop's dimensions, each counted from 0.
struct Dimensions {
  Dimensions(ImplicitLocOpBuilder &b, ValueRange from, ValueRange to,
             ValueRange step)
      : b(b), from(from), step(step) {
    for (auto [first, end, by] : llvm::zip_equal(from, to, step)) {
      Value last = end; // no size is below 0
      if (getConstantIntValue(first) != 0)
        last = arith::MaxSIOp::create(b, end, first);
      trips.push_back(ceilDiv(b, arith::SubIOp::create(b, last, first), by));
    }
  }

  /// Turns of the first dimensions together.
  Value turns(int64_t rank) {
    Value product = arith::ConstantIndexOp::create(b, 1);
    for (Value trip : ArrayRef(trips).take_front(rank))
      product = arith::MulIOp::create(b, product, trip);
    return product;
  }

  Value at(int64_t axis, Value count) {
    Value offset = arith::MulIOp::create(b, count, step[axis]);
    return arith::AddIOp::create(b, from[axis], offset);
  }

  /// Where turn `number` of the first dimensions is; the last one is fastest.
  SmallVector<Value> split(Value number, int64_t rank) {
    SmallVector<Value> ivs(rank);
    for (int64_t axis = rank - 1; axis >= 0; --axis) {
      Value count = number;
      if (axis) {
        count = arith::RemUIOp::create(b, number, trips[axis]);
        number = arith::DivUIOp::create(b, number, trips[axis]);
      }
      ivs[axis] = at(axis, count);
    }
    return ivs;
  }

  ImplicitLocOpBuilder &b;
  SmallVector<Value> from, step, trips;
};

class Lowering {
public:
  Lowering(ImplicitLocOpBuilder &b, Value context) : b(b), context(context) {}

  void lower(scf::ForallOp loop);
  void lower(scf::ParallelOp loop);
  static void makeSequential(scf::ParallelOp loop);

private:
  Value constant(int64_t value) {
    return arith::ConstantIndexOp::create(b, value);
  }
  /// Chunks 0 … count - 1 in turn, then the barrier.
  void chunks(Value count, function_ref<void(Value)> body);

  ImplicitLocOpBuilder &b;
  Value context;
};

void Lowering::chunks(Value count, function_ref<void(Value)> body) {
  auto loop = scf::WhileOp::create(
      b, TypeRange{b.getIndexType()}, ValueRange{},
      [&](OpBuilder &builder, Location loc, ValueRange) {
        Value chunk =
            NextChunkOp::create(builder, loc, builder.getIndexType(), context);
        Value more = arith::CmpIOp::create(
            builder, loc, arith::CmpIPredicate::slt, chunk, count);
        scf::ConditionOp::create(builder, loc, more, chunk);
      },
      [&](OpBuilder &builder, Location loc, ValueRange args) {
        OpBuilder::InsertionGuard guard(b);
        b.setInsertionPointToEnd(builder.getInsertionBlock());
        body(args[0]);
        scf::YieldOp::create(b);
      });
  b.setInsertionPointAfter(loop);
  BarrierOp::create(b, context);
}

/// Moves the loop's body to the builder, its induction variables replaced.
void inlineBody(ImplicitLocOpBuilder &b, Block *body, ValueRange ivs) {
  body->getTerminator()->erase();
  Block *target = b.getInsertionBlock();
  target->getOperations().splice(b.getInsertionPoint(), body->getOperations());
  for (auto [argument, iv] : llvm::zip_equal(body->getArguments(), ivs))
    argument.replaceAllUsesWith(iv);
}

void Lowering::lower(scf::ForallOp loop) {
  auto values = [&](ArrayRef<OpFoldResult> bounds) {
    return getValueOrCreateConstantIndexOp(b, b.getLoc(), bounds);
  };
  SmallVector<Value> to = values(loop.getMixedUpperBound());
  if (loop.getRank() == 1 && loop.isNormalized()) {
    chunks(to[0], [&](Value chunk) { inlineBody(b, loop.getBody(), chunk); });
  } else {
    Dimensions dimensions(b, values(loop.getMixedLowerBound()), to,
                          values(loop.getMixedStep()));
    int64_t rank = loop.getRank();
    chunks(dimensions.turns(rank), [&](Value chunk) {
      inlineBody(b, loop.getBody(), dimensions.split(chunk, rank));
    });
  }
  loop.erase();
}

void Lowering::lower(scf::ParallelOp loop) {
  int64_t rank = loop.getNumLoops(), outer = std::max<int64_t>(1, rank - 1);
  Dimensions dimensions(b, loop.getLowerBound(), loop.getUpperBound(),
                        loop.getStep());

  // Units are counted through; a unit is a whole inner loop (or one element).
  Value units = dimensions.turns(outer), inner = constant(1);
  if (rank > 1)
    inner = arith::MaxUIOp::create(b, dimensions.trips.back(), inner);
  inner = arith::MulIOp::create(b, inner, turnsWithin(b, loop.getBody(), loop));
  Value perChunk = arith::MaxUIOp::create(
      b, arith::DivUIOp::create(b, constant(chunkElements), inner),
      constant(1));

  chunks(ceilDiv(b, units, perChunk), [&](Value chunk) {
    Value first = arith::MulIOp::create(b, chunk, perChunk);
    Value last = arith::MinUIOp::create(
        b, arith::AddIOp::create(b, first, perChunk), units);
    auto unit = scf::ForOp::create(b, first, last, constant(1));
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(unit.getBody());
    SmallVector<Value> ivs = dimensions.split(unit.getInductionVar(), outer);
    if (rank > 1) {
      auto row = scf::ForOp::create(b, constant(0), dimensions.trips.back(),
                                    constant(1));
      b.setInsertionPointToStart(row.getBody());
      ivs.push_back(dimensions.at(rank - 1, row.getInductionVar()));
    }
    inlineBody(b, loop.getBody(), ivs);
  });
  loop.erase();
}

void Lowering::makeSequential(scf::ParallelOp loop) {
  ImplicitLocOpBuilder b(loop.getLoc(), loop);
  SmallVector<Value> ivs;
  for (auto [from, to, step] : llvm::zip_equal(
           loop.getLowerBound(), loop.getUpperBound(), loop.getStep())) {
    auto inner = scf::ForOp::create(b, from, to, step);
    ivs.push_back(inner.getInductionVar());
    b.setInsertionPointToStart(inner.getBody());
  }
  inlineBody(b, loop.getBody(), ivs);
  loop.erase();
}

struct LowerParallel : qtale::impl::LowerParallelBase<LowerParallel> {
  using Base::Base;

  void runOnOperation() override {
    func::FuncOp func = getOperation();
    SmallVector<Operation *> outer, inner;
    WalkResult result = func.walk([&](Operation *op) {
      bool nested = op->getParentOfType<scf::ForallOp>() ||
                    op->getParentOfType<scf::ParallelOp>();
      if (isa<cf::AssertOp>(op) && nested) {
        op->emitError("an assertion in a parallel loop would end one thread "
                      "and leave the others waiting");
        return WalkResult::interrupt();
      }
      if (!isa<scf::ForallOp, scf::ParallelOp>(op))
        return WalkResult::advance();
      if (op->getNumResults()) {
        op->emitError("parallel reductions are not supported");
        return WalkResult::interrupt();
      }
      (nested ? inner : outer).push_back(op);
      return WalkResult::advance();
    });
    if (result.wasInterrupted())
      return signalPassFailure();
    Value context = contextOf(func);
    if (!context && !outer.empty()) {
      outer.front()->emitError(
          "a parallel loop needs threads, and its function "
          "takes no context that has them");
      return signalPassFailure();
    }
    for (Operation *op : inner)
      if (auto loop = dyn_cast<scf::ParallelOp>(op))
        Lowering::makeSequential(loop);
    for (Operation *op : outer) {
      ImplicitLocOpBuilder b(op->getLoc(), op);
      Lowering lowering(b, context);
      if (auto loop = dyn_cast<scf::ForallOp>(op))
        lowering.lower(loop);
      else
        lowering.lower(cast<scf::ParallelOp>(op));
    }
  }
};
} // namespace
