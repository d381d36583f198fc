//===- DataTypes.cpp - Element types and small tensors --------------------===//
//
//   ONNX      IR        recipe    NumPy
//   uint8     i8        ui8       uint8      signs live in operations
//   bool      i1        i1        bool
//   float16   f16       f16       float16
//
//===----------------------------------------------------------------------===//

#include "Model.h"
#include "Term.h"

#include "llvm/ADT/Sequence.h"
#include "llvm/Support/Endian.h"

using namespace llvm;
using namespace mlir;
using namespace qtale::onnx_import;
using onnx::TensorProto;

bool Term::isScalar() const {
  return llvm::all_of(
      dims, [](OpFoldResult dim) { return isConstantIntValue(dim, 1); });
}

bool qtale::onnx_import::isUnsigned(int32_t dtype) {
  return dtype == TensorProto::UINT8 || dtype == TensorProto::UINT16 ||
         dtype == TensorProto::UINT32 || dtype == TensorProto::UINT64 ||
         dtype == TensorProto::UINT4 || dtype == TensorProto::BOOL;
}

bool qtale::onnx_import::isFloat(int32_t dtype) {
  return dtype == TensorProto::FLOAT || dtype == TensorProto::FLOAT16 ||
         dtype == TensorProto::BFLOAT16 || dtype == TensorProto::DOUBLE;
}

bool qtale::onnx_import::isInteger(int32_t dtype) {
  return elementBits(dtype) && !isFloat(dtype) && dtype != TensorProto::BOOL;
}

Type qtale::onnx_import::elementType(MLIRContext *context, int32_t dtype) {
  switch (dtype) {
  case TensorProto::FLOAT:
    return Float32Type::get(context);
  case TensorProto::DOUBLE:
    return Float64Type::get(context);
  case TensorProto::FLOAT16:
    return Float16Type::get(context);
  case TensorProto::BFLOAT16:
    return BFloat16Type::get(context);
  case TensorProto::BOOL:
    return IntegerType::get(context, 1);
  default:
    if (int64_t bits = elementBits(dtype))
      return IntegerType::get(context, bits);
    return {};
  }
}

Type qtale::onnx_import::recipeElementType(MLIRContext *context,
                                           int32_t dtype) {
  if (dtype == TensorProto::UINT8 || dtype == TensorProto::UINT4)
    return IntegerType::get(context, elementBits(dtype), IntegerType::Unsigned);
  return elementType(context, dtype);
}

StringRef qtale::onnx_import::numpyName(int32_t dtype) {
  switch (dtype) {
  case TensorProto::FLOAT:
    return "float32";
  case TensorProto::DOUBLE:
    return "float64";
  case TensorProto::FLOAT16:
    return "float16";
  case TensorProto::BFLOAT16:
    return "bfloat16";
  case TensorProto::BOOL:
    return "bool";
  case TensorProto::INT8:
    return "int8";
  case TensorProto::INT16:
    return "int16";
  case TensorProto::INT32:
    return "int32";
  case TensorProto::INT64:
    return "int64";
  case TensorProto::UINT8:
    return "uint8";
  case TensorProto::UINT16:
    return "uint16";
  case TensorProto::UINT32:
    return "uint32";
  case TensorProto::UINT64:
    return "uint64";
  case TensorProto::INT4:
    return "int4";
  case TensorProto::UINT4:
    return "uint4";
  default:
    return "";
  }
}

