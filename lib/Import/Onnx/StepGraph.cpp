//===- StepGraph.cpp - What @step computes, for which rows, and where -----===//
//
// The graph is read once, backwards from `logits`: when a node's turn comes,
// all who read its results have said for which rows and from which place.
//
//===----------------------------------------------------------------------===//

#include "StepGraph.h"
#include "Subgraphs.h"
#include "VerbFunctions.h"

#include "mlir/IR/MLIRContext.h"
#include "llvm/ADT/StringSet.h"

using namespace llvm;
using namespace mlir;
using namespace qtale::onnx_import;

bool qtale::onnx_import::isVerbCall(const onnx::NodeProto &node,
                                    StringRef name) {
  return node.domain() == verbDomain &&
         (name.empty() || node.op_type() == name);
}

LogicalResult StepGraph::fail(const onnx::NodeProto &node,
                              const Twine &message) {
  reason = message.str();
  failedAt = &node;
  return failure();
}

const onnx::NodeProto *StepGraph::producer(StringRef value) const {
  auto found = producers.find(value);
  return found == producers.end() ? nullptr : nodes[found->second].proto;
}

LogicalResult StepGraph::collect(MLIRContext *context) {
  graph = model.proto.graph();
  llvm::StringSet<> ofVerbs;
  for (const onnx::NodeProto &verb : model.verbs)
    for (const std::string &output : verb.output())
      if (!output.empty())
        ofVerbs.insert(output);
  auto &list = *graph.mutable_node();
  list.erase(std::remove_if(list.begin(), list.end(),
                            [&](const onnx::NodeProto &node) {
                              return llvm::any_of(
                                  node.output(), [&](const std::string &name) {
                                    return ofVerbs.contains(name);
                                  });
                            }),
             list.end());
  for (const onnx::NodeProto &verb : model.verbs)
    *list.Add() = verb;
  if (failed(sortNodes(context, model, graph)))
    return failure();

  for (const auto &info : graph.input())
    inputs[info.name()] = &info;
  for (const onnx::NodeProto &node : graph.node()) {
    for (const std::string &output : node.output())
      if (!output.empty())
        producers[output] = nodes.size();
    nodes.push_back({&node, {}, false, false});
  }
  return success();
}

void StepGraph::need(StringRef value, Place place, bool all, bool wanted) {
  auto found = producers.find(value);
  if (value.empty() || found == producers.end() || !(all || wanted))
    return;
  StepGraphNode &node = nodes[found->second];
  // Read from two places, it stands outside of both.
  if (node.place && !(*node.place == place))
    place = Place();
  node.place = place;
  node.all |= all;
  node.wanted |= wanted;
}

LogicalResult StepGraph::analyze(MLIRContext *context) {
  if (failed(collect(context)))
    return failure();
  need("logits", Place(), false, true);
  for (StepGraphNode &node : llvm::reverse(nodes)) {
    if (!node.isNeeded())
      continue;
    // Outside of routes the wanted rows are picked from all.
    if (!node.place->route && node.all)
      node.wanted = false;
    if (failed(needInputs(node)))
      return failure();
  }
  std::reverse(attentions.begin(), attentions.end());
  return success();
}

LogicalResult StepGraph::needInputs(StepGraphNode &node) {
  const onnx::NodeProto &proto = *node.proto;
  if (proto.op_type() == "Attention" && !isVerbCall(proto))
    return needAttention(node);
  if (isVerbCall(proto, "Route"))
    return needRoute(node);
  // Of the sequences' order, not of what the inputs hold.
  if (isVerbCall(proto, "CausalMask"))
    return success();
  if (isVerbCall(proto, "EvictMask") || isVerbCall(proto, "CopyRows"))
    return fail(proto, "is not read by an Attention alone");
  if (isVerbCall(proto, "Keep")) {
    if (node.place->route)
      return fail(proto, "decides within what another Route decides");
    need(inputOf(proto, 0), Place(), true, false);
    need(inputOf(proto, 2), Place(), true, false);
    return success();
  }
  bool chooses = false;
  eachSubgraph(proto, [&](const onnx::GraphProto &) { chooses = true; });
  if (chooses)
    return fail(proto, "chooses between graphs at run time, but a session "
                       "computes one");
  for (const std::string &name : proto.input())
    need(name, *node.place, node.all, node.wanted);
  return success();
}

