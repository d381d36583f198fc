//===- OldOperators.cpp - What ONNX's version converter does not know -----===//

#include "OldOperators.h"
#include "Subgraphs.h"

#include <limits>

using namespace llvm;
using namespace qtale::onnx_import;

static bool isUnary(const onnx::NodeProto &node, StringRef type) {
  return (node.domain().empty() || node.domain() == "ai.onnx") &&
         node.op_type() == type && node.input_size() == 1 &&
         node.output_size() == 1;
}

static onnx::NodeProto &add(Nodes &nodes, const std::string &name,
                            StringRef type, ArrayRef<std::string> inputs,
                            const std::string &output) {
  onnx::NodeProto &made = *nodes.Add();
  made.set_name(name);
  made.set_op_type(type.str());
  for (const std::string &input : inputs)
    made.add_input(input);
  made.add_output(output);
  return made;
}

void qtale::onnx_import::flattenHardmax(Nodes &nodes, int64_t opset) {
  if (opset >= 13)
    return;
  Nodes result;
  for (onnx::NodeProto &node : nodes) {
    eachSubgraph(node, [&](onnx::GraphProto &graph) {
      flattenHardmax(*graph.mutable_node(), opset);
    });
    if (!isUnary(node, "Hardmax")) {
      result.Add()->Swap(&node);
      continue;
    }
    std::string name = node.name(), input = node.input(0),
                output = node.output(0),
                prefix = "qtale.hardmax." + output + ".";
    add(result, name, "Shape", input, prefix + "shape");
    onnx::NodeProto &flat =
        add(result, name, "Flatten", input, prefix + "flat");
    for (const onnx::AttributeProto &attribute : node.attribute())
      if (attribute.name() == "axis")
        *flat.add_attribute() = attribute; // 1 for both, unless it is given
    // Of two axes the last.
    add(result, name, "Hardmax", prefix + "flat", prefix + "lines");
    add(result, name, "Reshape", {prefix + "lines", prefix + "shape"}, output);
  }
  nodes.Swap(&result);
}

OldClips::OldClips(Nodes &nodes, int64_t opset) {
  if (opset < 11)
    take(nodes);
}

void OldClips::take(Nodes &nodes) {
  for (onnx::NodeProto &node : nodes) {
    eachSubgraph(node,
                 [&](onnx::GraphProto &graph) { take(*graph.mutable_node()); });
    if (!isUnary(node, "Clip"))
      continue;
    Clip clip{node.name(), std::numeric_limits<float>::lowest(),
              std::numeric_limits<float>::max()};
    for (const onnx::AttributeProto &attribute : node.attribute())
      if (attribute.name() == "min")
        clip.least = attribute.f();
      else if (attribute.name() == "max")
        clip.most = attribute.f();
    node.clear_attribute();
    node.set_name("qtale.clip." + std::to_string(clips.size()));
    clips.insert({node.name(), clip});
  }
}

void OldClips::restore(Nodes &nodes) const {
  if (clips.empty())
    return;
  Nodes result;
  for (onnx::NodeProto &node : nodes) {
    eachSubgraph(
        node, [&](onnx::GraphProto &graph) { restore(*graph.mutable_node()); });
    auto clip = isUnary(node, "Clip") ? clips.find(node.name()) : clips.end();
    if (clip != clips.end()) {
      node.set_name(clip->second.name);
      for (float bound : {clip->second.least, clip->second.most}) {
        std::string number = "qtale.clip." + node.output(0) + "." +
                             std::to_string(node.input_size()),
                    typed = number + ".typed";
        onnx::AttributeProto &value =
            *add(result, node.name(), "Constant", {}, number).add_attribute();
        value.set_name("value_float");
        value.set_type(onnx::AttributeProto::FLOAT);
        value.set_f(bound);
        add(result, node.name(), "CastLike", {number, node.input(0)}, typed);
        node.add_input(typed);
      }
    }
    result.Add()->Swap(&node);
  }
  nodes.Swap(&result);
}
