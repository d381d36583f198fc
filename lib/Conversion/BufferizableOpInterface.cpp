//===- BufferizableOpInterface.cpp - A launch becomes a call --------------===//
//
//   %y = qtale.launch @k(%context) ins(%x) outs(%init)
//   -->  func.call @k(%context, %x, %init) on buffers
//
//===----------------------------------------------------------------------===//

#include "qtale/Conversion/Passes.h"
#include "qtale/Dialect/QTale/IR/QTale.h"

#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/Bufferization/IR/DstBufferizableOpInterfaceImpl.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"

using namespace mlir;
using namespace mlir::bufferization;
using namespace qtale;

namespace {

struct LaunchModel
    : DstBufferizableOpInterfaceExternalModel<LaunchModel, LaunchOp> {
  bool bufferizesToMemoryRead(Operation *op, OpOperand &operand,
                              const AnalysisState &) const {
    // Outputs are overwritten, or updated in part.
    auto launch = cast<LaunchOp>(op);
    return !launch.isDpsInit(&operand) || launch.getUpdate();
  }

  LogicalResult bufferize(Operation *op, RewriterBase &rewriter,
                          const BufferizationOptions &options,
                          BufferizationState &state) const {
    auto launch = cast<LaunchOp>(op);
    auto kernel = SymbolTable::lookupNearestSymbolFrom<func::FuncOp>(
        op, launch.getKernelAttr());
    rewriter.setInsertionPoint(op);
    SmallVector<Value> arguments(launch.getHandles());
    SmallVector<Value> results;
    for (OpOperand &tensor :
         op->getOpOperands().drop_front(launch.getHandles().size())) {
      FailureOr<Value> buffer =
          getBuffer(rewriter, tensor.get(), options, state);
      if (failed(buffer))
        return failure();
      bool isOutput = launch.isDpsInit(&tensor);
      auto type = cast<MemRefType>(kernel.getArgumentTypes()[arguments.size()]);
      FailureOr<Value> argument =
          asArgument(rewriter, op->getLoc(), *buffer, type, isOutput);
      if (failed(argument))
        return op->emitError("a buffer of type ")
               << buffer->getType() << " does not fit kernel argument " << type;
      arguments.push_back(*argument);
      if (isOutput)
        results.push_back(*buffer);
    }
    func::CallOp::create(rewriter, op->getLoc(), kernel, arguments);
    replaceOpWithBufferizedValues(rewriter, op, results);
    return success();
  }

private:
  /// The buffer with the kernel's layout: a cast, or a dense copy of an input
  /// whose last dimension is strided.
  static FailureOr<Value> asArgument(RewriterBase &rewriter, Location loc,
                                     Value buffer, MemRefType type,
                                     bool isOutput) {
    auto from = cast<MemRefType>(buffer.getType());
    if (memref::CastOp::areCastCompatible(from, type)) {
      if (from.isLastDimUnitStride() || from.getRank() == 0)
        return memref::CastOp::create(rewriter, loc, type, buffer).getResult();
    }
    if (isOutput)
      return failure();
    SmallVector<Value> sizes;
    for (int64_t axis = 0; axis < from.getRank(); ++axis)
      if (from.isDynamicDim(axis))
        sizes.push_back(
            memref::DimOp::create(rewriter, loc, buffer, axis).getResult());
    Value dense = memref::AllocOp::create(
        rewriter, loc, MemRefType::get(from.getShape(), from.getElementType()),
        sizes);
    memref::CopyOp::create(rewriter, loc, buffer, dense);
    return memref::CastOp::create(rewriter, loc, type, dense).getResult();
  }
};

} // namespace

void qtale::registerBufferizableOpInterface(DialectRegistry &registry) {
  registry.addExtension(+[](MLIRContext *context, QTaleDialect *) {
    LaunchOp::attachInterface<LaunchModel>(*context);
  });
}
