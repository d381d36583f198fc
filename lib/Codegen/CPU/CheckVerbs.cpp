//===- CheckVerbs.cpp - What kernels rely on of an entry ------------------===//
//
//   verbs only, no routes and nothing of later stages
//   weights     with an offset, packed where a kernel reads them so
//   encodings   of weights only, but for int8 activations
//   caches      arguments of the entry, used by verbs
//
// Stages are text that people edit: what a verifier of one operation can't see
// is seen here, before anything is lowered.
//
//===----------------------------------------------------------------------===//

#include "Launcher.h"

using namespace mlir;
using namespace qtale;

static bool isVerb(Operation *op) {
  return isa<EmbeddingOp, QuantizeRowsOp, RMSNormOp, LayerNormOp, RopeOp,
             KVAppendOp, AttentionOp, MatmulOp, FusedMatmulOp, JointMatmulOp,
             ByteMatmulOp, RouterOp, KeepOp, KVReserveOp, KVCopyOp,
             GatherRowsOp, ScatterRowsOp, CompactOp, RecordOp>(op);
}

/// Whether a tensor has one of these encodings.
template <typename... Encodings> static bool hasEncoding(Type type) {
  auto tensor = dyn_cast<RankedTensorType>(type);
  return tensor && isa_and_nonnull<Encodings...>(tensor.getEncoding());
}

static bool isWeight(Type type) {
  return hasEncoding<PackedAttr, IntAttr>(type);
}

static LogicalResult checkParam(ParamOp param, ModuleOp level) {
  Operation *model = level->getParentOp();
  auto weight = model ? SymbolTable::lookupNearestSymbolFrom<WeightOp>(
                            model, param.getWeightAttr())
                      : WeightOp();
  if (!weight || !weight.getOffset())
    return param.emitError("needs a weight around the level that has a place "
                           "in the weights file");
  return success();
}

static LogicalResult checkOperation(Operation *op, func::FuncOp entry) {
  bool verb = isVerb(op),
       isQTale = isa_and_nonnull<QTaleDialect>(op->getDialect());
  if (isa<RouteOp>(op))
    return op->emitError("may not stand after stage 'packed'");
  if (isQTale && !verb && !isa<ParamOp, LaunchOp, YieldOp>(op))
    return op->emitError("may not stand before stage 'kernels'");
  for (OpOperand *matrix : getMatrixOperands(op))
    if (!hasEncoding<PackedAttr>(matrix->get().getType()))
      return op->emitError("its weight is not packed: ")
             << matrix->get().getType();
  for (Type type : op->getResultTypes())
    if (isWeight(type) && !isa<ParamOp>(op))
      return op->emitError("gives ") << type << ", but only weights are packed";
  for (Value operand : op->getOperands()) {
    if (!isa<KVCacheType>(operand.getType()))
      continue;
    auto argument = dyn_cast<BlockArgument>(operand);
    if (!verb || !argument || argument.getOwner() != &entry.front())
      return op->emitError(
          "a cache must be an argument of the entry, used by verbs only");
  }
  return success();
}

LogicalResult qtale::checkVerbs(func::FuncOp entry, ModuleOp level) {
  for (BlockArgument argument : entry.getArguments())
    if (isWeight(argument.getType()))
      return entry.emitError("takes ")
             << argument.getType() << ", but only weights are packed";
  WalkResult result = entry.walk([&](Operation *op) {
    if (op == entry)
      return WalkResult::advance();
    auto param = dyn_cast<ParamOp>(op);
    if ((param && failed(checkParam(param, level))) ||
        failed(checkOperation(op, entry)))
      return WalkResult::interrupt();
    return WalkResult::advance();
  });
  return failure(result.wasInterrupted());
}
