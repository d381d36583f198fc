//===- Info.cpp - What --info tells of a model ----------------------------===//

#include "Descriptor.h"
#include "WeightsLayout.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/JSON.h"
#include <map>

using namespace mlir;
using namespace qtale;

static void writePorts(llvm::json::OStream &json, ModuleOp module,
                       llvm::StringRef name) {
  json.attributeArray(name, [&] {
    auto ports = module->getAttrOfType<ArrayAttr>(("qtale." + name).str());
    if (!ports)
      return;
    for (auto port : ports.getAsRange<DictionaryAttr>())
      json.object([&] {
        json.attribute("name", port.getAs<StringAttr>("name").getValue());
        json.attribute("dtype", port.getAs<StringAttr>("dtype").getValue());
        json.attributeArray("shape", [&] {
          auto shape = port.getAs<DenseI64ArrayAttr>("shape");
          for (int64_t size : shape.asArrayRef())
            json.value(size);
        });
      });
  });
}

/// Matrices by their scheme.
static void writeSchemes(llvm::json::OStream &json, ModuleOp module) {
  std::map<std::string, int64_t> counts;
  for (auto weight : module.getOps<WeightOp>())
    if (auto packed =
            dyn_cast_or_null<PackedAttr>(weight.getTensorType().getEncoding()))
      ++counts[getSchemeName(packed)];
  json.attributeObject("schemes", [&] {
    for (auto &[name, count] : counts)
      json.attribute(name, count);
  });
}

static void writeRouting(llvm::json::OStream &json, const Routing &routing) {
  json.attribute("kv_policy", routing.policy);
  json.attribute("router", routing.router);
  json.attribute("units", routing.units);
  json.attribute("first_routed_layer", routing.getFirstRoutedLayer());
  json.attribute("always_execute_tokens", routing.always);
  json.attribute("threshold", routing.threshold);
}

static void writeSession(llvm::json::OStream &json, ModuleOp module,
                         const std::optional<Routing> &routing) {
  auto caches = module->getAttrOfType<ArrayAttr>("qtale.caches");
  auto integer = [&](llvm::StringRef name) {
    return module->getAttrOfType<IntegerAttr>(name).getInt();
  };
  std::string kv;
  if (!caches.empty()) {
    auto type = cast<KVCacheType>(cast<TypeAttr>(caches[0]).getValue());
    if (type.getElementType().isInteger())
      kv = "int8";
    else
      llvm::raw_string_ostream(kv) << type.getElementType();
  }
  json.attributeObject("session", [&] {
    json.attribute("layers",
                   routing ? routing->layers : int64_t(caches.size()));
    json.attribute("vocab", integer("qtale.vocab"));
    json.attribute("context", integer("qtale.context"));
    json.attribute("kv", kv);
    if (routing)
      return writeRouting(json, *routing);
    json.attribute("kv_policy", nullptr);
    json.attribute("router", nullptr);
    json.attribute("first_routed_layer", nullptr);
  });
}

std::string qtale::buildInfo(ModuleOp module, const Description &description,
                             const WeightsFileInfo &weights) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  llvm::json::OStream json(stream);
  json.object([&] {
    json.attribute("version", QTALE_VERSION);
    json.attribute("hash", llvm::toHex(weights.headerHash, true));
    writePorts(json, module, "inputs");
    writePorts(json, module, "outputs");
    json.attributeObject("weights", [&] {
      json.attribute("file", llvm::json::fixUTF8(weights.fileName));
      json.attribute("bytes", int64_t(weights.bytes));
    });
    writeSchemes(json, module);
    if (description.hasSession)
      writeSession(json, module, description.routing);
    else
      json.attribute("session", nullptr);
  });
  return text;
}
