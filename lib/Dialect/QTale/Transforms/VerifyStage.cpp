//===- VerifyStage.cpp - The contract of each stage -----------------------===//
//
//   imported     qtale verbs and upstream tensor dialects
//   quantized    matmuls over integers or floats, none by accident
//   packed       every matrix in its kernel's order
//   unrouted     no qtale.route
//   kernels      buffers, loops, vectors; no tensor, no allocation
//   llvm         the LLVM dialect
//
//===----------------------------------------------------------------------===//

#include "qtale/Dialect/QTale/IR/QTale.h"
#include "qtale/Dialect/QTale/Transforms/Passes.h"

#include "mlir/Dialect/MemRef/IR/MemRef.h"

using namespace mlir;
using namespace qtale;

namespace qtale {
#define GEN_PASS_DEF_VERIFYSTAGE
#include "qtale/Dialect/QTale/Transforms/Passes.h.inc"
} // namespace qtale

namespace {

using Dialects = ArrayRef<StringRef>;

const StringRef tensorDialects[] = {"builtin", "qtale", "func", "linalg",
                                    "tensor",  "arith", "math", "scf",
                                    "cf",      "affine"};
const StringRef bufferDialects[] = {"builtin", "qtale", "func", "memref",
                                    "vector",  "arith", "math", "scf",
                                    "cf",      "affine"};
const StringRef llvmDialects[] = {"builtin", "llvm"};

LogicalResult onlyDialects(ModuleOp module, StringRef stage, Dialects allowed) {
  bool ok = true;
  module.walk([&](Operation *op) {
    StringRef dialect = op->getName().getDialectNamespace();
    if (llvm::is_contained(allowed, dialect) || isa<WeightOp>(op))
      return;
    op->emitError("'") << op->getName() << "' may not stand in stage '" << stage
                       << "'";
    ok = false;
  });
  return success(ok);
}

bool isPacked(Value value) {
  auto type = cast<RankedTensorType>(value.getType());
  return isa_and_nonnull<PackedAttr>(type.getEncoding());
}

LogicalResult everyMatrixPacked(ModuleOp module) {
  bool ok = true;
  module.walk([&](Operation *op) {
    for (OpOperand *matrix : getMatrixOperands(op)) {
      if (isPacked(matrix->get()))
        continue;
      op->emitError("its weight is not packed: ") << matrix->get().getType();
      ok = false;
    }
  });
  return success(ok);
}

LogicalResult noRoutes(ModuleOp module) {
  bool ok = true;
  module.walk([&](RouteOp route) {
    route.emitError("may not stand after stage 'packed'");
    ok = false;
  });
  return success(ok);
}

LogicalResult noTensors(ModuleOp module) {
  bool ok = true;
  module.walk([&](Operation *op) {
    bool tensor = llvm::any_of(op->getResultTypes(), llvm::IsaPred<TensorType>);
    for (Region &region : op->getRegions())
      for (Block &block : region)
        tensor |=
            llvm::any_of(block.getArgumentTypes(), llvm::IsaPred<TensorType>);
    if (!tensor && !isa<memref::AllocOp, memref::DeallocOp>(op))
      return;
    op->emitError("may not stand in stage 'kernels': ")
        << (tensor ? "it has a tensor" : "it allocates");
    ok = false;
  });
  return success(ok);
}

LogicalResult check(ModuleOp module, StringRef stage) {
  if (stage == "imported" || stage == "quantized")
    return onlyDialects(module, stage, tensorDialects);
  if (stage == "packed" || stage == "unrouted")
    return success(succeeded(onlyDialects(module, stage, tensorDialects)) &&
                   succeeded(everyMatrixPacked(module)) &&
                   (stage == "packed" || succeeded(noRoutes(module))));
  if (stage == "kernels")
    return success(succeeded(onlyDialects(module, stage, bufferDialects)) &&
                   succeeded(noTensors(module)));
  if (stage == "llvm")
    return onlyDialects(module, stage, llvmDialects);
  return module.emitError("there is no stage '")
         << stage
         << "'; stages are imported, quantized, packed, unrouted, kernels, "
            "llvm";
}

struct VerifyStage : qtale::impl::VerifyStageBase<VerifyStage> {
  using Base::Base;

  void runOnOperation() override {
    if (failed(check(getOperation(), stage)))
      return signalPassFailure();
    getOperation()->setAttr(attr::stage, StringAttr::get(&getContext(), stage));
  }
};
} // namespace
