//===- StepGraph.h - What @step computes, for which rows, and where -------===//
//
//                       ┌ executed ┐
//    x ── router ─ keep ┤  cone of ├ Route ── y ── …
//     └─────────────────┤  nodes   │
//                       └ skipped ─┘
//
// A node whose results only a Route's `executed` reads stands in that route's
// region: it is computed for the rows that are kept, nowhere else. So what a
// region holds follows from the graph, whatever the layer is made of.
//
// `logits` are wanted of some rows only. Keys and values are needed of all, and
// what they are computed from; the rest follows the wanted ones.
//
//===----------------------------------------------------------------------===//

#ifndef QTALE_LIB_IMPORT_ONNX_STEPGRAPH_H
#define QTALE_LIB_IMPORT_ONNX_STEPGRAPH_H

#include "Model.h"

#include "llvm/ADT/StringMap.h"

namespace qtale::onnx_import {

/// Where a node stands: outside of routes, or in one of a route's regions.
struct Place {
  const onnx::NodeProto *route = nullptr;
  bool skipped = false;

  bool operator==(const Place &other) const {
    return route == other.route && skipped == other.skipped;
  }
};

/// A node and who needs its results: no rows, the wanted ones, all.
struct StepGraphNode {
  const onnx::NodeProto *proto;
  std::optional<Place> place;
  bool all = false, wanted = false;

  bool isNeeded() const { return all || wanted; }
};

/// How an Attention node's keys and values come into its cache.
struct Keys {
  enum Policy {
    Own,     // outside of routes: of every row
    Evict,   // of the rows that are kept; the cache is ragged
    Compute, // of every row, before the route
    Copy,    // of the rows that are kept, else the entry of `below`
  } policy = Own;
  /// K and V as the node's own rows have them.
  std::string key, value;
  /// Copy: the Attention whose entries are taken over.
  const onnx::NodeProto *below = nullptr;
};

class StepGraph {
public:
  explicit StepGraph(const Model &model) : model(model) {}

  /// On failure `reason` says why there is no session, and `failedAt` where.
  llvm::LogicalResult analyze(mlir::MLIRContext *context);

  /// In an order in which values are made before they are used.
  std::vector<StepGraphNode> nodes;
  llvm::StringMap<const onnx::ValueInfoProto *> inputs;
  /// Needed Attention nodes in order, and how each fills its cache.
  std::vector<const onnx::NodeProto *> attentions;
  llvm::DenseMap<const onnx::NodeProto *, Keys> keys;

  std::string reason;
  const onnx::NodeProto *failedAt = nullptr;

  /// The node that makes a value; null for inputs and initializers.
  const onnx::NodeProto *producer(llvm::StringRef value) const;

private:
  llvm::LogicalResult fail(const onnx::NodeProto &node,
                           const llvm::Twine &message);
  /// Nodes with verbs in place of their bodies.
  llvm::LogicalResult collect(mlir::MLIRContext *context);
  void need(llvm::StringRef value, Place place, bool all, bool wanted);
  llvm::LogicalResult needInputs(StepGraphNode &node);
  llvm::LogicalResult needAttention(StepGraphNode &node);
  llvm::LogicalResult needRoute(StepGraphNode &node);
  llvm::LogicalResult findKeys(const StepGraphNode &node, Keys &keys);
  llvm::LogicalResult findBelow(const onnx::NodeProto &node, Keys &keys);
  bool isCausalMask(llvm::StringRef value) const;

  const Model &model;
  onnx::GraphProto graph;
  llvm::StringMap<unsigned> producers;
};

/// Input i of a node; empty where it has none.
inline llvm::StringRef inputOf(const onnx::NodeProto &node, int i) {
  return i < node.input_size() ? llvm::StringRef(node.input(i))
                               : llvm::StringRef();
}

/// Whether the node is a verb of `ai.qtale`, of this name where one is given.
bool isVerbCall(const onnx::NodeProto &node, llvm::StringRef name = "");

} // namespace qtale::onnx_import

#endif // QTALE_LIB_IMPORT_ONNX_STEPGRAPH_H
