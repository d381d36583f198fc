//===- Entry.h - What passes need of an entry -----------------------------===//

#ifndef QTALE_CONVERSION_ENTRY_H
#define QTALE_CONVERSION_ENTRY_H

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/RegionKindInterface.h"

namespace qtale {

/// Checks that an entry is one block, and so is each region in it: operations
/// stand in the order in which they run, and no value is made of itself. So it
/// is until assertions become blocks (LowerAsserts.cpp).
inline mlir::LogicalResult checkBlocks(mlir::func::FuncOp entry) {
  if (!entry.getBody().hasOneBlock() ||
      !mlir::isa<mlir::func::ReturnOp>(entry.front().getTerminator()))
    return entry.emitError("@")
           << entry.getSymName()
           << " must be one block that ends in func.return; use scf.if and "
              "scf.for for branches and loops";
  mlir::WalkResult result = entry.getBody().walk([](mlir::Operation *op) {
    for (mlir::Region &region : op->getRegions())
      if (!region.empty() &&
          (!region.hasOneBlock() ||
           (!region.front().empty() && mlir::mayBeGraphRegion(region)))) {
        op->emitError("regions of an entry must be one block that runs in "
                      "order; use scf.if and scf.for");
        return mlir::WalkResult::interrupt();
      }
    return mlir::WalkResult::advance();
  });
  return mlir::failure(result.wasInterrupted());
}

} // namespace qtale

#endif // QTALE_CONVERSION_ENTRY_H