LogicalResult StepGraph::needRoute(StepGraphNode &node) {
  const onnx::NodeProto &proto = *node.proto;
  if (node.place->route)
    return fail(proto, "stands within another Route");
  const onnx::NodeProto *keep = producer(inputOf(proto, 0));
  if (!keep || !isVerbCall(*keep, "Keep"))
    return fail(proto, "has a keep that is not the one of ai.qtale::Keep");
  // Decisions are recorded for every row.
  need(inputOf(proto, 0), Place(), true, false);
  need(inputOf(proto, 1), Place{&proto, false}, node.all, node.wanted);
  need(inputOf(proto, 2), Place{&proto, true}, node.all, node.wanted);
  return success();
}

//===----------------------------------------------------------------------===//
// Attention
//===----------------------------------------------------------------------===//

/// That a token sees the earlier ones of its sequence, and nothing else.
bool StepGraph::isCausalMask(StringRef value) const {
  const onnx::NodeProto *mask = producer(value);
  return mask && isVerbCall(*mask, "CausalMask") && mask->output_size() > 1 &&
         mask->output(1) == value && inputOf(*mask, 0) == "input_ids" &&
         inputOf(*mask, 1) == "attention_mask";
}

LogicalResult StepGraph::needAttention(StepGraphNode &node) {
  const onnx::NodeProto &proto = *node.proto;
  Keys &own = keys[&proto];
  if (failed(findKeys(node, own)))
    return failure();
  attentions.push_back(&proto);
  need(inputOf(proto, 0), *node.place, node.all, node.wanted);
  bool everyRow = own.policy == Keys::Own || own.policy == Keys::Compute;
  for (StringRef name : {StringRef(own.key), StringRef(own.value)})
    need(name, everyRow ? Place() : *node.place, true, false);
  return success();
}

LogicalResult StepGraph::findKeys(const StepGraphNode &node, Keys &own) {
  const onnx::NodeProto &proto = *node.proto;
  const onnx::NodeProto *route = node.place->route;
  if (node.place->skipped)
    return fail(proto, "runs for the rows that a Route skips");
  own.key = inputOf(proto, 1);
  own.value = inputOf(proto, 2);
  StringRef mask = inputOf(proto, 3);
  const onnx::NodeProto *verb = producer(mask);
  if (verb && isVerbCall(*verb, "EvictMask") && verb->output(0) == mask &&
      isCausalMask(inputOf(*verb, 0))) {
    if (!route || inputOf(*verb, 2) != inputOf(*route, 0))
      return fail(proto, "has a mask of ai.qtale::EvictMask whose keep is not "
                         "that of the Route which it stands in");
    own.policy = Keys::Evict;
    return success();
  }
  bool causal = llvm::any_of(proto.attribute(), [](const auto &attribute) {
    return attribute.name() == "is_causal" && attribute.i();
  });
  if (mask.empty() ? !causal : !isCausalMask(mask))
    return fail(proto, mask.empty() ? "has no mask and is not causal"
                                    : "has a mask that is not the one of "
                                      "ai.qtale::CausalMask");
  own.policy = route ? Keys::Compute : Keys::Own;
  const onnx::NodeProto *copy = producer(own.key);
  if (!copy || !isVerbCall(*copy, "CopyRows"))
    return success();
  if (!route)
    return fail(proto,
                "has keys of ai.qtale::CopyRows, but stands in no Route");
  return findBelow(proto, own);
}

LogicalResult StepGraph::findBelow(const onnx::NodeProto &proto, Keys &own) {
  const onnx::NodeProto *copies[] = {producer(own.key), producer(own.value)};
  const onnx::NodeProto *route =
      nodes[producers.lookup(proto.output(0))].place->route;
  for (const onnx::NodeProto *copy : copies)
    if (!copy || !isVerbCall(*copy, "CopyRows") ||
        inputOf(*copy, 0) != inputOf(*route, 0))
      return fail(proto, "has keys or values that are not those of "
                         "ai.qtale::CopyRows with the keep of its Route");
  for (const StepGraphNode &other : nodes) {
    if (other.proto == &proto)
      break;
    if (other.proto->op_type() == "Attention" &&
        inputOf(*other.proto, 1) == inputOf(*copies[0], 2) &&
        inputOf(*other.proto, 2) == inputOf(*copies[1], 2))
      own.below = other.proto;
  }
  if (!own.below)
    return fail(proto, "copies keys and values that are not those of an "
                       "Attention before it");
  own.policy = Keys::Copy;
  own.key = inputOf(*copies[0], 1);
  own.value = inputOf(*copies[1], 1);
  return success();
}
