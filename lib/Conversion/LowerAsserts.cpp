//===- LowerAsserts.cpp - A failed assertion returns a code ---------------===//
//
//   cf.assert %ok, "…"   -->   if (!ok) { context.message = "…"; return code }
//
//===----------------------------------------------------------------------===//

#include "qtale/Conversion/Passes.h"
#include "qtale/Dialect/QTale/IR/QTale.h"
#include "qtale/Runtime/ModuleABI.h"
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
/// The text as a global of the module, ended by a zero.
LLVM::GlobalOp addText(ModuleOp module, SymbolTable &symbols, Location loc,
                       StringRef text) {
  auto bytes = (text + StringRef("\0", 1)).str();
  OpBuilder b(module.getBodyRegion());
  auto type = LLVM::LLVMArrayType::get(b.getI8Type(), bytes.size());
  auto global = LLVM::GlobalOp::create(
      b, loc, type, /*isConstant=*/true, LLVM::Linkage::Internal,
      "assert_message", b.getStringAttr(bytes));
  symbols.insert(global); // renames on a clash
  return global;
}

struct LowerAsserts : qtale::impl::LowerAssertsBase<LowerAsserts> {
  using Base::Base;

  void runOnOperation() override {
    SymbolTable symbols(getOperation());
    SmallVector<cf::AssertOp> asserts;
    getOperation().walk([&](cf::AssertOp op) { asserts.push_back(op); });
    for (cf::AssertOp op : asserts)
      if (failed(lower(op, symbols)))
        return signalPassFailure();
  }

  LogicalResult lower(cf::AssertOp op, SymbolTable &symbols) {
    auto func = dyn_cast<func::FuncOp>(op->getParentOp());
    Type i32 = IntegerType::get(&getContext(), 32);
    if (!func || func.getResultTypes() != ArrayRef<Type>{i32} ||
        !contextOf(func))
      return op.emitError(
          "an assertion may only stand in an entry, outside loops");

    Block *block = op->getBlock();
    Block *rest = block->splitBlock(op);
    Block *fail = new Block();
    func.getBody().push_back(fail);
    ImplicitLocOpBuilder b(op.getLoc(), &getContext());
    b.setInsertionPointToEnd(block);
    cf::CondBranchOp::create(b, op.getArg(), rest, fail);

    b.setInsertionPointToStart(fail);
    auto code = op->getAttrOfType<IntegerAttr>(attr::code);
    if (!code) {
      // The text is the model's; other codes have a text in the runtime.
      code = b.getI32IntegerAttr(QTALE_INVALID_ARGUMENT);
      storeMessage(b, contextOf(func), symbols, op.getMsg());
    }
    Value result = arith::ConstantOp::create(b, code);
    func::ReturnOp::create(b, result);
    op.erase();
    return success();
  }

  void storeMessage(ImplicitLocOpBuilder &b, Value context,
                    SymbolTable &symbols, StringRef text) {
    auto pointer = LLVM::LLVMPointerType::get(&getContext());
    Value base =
        UnrealizedConversionCastOp::create(b, pointer, context).getResult(0);
    Value field = LLVM::GEPOp::create(
        b, pointer, b.getI8Type(), base,
        ArrayRef<LLVM::GEPArg>{int32_t(offsetof(qtale_context, message))});
    LLVM::GlobalOp global = addText(getOperation(), symbols, b.getLoc(), text);
    LLVM::StoreOp::create(b, LLVM::AddressOfOp::create(b, global), field);
  }
};
} // namespace
