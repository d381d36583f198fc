//===- LowerAsserts.cpp - A failed assertion returns a code ---------------===//

#include "qtale/Conversion/Passes.h"
#include "qtale/Dialect/QTale/IR/QTale.h"
#include "qtale/Runtime/qtale.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/ControlFlow/IR/ControlFlowOps.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"

using namespace mlir;
using namespace qtale;

namespace qtale {
#define GEN_PASS_DEF_LOWERASSERTS
#include "qtale/Conversion/Passes.h.inc"
} // namespace qtale

namespace {
struct LowerAsserts : qtale::impl::LowerAssertsBase<LowerAsserts> {
  using Base::Base;

  void runOnOperation() override {
    func::FuncOp func = getOperation();
    SmallVector<cf::AssertOp> asserts;
    func.walk([&](cf::AssertOp op) { asserts.push_back(op); });
    for (cf::AssertOp op : asserts) {
      if (op->getParentOp() != func ||
          func.getResultTypes() !=
              ArrayRef<Type>{IntegerType::get(&getContext(), 32)}) {
        op.emitError("an assertion may only stand in an entry, outside loops");
        return signalPassFailure();
      }
      auto code = op->getAttrOfType<IntegerAttr>(attr::code);
      Block *block = op->getBlock();
      Block *rest = block->splitBlock(op);
      Block *fail = new Block();
      func.getBody().push_back(fail);
      ImplicitLocOpBuilder b(op.getLoc(), &getContext());
      b.setInsertionPointToEnd(block);
      cf::CondBranchOp::create(b, op.getArg(), rest, fail);
      b.setInsertionPointToStart(fail);
      Value result = arith::ConstantOp::create(
          b, code ? code : b.getI32IntegerAttr(QTALE_INVALID_ARGUMENT));
      func::ReturnOp::create(b, result);
      op.erase();
    }
  }
};
} // namespace
