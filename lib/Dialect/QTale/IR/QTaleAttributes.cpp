//===- QTaleAttributes.cpp - Schemes and storage formats ------------------===//
//
//   shape [N, K]  +  encoding  -->  bytes
//
//   a tile of 16 rows:  group 0, group 1, …, each of
//                       | scales | zero points | values, 32 k by 32 k |
//   plain bytes:        | sums | values, 4 k by 4 k |
//
//===----------------------------------------------------------------------===//

#include "qtale/Dialect/QTale/IR/QTale.h"

#include "mlir/IR/Builders.h"
#include "mlir/IR/DialectImplementation.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace qtale;

#include "qtale/Dialect/QTale/IR/QTaleAttrInterfaces.cpp.inc"

#define GET_ATTRDEF_CLASSES
#include "qtale/Dialect/QTale/IR/QTaleAttributes.cpp.inc"

void QTaleDialect::registerAttributes() {
  addAttributes<
#define GET_ATTRDEF_LIST
#include "qtale/Dialect/QTale/IR/QTaleAttributes.cpp.inc"
      >();
}

static LogicalResult verifyGroup(function_ref<InFlightDiagnostic()> emitError,
                                 StringRef what, int64_t group) {
  if (!llvm::is_contained({32, 64, 128}, group))
    return emitError() << what << " must be 32, 64 or 128, but is " << group;
  return success();
}

LogicalResult IntAttr::verify(function_ref<InFlightDiagnostic()> emitError,
                              int64_t bits, int64_t group, bool asymmetric,
                              Type scales) {
  if (bits != 4 && bits != 8) // C1
    return emitError() << "bits must be 4 or 8, but is " << bits;
  if (!isa<Float16Type, Float32Type>(scales)) // C3
    return emitError() << "scales must be f16 or f32, but is " << scales;
  return verifyGroup(emitError, "group", group); // C2
}

LogicalResult IntRowsAttr::verify(function_ref<InFlightDiagnostic()> emitError,
                                  int64_t pad) {
  return verifyGroup(emitError, "pad", pad); // C1
}

LogicalResult PackedAttr::verify(function_ref<InFlightDiagnostic()> emitError,
                                 Attribute format) {
  if (isa<IntAttr>(format)) // C1
    return success();
  if (auto type = dyn_cast<TypeAttr>(format))
    if (isa<Float32Type, Float16Type, BFloat16Type>(type.getValue()) ||
        type.getValue().isSignlessInteger(8) ||
        type.getValue().isUnsignedInteger(8))
      return success();
  return emitError()
         << "format must be #qtale.int, f32, f16, bf16, i8 or ui8, but is "
         << format;
}

LogicalResult IntRowsAttr::verifyEncoding(
    ArrayRef<int64_t> shape, Type elementType,
    function_ref<InFlightDiagnostic()> emitError) const {
  if (shape.size() == 2 && elementType.isF32()) // C2
    return success();
  return emitError() << "int_rows are a matrix of f32";
}

LogicalResult
PackedAttr::verifyEncoding(ArrayRef<int64_t> shape, Type elementType,
                           function_ref<InFlightDiagnostic()> emitError) const {
  if (shape.size() != 2 || ShapedType::isDynamicShape(shape)) // C3
    return emitError() << "only a matrix of known dimensions can be packed";
  if (getBytesType() ? elementType == getBytesType()
                     : isa<FloatType>(elementType)) // C2
    return success();
  return emitError() << "elements of type " << elementType
                     << " can't be packed as " << getFormat();
}

FloatType PackedAttr::getFloat() const {
  auto type = dyn_cast<TypeAttr>(getFormat());
  return type ? dyn_cast<FloatType>(type.getValue()) : FloatType();
}

IntegerType PackedAttr::getBytesType() const {
  auto type = dyn_cast<TypeAttr>(getFormat());
  return type ? dyn_cast<IntegerType>(type.getValue()) : IntegerType();
}

int64_t PackedAttr::getValuesOffset() const {
  return getZerosOffset() + (getScheme().getAsymmetric() ? tileRows : 0);
}

int64_t PackedAttr::getGroupBytes() const {
  IntAttr scheme = getScheme();
  return getValuesOffset() +
         tileRows * scheme.getGroup() * scheme.getBits() / 8;
}

int64_t PackedAttr::getTileBytes(int64_t k) const {
  if (IntAttr scheme = getScheme())
    return llvm::divideCeil(k, scheme.getGroup()) * getGroupBytes();
  if (getBytesType())
    return sumBytes + tileRows * roundUp(k, 4);
  return tileRows * k * getFloat().getWidth() / 8;
}

int64_t PackedAttr::getBytes(int64_t n, int64_t k) const {
  return roundUp(n, tileRows) / tileRows * getTileBytes(k);
}

int64_t qtale::getStorageBytes(RankedTensorType type) {
  if (auto packed = dyn_cast_or_null<PackedAttr>(type.getEncoding()))
    return packed.getBytes(type.getDimSize(0), type.getDimSize(1));
  unsigned bits = type.getElementTypeBitWidth();
  // i1 is a byte; 4-bit elements share one.
  return bits == 1 ? type.getNumElements()
                   : (type.getNumElements() * bits + 7) / 8;
}

Value qtale::contextOf(FunctionOpInterface function) {
  if (function.isExternal() || !function.getNumArguments() ||
      !isa<ContextType>(function.getArgument(0).getType()))
    return Value();
  return function.getArgument(0);
}

MemRefType qtale::getBufferType(RankedTensorType type) {
  Type byte = IntegerType::get(type.getContext(), 8);
  if (auto rows = dyn_cast_or_null<IntRowsAttr>(type.getEncoding()))
    return MemRefType::get(
        {type.getDimSize(0), rows.getRowBytes(type.getDimSize(1))}, byte);
  if (isa_and_nonnull<PackedAttr>(type.getEncoding()))
    return MemRefType::get({getStorageBytes(type)}, byte);
  return MemRefType::get(type.getShape(), type.getElementType());
}
