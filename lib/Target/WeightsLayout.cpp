//===- WeightsLayout.cpp - Where each weight stands in the file -----------===//

#include "WeightsLayout.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/Endian.h"
#include "llvm/Support/JSON.h"

using namespace mlir;
using namespace qtale;

/// The key of what is no tensor.
static constexpr llvm::StringLiteral metadataKey = "__metadata__";

/// safetensors' name of an element type; empty: there is none.
static llvm::StringRef getDtype(Type type) {
  if (type.isF64())
    return "F64";
  if (type.isF32())
    return "F32";
  if (type.isF16())
    return "F16";
  if (type.isBF16())
    return "BF16";
  auto integer = dyn_cast<IntegerType>(type);
  bool isUnsigned = integer && integer.isUnsigned();
  switch (integer ? integer.getWidth() : 0) {
  case 64:
    return isUnsigned ? "U64" : "I64";
  case 32:
    return isUnsigned ? "U32" : "I32";
  case 16:
    return isUnsigned ? "U16" : "I16";
  case 8:
    return isUnsigned ? "U8" : "I8";
  case 1:
    return "BOOL";
  default:
    return "";
  }
}

FailureOr<std::vector<PlacedWeight>> qtale::placeWeights(ModuleOp module) {
  std::vector<PlacedWeight> weights;
  uint64_t next = 0;
  for (auto op : module.getOps<WeightOp>()) {
    RankedTensorType type = op.getTensorType();
    Attribute encoding = type.getEncoding();
    if (encoding && !isa<PackedAttr>(encoding))
      return emitError(op.getLoc(), "weight @")
             << op.getSymName() << " of type " << type
             << " is in a scheme but not packed; weights files hold packed and "
                "plain weights";
    if (!encoding && getDtype(type.getElementType()).empty())
      return emitError(op.getLoc(), "weight @")
             << op.getSymName() << " of type " << type
             << " can't be stored: weights files know no such element type";
    if (op.getSymName() == metadataKey || !llvm::json::isUTF8(op.getSymName()))
      return emitError(op.getLoc(), "weight @")
             << op.getSymName()
             << " can't be stored under this name: weights files need UTF-8, "
                "and keep '"
             << metadataKey << "' for themselves";
    std::optional<uint64_t> offset = op.getOffset();
    if (!offset || *offset != next)
      return emitError(op.getLoc(), "weight @")
             << op.getSymName() << " must stand at offset " << next
             << " of the data section, but "
             << (offset ? "stands at " + std::to_string(*offset)
                        : std::string("has no offset"));
    uint64_t bytes = getStorageBytes(type);
    uint64_t padded = llvm::alignTo(bytes, weightAlignment);
    weights.push_back({op, type, op.getSymName().str(), next, bytes, padded});
    next += padded;
  }
  return weights;
}

std::string qtale::buildHeader(llvm::ArrayRef<PlacedWeight> weights,
                               llvm::ArrayRef<Sha256::Digest> hashes) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  llvm::json::OStream json(stream);
  json.object([&] {
    json.attributeObject(metadataKey, [&] {
      json.attribute("format", "qtale");
      for (auto [weight, hash] : llvm::zip_equal(weights, hashes)) {
        std::string type;
        llvm::raw_string_ostream(type) << weight.type;
        json.attribute("qtale." + weight.name, type);
        json.attribute("sha256." + weight.name,
                       llvm::toHex(hash, /*LowerCase=*/true));
      }
    });
    for (const PlacedWeight &weight : weights) {
      RankedTensorType type = weight.type;
      bool plain = !type.getEncoding() && weight.bytes == weight.padded;
      json.attributeObject(weight.name, [&] {
        json.attribute("dtype", plain ? getDtype(type.getElementType()) : "U8");
        json.attributeArray("shape", [&] {
          if (!plain)
            return json.value(int64_t(weight.padded));
          for (int64_t size : type.getShape())
            json.value(size);
        });
        json.attributeArray("data_offsets", [&] {
          json.value(int64_t(weight.offset));
          json.value(int64_t(weight.offset + weight.padded));
        });
      });
    }
  });
  text.resize(llvm::alignTo(text.size() + 8, weightAlignment) - 8, ' ');
  char length[8];
  llvm::support::endian::write64le(length, text.size());
  return std::string(length, 8) + text;
}

std::string qtale::getSchemeName(PackedAttr packed) {
  std::string name;
  llvm::raw_string_ostream stream(name);
  if (IntAttr scheme = packed.getScheme())
    stream << "int" << scheme.getBits() << "/" << scheme.getGroup()
           << (scheme.getAsymmetric() ? " asymmetric" : "")
           << (scheme.getScales().isF32() ? " f32 scales" : "");
  else if (IntegerType bytes = packed.getBytesType())
    stream << (bytes.isUnsigned() ? "uint8" : "int8");
  else
    stream << packed.getFloat();
  return name;
}