/// The bits of element `i`, from raw_data or from the typed field.
static std::optional<uint64_t> elementAt(const TensorProto &tensor,
                                         int64_t bits, int64_t i) {
  if (tensor.has_raw_data()) {
    const char *data = tensor.raw_data().data();
    switch (bits) {
    case 4:
      return (uint8_t(data[i / 2]) >> (i % 2 * 4)) & 15;
    case 8:
      return uint8_t(data[i]);
    case 16:
      return support::endian::read16le(data + 2 * i);
    case 32:
      return support::endian::read32le(data + 4 * i);
    default:
      return support::endian::read64le(data + 8 * i);
    }
  }
  auto at = [&](const auto &field, int64_t index) -> std::optional<uint64_t> {
    if (index >= field.size())
      return std::nullopt;
    return bit_cast<
        std::conditional_t<sizeof(field[0]) == 4, uint32_t, uint64_t>>(
        field.Get(index));
  };
  switch (tensor.data_type()) {
  case TensorProto::FLOAT:
    return at(tensor.float_data(), i);
  case TensorProto::DOUBLE:
    return at(tensor.double_data(), i);
  case TensorProto::INT64:
    return at(tensor.int64_data(), i);
  case TensorProto::UINT32:
  case TensorProto::UINT64:
    return at(tensor.uint64_data(), i);
  case TensorProto::INT4:
  case TensorProto::UINT4: {
    auto byte = at(tensor.int32_data(), i / 2);
    if (!byte)
      return byte;
    return (*byte >> (i % 2 * 4)) & 15;
  }
  default:
    return at(tensor.int32_data(), i);
  }
}

DenseElementsAttr qtale::onnx_import::tensorValues(MLIRContext *context,
                                                   const TensorProto &tensor,
                                                   std::string &error) {
  Type type = elementType(context, tensor.data_type());
  std::optional<int64_t> bytes = tensorBytes(tensor);
  if (!type || !bytes) {
    error =
        type
            ? "has a negative or too large shape"
            : "has an element type that is not supported (" +
                  TensorProto::DataType_Name(static_cast<TensorProto::DataType>(
                      TensorProto::DataType_IsValid(tensor.data_type())
                          ? tensor.data_type()
                          : 0)) +
                  ")";
    return {};
  }
  if (tensor.has_raw_data() && (int64_t)tensor.raw_data().size() != *bytes) {
    error = "has " + std::to_string(tensor.raw_data().size()) +
            " bytes of data, but its shape needs " + std::to_string(*bytes);
    return {};
  }
  SmallVector<int64_t> shape(tensor.dims().begin(), tensor.dims().end());
  auto tensorType = RankedTensorType::get(shape, type);
  int64_t count = tensorType.getNumElements();
  int64_t bits = elementBits(tensor.data_type());
  // Typed fields take a byte or more for each two elements.
  if (!tensor.has_raw_data() && count / 2 > (int64_t)tensor.ByteSizeLong()) {
    error = "has less data than its shape needs";
    return {};
  }
  auto values = [&](auto make) {
    using Element = decltype(make(uint64_t()));
    SmallVector<Element> list;
    list.reserve(count);
    for (int64_t i = 0; i < count; ++i) {
      std::optional<uint64_t> element = elementAt(tensor, bits, i);
      if (!element) {
        error = "has less data than its shape needs";
        return DenseElementsAttr();
      }
      list.push_back(make(*element));
    }
    return DenseElementsAttr::get(tensorType, ArrayRef<Element>(list));
  };
  if (auto floatType = dyn_cast<FloatType>(type))
    return values([&](uint64_t element) {
      return APFloat(floatType.getFloatSemantics(),
                     APInt(bits, element, false, /*implicitTrunc=*/true));
    });
  if (tensor.data_type() == TensorProto::BOOL)
    return values(
        [](uint64_t element) { return APInt(1, (element & 255) != 0); });
  return values([&](uint64_t element) {
    return APInt(bits, element, false, /*implicitTrunc=*/true);
  });
}

Dims qtale::onnx_import::staticDims(MLIRContext *context,
                                    ArrayRef<int64_t> dims) {
  return getAsIndexOpFoldResult(context, dims);
}

int64_t qtale::onnx_import::staticOrDynamic(OpFoldResult dim) {
  return getConstantIntValue(dim).value_or(ShapedType::kDynamic);
}

SmallVector<int64_t>
qtale::onnx_import::staticShape(ArrayRef<OpFoldResult> dims) {
  return llvm::map_to_vector(dims, staticOrDynamic);
}
