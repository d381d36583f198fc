//===- QTaleOps.cpp - Constraints of the operations -----------------------===//
//
// The number in a comment is the constraint's in QTaleOps.td, and that of its
// negative test in test/Dialect/QTale.
//
//===----------------------------------------------------------------------===//

#include "RowTypes.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/OpImplementation.h"
#include "mlir/IR/PatternMatch.h"

using namespace mlir;
using namespace qtale;

/// `-> type`, where the result is not of the input's type.
static ParseResult parseRowsAs(OpAsmParser &parser, Type input, Type &result) {
  result = input;
  return succeeded(parser.parseOptionalArrow()) ? parser.parseType(result)
                                                : success();
}
static void printRowsAs(OpAsmPrinter &printer, Operation *, Type input,
                        Type result) {
  if (result != input)
    printer << "-> " << result;
}

#include "qtale/Dialect/QTale/IR/QTaleEnums.cpp.inc"
#define GET_OP_CLASSES
#include "qtale/Dialect/QTale/IR/QTaleOps.cpp.inc"

//===----------------------------------------------------------------------===//
// Weights
//===----------------------------------------------------------------------===//

int64_t WeightOp::getBytes() { return getStorageBytes(getTensorType()); }

LogicalResult WeightOp::verify() {
  RankedTensorType type = getTensorType();
  if (!type.hasStaticShape()) // C1
    return emitOpError("type must be static, but is ") << type;
  if (type != getRecipe().getTensorType()) // C2
    return emitOpError("is of type ")
           << type << ", but its recipe gives " << getRecipe().getTensorType();
  int64_t offset = getOffset().value_or(0);
  if (offset < 0 || offset % 64) // C3
    return emitOpError("offset must be a multiple of 64 from 0 on, but is ")
           << offset;
  return success();
}

LogicalResult WeightOp::canonicalize(WeightOp op, PatternRewriter &rewriter) {
  RecipeAttrInterface simple = simplifyRecipe(op.getRecipe());
  if (simple == op.getRecipe())
    return rewriter.notifyMatchFailure(op,
                                       "the recipe is as simple as it gets");
  rewriter.modifyOpInPlace(op, [&] { op.setRecipeAttr(simple); });
  return success();
}

LogicalResult ParamOp::verifySymbolUses(SymbolTableCollection &symbols) {
  // Levels are nested modules that share the weights of the outer one.
  WeightOp weight;
  for (Operation *table = SymbolTable::getNearestSymbolTable(*this);
       table && !weight;
       table = table->getParentOp()
                   ? SymbolTable::getNearestSymbolTable(table->getParentOp())
                   : nullptr)
    weight = symbols.lookupSymbolIn<WeightOp>(table, getWeightAttr());
  if (!weight) // C1
    return emitOpError() << getWeightAttr() << " is no qtale.weight";
  if (weight.getTensorType() != getType()) // C2
    return emitOpError() << getWeightAttr() << " is of type "
                         << weight.getTensorType() << ", but the result of "
                         << getType();
  return success();
}

//===----------------------------------------------------------------------===//
// Verbs
//===----------------------------------------------------------------------===//

LogicalResult EmbeddingOp::verify() {
  if (!sameRows({getIds(), getResult()}) ||
      typeOf(getTable()).getDimSize(1) !=
          typeOf(getResult()).getDimSize(1)) // C1
    return emitOpError("result ")
           << getType() << " does not fit ids " << getIds().getType()
           << " and table " << getTable().getType();
  return success();
}

LogicalResult QuantizeRowsOp::verify() {
  RankedTensorType input = typeOf(getInput()), result = getType();
  if (input.getShape() != result.getShape() || input.getEncoding() ||
      !isa_and_nonnull<IntRowsAttr>(result.getEncoding())) // C1
    return emitOpError("result must be ")
           << input << " with encoding #qtale.int_rows, but is " << result;
  return success();
}

/// C1 and C2 of the norms.
static LogicalResult verifyNorm(Operation *op, Value input, Value scale,
                                Value bias, RankedTensorType result) {
  int64_t columns = typeOf(input).getDimSize(1);
  for (Value vector : {scale, bias})
    if (vector && typeOf(vector).getDimSize(0) != columns) // C1
      return op->emitOpError("scale and bias must have ")
             << columns << " values, but one is " << vector.getType();
  if (result.getShape() != typeOf(input).getShape() ||
      (result.getEncoding() && !isa<IntRowsAttr>(result.getEncoding()))) // C2
    return op->emitOpError("result must be ")
           << input.getType() << " or its #qtale.int_rows, but is " << result;
  return success();
}

