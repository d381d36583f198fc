//===- EntryArguments.cpp - An entry as the runtime calls it --------------===//
//
//   @main(%context, buffers…) -> buffers…
//     -->  @main(%context, %arguments) -> i32
//
//===----------------------------------------------------------------------===//

#include "qtale/Conversion/Entry.h"
#include "qtale/Conversion/Passes.h"
#include "qtale/Dialect/QTale/IR/QTale.h"
#include "qtale/Runtime/qtale.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"

using namespace mlir;
using namespace qtale;

namespace qtale {
#define GEN_PASS_DEF_ENTRYARGUMENTS
#include "qtale/Conversion/Passes.h.inc"
} // namespace qtale

namespace {
/// Checks that the runtime has a descriptor for each argument and result.
LogicalResult checkBuffers(func::FuncOp entry) {
  auto check = [&](StringRef what, unsigned i, Type type) -> LogicalResult {
    if (isa<MemRefType>(type))
      return success();
    return entry.emitError(what) << " " << i << " of @" << entry.getSymName()
                                 << " must be a buffer, but is " << type;
  };
  for (auto [i, type] : llvm::enumerate(entry.getArgumentTypes()))
    if (i && failed(check("argument", i, type)))
      return failure();
  for (auto [i, type] : llvm::enumerate(entry.getResultTypes()))
    if (failed(check("result", i, type)))
      return failure();
  return success();
}

struct EntryArguments : qtale::impl::EntryArgumentsBase<EntryArguments> {
  using Base::Base;

  void runOnOperation() override {
    func::FuncOp func = getOperation();
    if (!func.isPublic() || !contextOf(func))
      return;
    if (failed(checkBlocks(func)) || failed(checkBuffers(func)))
      return signalPassFailure();
    Block &block = func.front();
    unsigned inputs = block.getNumArguments() - 1;
    ImplicitLocOpBuilder b(func.getLoc(), &getContext());
    auto pointer = LLVM::LLVMPointerType::get(&getContext());
    Value arguments = block.insertArgument(1u, pointer, func.getLoc());

    b.setInsertionPointToStart(&block);
    for (unsigned i = 0; i < inputs; ++i) {
      BlockArgument old = block.getArgument(2);
      Value loaded = LoadArgumentOp::create(b, old.getType(), arguments,
                                            b.getI64IntegerAttr(i));
      old.replaceAllUsesWith(loaded);
      block.eraseArgument(2);
    }

    auto ret = cast<func::ReturnOp>(block.getTerminator());
    b.setLoc(ret.getLoc());
    b.setInsertionPoint(ret);
    // The descriptors are the same for all threads; the first writes them.
    Value isFirst = arith::CmpIOp::create(
        b, arith::CmpIPredicate::eq,
        ThreadOp::create(b, b.getIndexType(), block.getArgument(0)),
        arith::ConstantIndexOp::create(b, 0));
    auto once = scf::IfOp::create(b, isFirst, /*withElseRegion=*/false);
    b.setInsertionPointToStart(once.thenBlock());
    for (auto [i, result] : llvm::enumerate(ret.getOperands()))
      StoreResultOp::create(b, arguments, b.getI64IntegerAttr(inputs + i),
                            result);
    b.setInsertionPoint(ret);
    Value ok = arith::ConstantOp::create(b, b.getI32IntegerAttr(QTALE_OK));
    ret.getOperandsMutable().assign(ok);

    func.removeArgAttrsAttr();
    func.removeResAttrsAttr();
    func.setFunctionType(
        b.getFunctionType(block.getArgumentTypes(), b.getI32Type()));
  }
};
} // namespace
