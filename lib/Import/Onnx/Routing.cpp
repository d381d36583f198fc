//===- Routing.cpp - What a graph's Keep verbs say of all its units -------===//

#include "Routing.h"

#include "qtale/Dialect/QTale/IR/QTale.h"

#include "mlir/IR/Builders.h"
#include <set>

using namespace llvm;
using namespace mlir;
using namespace qtale;
using namespace qtale::onnx_import;

static int64_t attributeOf(const onnx::NodeProto &node, StringRef name) {
  for (const onnx::AttributeProto &attribute : node.attribute())
    if (attribute.name() == name)
      return attribute.i();
  return 0;
}

int64_t Routing::unit(const onnx::NodeProto &keep) {
  return attributeOf(keep, "index");
}

LogicalResult Routing::analyze(const StepGraph &graph) {
  auto fail = [&](const onnx::NodeProto &node, const Twine &message) {
    reason = message.str();
    failedAt = &node;
    return failure();
  };
  std::set<int64_t> known;
  for (const StepGraphNode &node : graph.nodes) {
    if (!node.isNeeded() || !isVerbCall(*node.proto, "Keep"))
      continue;
    const onnx::NodeProto &keep = *node.proto;
    auto threshold = graph.inputs.find(inputOf(keep, 1));
    if (threshold == graph.inputs.end() ||
        (!keeps.empty() && inputOf(keep, 1) != inputOf(*keeps[0], 1)))
      return fail(keep, "has a threshold that is not the model's input of all "
                        "units");
    const auto &shape = threshold->second->type().tensor_type().shape();
    int64_t sizes[2] = {0, 1};
    for (int i = 0; i < std::min(shape.dim_size(), 2); ++i)
      sizes[i] = shape.dim(i).dim_value();
    layers = sizes[0];
    units = sizes[1];
    if (shape.dim_size() < 1 || shape.dim_size() > 2 || layers < 1 ||
        units < 1 || units > 2 || layers > (1 << 20))
      return fail(keep, "has a threshold that is not [layers] or [layers, 2]");
    int64_t index = unit(keep);
    if (index < 0 || index >= size())
      return fail(keep, "has index " + Twine(index) + ", but there are " +
                            Twine(size()) + " units");
    if (!known.insert(index).second)
      return fail(keep, "has the index of another Keep");
    int64_t own = attributeOf(keep, "always_execute_tokens");
    if (!keeps.empty() && own != always)
      return fail(keep, "has another always_execute_tokens than the others");
    always = own;
    keeps.push_back(&keep);
  }
  return success();
}

DictionaryAttr Routing::describe(MLIRContext *context, const Model &model,
                                 const StepGraph &graph) const {
  Builder b(context);
  SmallVector<int8_t> routed(size(), 0);
  StringRef router;
  for (const onnx::NodeProto *keep : keeps) {
    routed[unit(*keep)] = 1;
    const onnx::NodeProto *p = graph.producer(inputOf(*keep, 0));
    StringRef kind = !p || !isVerbCall(*p)            ? "custom"
                     : p->op_type() == "RouterMlp2"   ? "mlp2"
                     : p->op_type() == "RouterLinear" ? "linear"
                                                      : "gate";
    router = router.empty() || router == kind ? kind : "mixed";
  }
  StringRef policy = "compute";
  for (const auto &entry : graph.keys)
    if (entry.second.policy == Keys::Evict)
      policy = "evict";
    else if (entry.second.policy == Keys::Copy)
      policy = "copy";
  float threshold = 0.5f;
  for (const auto &entry : model.proto.metadata_props()) {
    double number;
    if (entry.key() == "qtale.threshold" &&
        !StringRef(entry.value()).getAsDouble(number) && number >= 0)
      threshold = number;
  }
  return b.getDictionaryAttr({
      b.getNamedAttr("layers", b.getI64IntegerAttr(layers)),
      b.getNamedAttr("units", b.getI64IntegerAttr(units)),
      b.getNamedAttr("always", b.getI64IntegerAttr(always)),
      b.getNamedAttr("threshold", b.getF32FloatAttr(threshold)),
      b.getNamedAttr("routed", DenseI8ArrayAttr::get(b.getContext(), routed)),
      b.getNamedAttr("router", b.getStringAttr(router)),
      b.getNamedAttr("policy", b.getStringAttr(policy)),
  });
}