LogicalResult RMSNormOp::verify() {
  return verifyNorm(*this, getInput(), getScale(), Value(), getType());
}
LogicalResult LayerNormOp::verify() {
  return verifyNorm(*this, getInput(), getScale(), getBias(), getType());
}

LogicalResult RopeOp::verify() {
  int64_t columns = typeOf(getInput()).getDimSize(1), heads = getHeads();
  RankedTensorType cos = typeOf(getCos());
  if (heads < 1 || columns % heads || cos != typeOf(getSin()) ||
      2 * cos.getDimSize(1) > columns / heads) // C1
    return emitOpError("tables ")
           << cos << " and " << getSin().getType() << " do not fit " << heads
           << " heads in " << columns << " columns";
  if (!sameRows({getInput(), getPositions()})) // C2
    return emitOpError("positions ")
           << getPositions().getType() << " do not fit input "
           << getInput().getType();
  return success();
}

LogicalResult KVAppendOp::verify() {
  KVCacheType cache = getCache().getType();
  int64_t columns = cache.getHeads() * cache.getHeadDim();
  for (Value value : {getKeys(), getValues()})
    if (typeOf(value).getDimSize(1) != columns) // C1
      return emitOpError("keys and values must have ")
             << columns << " columns, but one is " << value.getType();
  if (!sameRows({getKeys(), getValues(), getSequences(), getSlots()})) // C2
    return emitOpError("rows, sequences and slots differ in number");
  return success();
}

LogicalResult AttentionOp::verify() {
  KVCacheType cache = getCache().getType();
  int64_t heads = getHeads();
  int64_t columns = typeOf(getQuery()).getDimSize(1);
  if (heads < 1 || heads % cache.getHeads() || columns % heads ||
      columns / heads != cache.getHeadDim()) // C1
    return emitOpError("query ") << getQuery().getType() << " does not fit "
                                 << heads << " heads over " << cache;
  if (heads / cache.getHeads() > maxShared) // C4
    return emitOpError("has ")
           << heads << " heads over " << cache.getHeads()
           << " of the cache; at most " << maxShared << " share one";
  if (!sameRows({getQuery(), getSequences(), getSlots()})) // C2
    return emitOpError("rows, sequences and slots differ in number");
  if (getType() == getQuery().getType())
    return success();
  auto rows = dyn_cast_or_null<IntRowsAttr>(getType().getEncoding());
  if (!rows || getType().getShape() != typeOf(getQuery()).getShape() ||
      columns % rows.getPad() || cache.getHeadDim() % IntRowsAttr::block) // C3
    return emitOpError("result must be ")
           << getQuery().getType()
           << " or, of heads in whole blocks and without padding, its "
              "#qtale.int_rows, but is "
           << getType();
  return success();
}

//===----------------------------------------------------------------------===//
// Kernels
//===----------------------------------------------------------------------===//

LogicalResult ArenaOp::verify() {
  auto type = cast<MemRefType>(getType());
  if (size_t(type.getNumDynamicDims()) != getSizes().size()) // C1
    return emitOpError("has ") << getSizes().size() << " sizes for " << type;
  return success();
}

LogicalResult LaunchOp::verifySymbolUses(SymbolTableCollection &symbols) {
  auto kernel =
      symbols.lookupNearestSymbolFrom<func::FuncOp>(*this, getKernelAttr());
  if (!kernel || kernel.getNumArguments() != getNumOperands()) // C1
    return emitOpError() << getKernelAttr() << " is no function of "
                         << getNumOperands() << " arguments";
  for (auto [i, parameter] : llvm::enumerate(kernel.getArgumentTypes())) {
    bool isHandle = i < getHandles().size();
    if (isHandle ? parameter != getHandles()[i].getType()
                 : !isa<MemRefType>(parameter)) // C2
      return emitOpError() << "parameter " << i << " of " << getKernelAttr()
                           << " must be "
                           << (isHandle ? "of the handle's type" : "a buffer")
                           << ", but is " << parameter;
  }
  return success();
}

void LaunchOp::getEffects(
    SmallVectorImpl<SideEffects::EffectInstance<MemoryEffects::Effect>>
        &effects) {
  // Kernels write caches besides their outputs: ordered like any call.
  effects.emplace_back(MemoryEffects::Read::get());
  effects.emplace_back(MemoryEffects::Write::get());
}
