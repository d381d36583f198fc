//===- DataTypes.cpp - Element types and small tensors --------------------===//
//
//   ONNX          IR     recipe    NumPy
//   uint8         i8     ui8       uint8          signs live in operations
//   bool          i1     i1        bool
//   float16       f16    f16       float16
//   int4          i8     i4        int4           packed in files, a byte each
//   float8e5m2    i8     f8E5M2    float8_e5m2    elsewhere
//
//===----------------------------------------------------------------------===//

#include "LowBitTypes.h"
#include "Model.h"

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
         dtype == TensorProto::UINT4 || dtype == TensorProto::UINT2 ||
         dtype == TensorProto::BOOL;
}

bool qtale::onnx_import::isFloat(int32_t dtype) {
  return dtype == TensorProto::FLOAT || dtype == TensorProto::FLOAT16 ||
         dtype == TensorProto::BFLOAT16 || dtype == TensorProto::DOUBLE;
}

bool qtale::onnx_import::isInteger(int32_t dtype) {
  return elementBits(dtype) && !isFloat(dtype) && !lowBitType(dtype) &&
         dtype != TensorProto::BOOL;
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
      return IntegerType::get(context, lowBitType(dtype) ? 8 : bits);
    return {};
  }
}

Type qtale::onnx_import::recipeElementType(MLIRContext *context,
                                           int32_t dtype) {
  switch (dtype) {
  case TensorProto::UINT64:
  case TensorProto::UINT32:
  case TensorProto::UINT16:
  case TensorProto::UINT8:
  case TensorProto::UINT4:
  case TensorProto::UINT2:
    return IntegerType::get(context, elementBits(dtype), IntegerType::Unsigned);
  case TensorProto::INT4:
  case TensorProto::INT2:
    return IntegerType::get(context, elementBits(dtype));
  case TensorProto::FLOAT8E4M3FN:
    return Float8E4M3FNType::get(context);
  case TensorProto::FLOAT8E4M3FNUZ:
    return Float8E4M3FNUZType::get(context);
  case TensorProto::FLOAT8E5M2:
    return Float8E5M2Type::get(context);
  case TensorProto::FLOAT8E5M2FNUZ:
    return Float8E5M2FNUZType::get(context);
  case TensorProto::FLOAT8E8M0:
    return Float8E8M0FNUType::get(context);
  case TensorProto::FLOAT6E2M3:
    return Float6E2M3FNType::get(context);
  case TensorProto::FLOAT6E3M2:
    return Float6E3M2FNType::get(context);
  case TensorProto::FLOAT4E2M1:
    return Float4E2M1FNType::get(context);
  default:
    return elementType(context, dtype);
  }
}

std::string qtale::onnx_import::refusal(int32_t dtype) {
  if (!TensorProto::DataType_IsValid(dtype) || dtype == TensorProto::UNDEFINED)
    return "number " + std::to_string(dtype) +
           ", which ONNX does not know; save the model with a type for it";
  std::string name =
      StringRef(TensorProto::DataType_Name(TensorProto::DataType(dtype)))
          .lower();
  if (dtype == TensorProto::STRING)
    return name + ", which is not supported: compiled code knows numbers only; "
                  "turn text into numbers before the model";
  return name + ", which is not supported: there is no arithmetic of complex "
                "numbers; give real and imaginary parts as two tensors";
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
  default:
    const LowBitType *type = lowBitType(dtype);
    return type ? StringRef(type->name) : StringRef();
  }
}

/// The bits of element `i`, from raw_data or from the typed field.
static std::optional<uint64_t> elementAt(const TensorProto &tensor,
                                         int64_t bits, int64_t i) {
  if (tensor.has_raw_data()) {
    const char *data = tensor.raw_data().data();
    switch (bits) {
    case 2:
    case 4:
    case 6: { // one after the other, low bits first, across bytes
      int64_t first = i * bits;
      unsigned shift = first % 8, word = uint8_t(data[first / 8]);
      if (shift + bits > 8)
        word |= unsigned(uint8_t(data[first / 8 + 1])) << 8;
      return word >> shift & ((1u << bits) - 1);
    }
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
  case TensorProto::INT2:
  case TensorProto::UINT2:
  case TensorProto::INT4:
  case TensorProto::UINT4:
  case TensorProto::FLOAT4E2M1: { // a byte of raw data in each
    int64_t perByte = 8 / bits;
    auto byte = at(tensor.int32_data(), i / perByte);
    if (!byte)
      return byte;
    return *byte >> (i % perByte * bits) & ((1u << bits) - 1);
  }
  case TensorProto::FLOAT6E2M3:
  case TensorProto::FLOAT6E3M2: {
    auto code = at(tensor.int32_data(), i);
    return code ? std::optional<uint64_t>(*code & 63) : code;
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
    error = type ? "has a negative or too large shape"
                 : "has the element type " + refusal(tensor.data_type());
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
  // Typed fields take a byte or more for each four elements.
  if (!tensor.has_raw_data() && count / 4 > (int64_t)tensor.ByteSizeLong()) {
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
  unsigned width = type.getIntOrFloatBitWidth();
  return values([&](uint64_t element) {
    return APInt(width, element, false, /*implicitTrunc=*/true);
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
