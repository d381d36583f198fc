//===- QTaleDialect.cpp - Registration and types --------------------------===//

#include "qtale/Dialect/QTale/IR/QTale.h"

#include "mlir/IR/Builders.h"
#include "mlir/IR/DialectImplementation.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace qtale;

#include "qtale/Dialect/QTale/IR/QTaleDialect.cpp.inc"

#define GET_TYPEDEF_CLASSES
#include "qtale/Dialect/QTale/IR/QTaleTypes.cpp.inc"

void QTaleDialect::initialize() {
  registerAttributes();
  addTypes<
#define GET_TYPEDEF_LIST
#include "qtale/Dialect/QTale/IR/QTaleTypes.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "qtale/Dialect/QTale/IR/QTaleOps.cpp.inc"
      >();
}

//===----------------------------------------------------------------------===//
// KVCacheType: !qtale.kv_cache<4x8xf32>, !qtale.kv_cache<4x8xf32, ragged>
//===----------------------------------------------------------------------===//

Type KVCacheType::parse(AsmParser &parser) {
  SmallVector<int64_t> dims;
  Type element;
  SMLoc loc = parser.getCurrentLocation();
  if (parser.parseLess() ||
      parser.parseDimensionList(dims, /*allowDynamic=*/false) ||
      parser.parseType(element))
    return {};
  bool ragged = succeeded(parser.parseOptionalComma());
  if ((ragged && parser.parseKeyword("ragged")) || parser.parseGreater())
    return {};
  if (dims.size() != 2) {
    parser.emitError(loc, "expected heads x head_dim x element type");
    return {};
  }
  return parser.getChecked<KVCacheType>(loc, parser.getContext(), dims[0],
                                        dims[1], element, ragged);
}

void KVCacheType::print(AsmPrinter &printer) const {
  printer << "<" << getHeads() << "x" << getHeadDim() << "x" << getElementType()
          << (getRagged() ? ", ragged>" : ">");
}

LogicalResult KVCacheType::verify(function_ref<InFlightDiagnostic()> emitError,
                                  int64_t heads, int64_t headDim,
                                  Type elementType, bool) {
  if (!fits(heads, headDim)) // C1
    return emitError() << "kv_cache needs heads and head_dim of at least 1, "
                          "and at most "
                       << maxValues << " values, but has " << heads << " and "
                       << headDim;
  if (!elementType.isF32() && !elementType.isF16() &&
      !elementType.isSignlessInteger(8)) // C2
    return emitError() << "kv_cache holds f32, f16 or i8, but has "
                       << elementType;
  return success();
}

KVCacheType KVCacheType::withElementType(Type elementType) const {
  return get(getContext(), getHeads(), getHeadDim(), elementType, getRagged());
}

int64_t KVCacheType::getBlockBytes() const {
  int64_t bytes = getElementType().getIntOrFloatBitWidth() / 8;
  int64_t values = 2 * getHeads() * getHeadDim() * blockSlots * bytes;
  int64_t scales =
      getElementType().isInteger() ? 2 * getHeads() * blockSlots * 4 : 0;
  return values + scales;
}
