//===- Decisions.cpp - Which rows run: keep, record, compact --------------===//
//
//   p   .9 .2 .7 .4      keep  1 0 1 0      rows  0 2      count 2
//
// A few instructions for each row: one thread does them all, and the others
// wait at the barrier that any kernel ends with.
//
//===----------------------------------------------------------------------===//

#include "Kernels.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace mlir;
using namespace qtale;

/// body(row) for each row of `like`, by one thread.
static void forRowsInOrder(KernelBuilder &b, Value like,
                           KernelBuilder::Body body) {
  b.parallel(b.index(1),
             [&](Value) { b.loop(b.index(0), b.dim(like, 0), 1, body); });
}

void qtale::buildKeep(KernelBuilder &b, Value unit, KeepInputs inputs,
                      int64_t always, Value keep, Value left) {
  forRowsInOrder(b, keep, [&](Value row) {
    Value position = b.loadIndex(inputs.positions, row);
    Value must = arith::CmpIOp::create(b, arith::CmpIPredicate::slt, position,
                                       b.index(always));
    Value sequence = b.loadIndex(inputs.sequences, row);
    // False where p is no number.
    Value wants = arith::CmpFOp::create(
        b, arith::CmpFPredicate::OGE, b.loadScalar(inputs.probability, row),
        b.loadScalar(inputs.thresholds, {sequence, unit}));
    Value budget = b.loadScalar(inputs.budgets, row);
    Value may =
        arith::CmpIOp::create(b, arith::CmpIPredicate::sgt, budget, b.i32(0));
    Value chosen = arith::AndIOp::create(b, wants, may);
    b.storeScalar(arith::OrIOp::create(b, must, chosen), keep, row);
    Value taken = arith::SelectOp::create(
        b, must, b.i32(0), arith::ExtUIOp::create(b, b.getI32Type(), chosen));
    b.storeScalar(arith::SubIOp::create(b, budget, taken), left, row);
  });
}

void qtale::buildRecord(KernelBuilder &b, Value context, Value unit,
                        Value probability, Value keep) {
  int64_t any = ShapedType::kDynamic;
  auto record =
      UnitRecordOp::create(b, MemRefType::get(any, b.getI8Type()),
                           MemRefType::get(any, b.getF32Type()), context, unit);
  forRowsInOrder(b, keep, [&](Value row) {
    Value flag =
        arith::ExtUIOp::create(b, b.getI8Type(), b.loadScalar(keep, row));
    b.storeScalar(flag, record.getKept(), row);
    b.storeScalar(b.loadScalar(probability, row), record.getProbability(), row);
  });
}

void qtale::buildCompact(KernelBuilder &b, Value keep, bool skipped, Value rows,
                         Value count) {
  b.parallel(b.index(1), [&](Value) {
    Value found = b.loop(
        b.index(0), b.dim(keep, 0), 1, b.index(0),
        [&](Value row, ValueRange carried) -> SmallVector<Value> {
          // Stored before it is known to count: the next one overwrites it.
          b.storeScalar(arith::IndexCastOp::create(b, b.getI32Type(), row),
                        rows, carried[0]);
          Value flag = arith::IndexCastUIOp::create(b, b.getIndexType(),
                                                    b.loadScalar(keep, row));
          Value more = skipped ? b.sub(b.index(1), flag) : flag;
          return {b.add(carried[0], more)};
        })[0];
    b.storeScalar(arith::IndexCastOp::create(b, b.getI32Type(), found), count,
                  b.index(0));
  });
}
