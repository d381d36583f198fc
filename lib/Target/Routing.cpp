//===- Routing.cpp - How a model is routed, checked -----------------------===//
//
//   qtale.routing = {layers = 6 : i64, units = 1 : i64, always = 2 : i64,
//                    threshold = 0.5 : f32, routed = array<i8: 0, 1, …>,
//                    router = "mlp2", policy = "evict"}
//
//===----------------------------------------------------------------------===//

#include "Descriptor.h"

#include "qtale/Dialect/QTale/IR/QTale.h"

#include <cmath>

using namespace mlir;
using namespace qtale;

FailureOr<std::optional<Routing>> qtale::readRouting(ModuleOp module) {
  Attribute attribute = module->getAttr("qtale.routing");
  if (!attribute)
    return std::optional<Routing>();
  auto fields = dyn_cast<DictionaryAttr>(attribute);
  auto get = [&](llvm::StringRef name) {
    return fields ? fields.get(name) : Attribute();
  };
  auto layers = dyn_cast_or_null<IntegerAttr>(get("layers"));
  auto units = dyn_cast_or_null<IntegerAttr>(get("units"));
  auto always = dyn_cast_or_null<IntegerAttr>(get("always"));
  auto threshold = dyn_cast_or_null<FloatAttr>(get("threshold"));
  auto routed = dyn_cast_or_null<DenseI8ArrayAttr>(get("routed"));
  auto router = dyn_cast_or_null<StringAttr>(get("router"));
  auto policy = dyn_cast_or_null<StringAttr>(get("policy"));
  if (!layers || !units || !always || !threshold || !routed || !router ||
      !policy)
    return emitError(module.getLoc(),
                     "qtale.routing must be a dictionary of layers, units and "
                     "always (integers), threshold (a float), routed "
                     "(array<i8>), router and policy (strings), but is ")
           << attribute;

  Routing read;
  read.layers = layers.getInt();
  read.units = units.getInt();
  read.always = always.getInt();
  read.threshold = threshold.getValueAsDouble();
  read.routed.assign(routed.asArrayRef().begin(), routed.asArrayRef().end());
  read.router = router.str();
  read.policy = policy.str();
  if (read.units < 1 || read.units > 2)
    return emitError(module.getLoc(),
                     "the units of a layer in qtale.routing must be 1 or 2, "
                     "but are ")
           << read.units;
  if (read.layers < 1 || read.always < 0)
    return emitError(module.getLoc(),
                     "qtale.routing needs at least 1 layer, and always of at "
                     "least 0, but has ")
           << read.layers << " and " << read.always;
  if (std::isnan(read.threshold) || read.threshold < 0)
    return emitError(module.getLoc(),
                     "the threshold in qtale.routing must be at least 0, but "
                     "is ")
           << threshold;
  if (int64_t(read.routed.size()) != read.layers * read.units)
    return emitError(module.getLoc(), "routed in qtale.routing must have ")
           << read.layers * read.units << " entries (layers * units), but has "
           << read.routed.size();
  return std::optional<Routing>(std::move(read));
}

int64_t Routing::getFirstRoutedLayer() const {
  for (auto [unit, isRouted] : llvm::enumerate(routed))
    if (isRouted)
      return unit / units;
  return layers;
}
