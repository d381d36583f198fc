//===- NormalizeModel.cpp - One form of ONNX for the builders -------------===//
//
//   supported?  all nodes, also those in functions, are in the node table
//   sorted      values are made before they are used
//   checked     ONNX's checker
//   inlined     verb functions too, whose calls are noted; before the
//               conversion, which drops functions
//   converted   older opsets -> the table's
//   inferred    shapes, with data propagation
//
//===----------------------------------------------------------------------===//

#include "Inference.h"
#include "Model.h"
#include "NodeTable.h"
#include "OldOperators.h"
#include "Subgraphs.h"
#include "VerbFunctions.h"

#include "mlir/IR/Diagnostics.h"
#include "onnx/checker.h"
#include "onnx/defs/schema.h"
#include "onnx/inliner/inliner.h"
#include "onnx/version_converter/convert.h"
#include "llvm/ADT/StringSet.h"

using namespace llvm;
using namespace mlir;
using namespace qtale::onnx_import;

/// Runs one of ONNX's own passes, whose errors are exceptions.
static LogicalResult guarded(MLIRContext *context, Model &model, StringRef what,
                             llvm::function_ref<void()> run) {
  try {
    run();
    return success();
  } catch (const std::exception &e) {
    return emitError(model.loc(context))
           << what << ": " << StringRef(e.what()).trim();
  } catch (...) {
    return emitError(model.loc(context)) << what << " for unknown reasons";
  }
}

static int64_t defaultOpset(
    const google::protobuf::RepeatedPtrField<onnx::OperatorSetIdProto> &sets) {
  for (const auto &set : sets)
    if (set.domain().empty() || set.domain() == "ai.onnx")
      return set.version();
  return 0;
}

std::string qtale::onnx_import::operatorName(const onnx::NodeProto &node) {
  return (node.domain().empty() ? "ai.onnx" : node.domain()) +
         "::" + node.op_type();
}

static constexpr StringLiteral unsupportedDomain("qtale.unsupported");

namespace {

/// All nodes that no builder knows, in one diagnostic.
class Unsupported {
public:
  Unsupported(Model &model) : model(model) {
    for (auto &function : *model.proto.mutable_functions())
      functions[key(function.domain(), function.name())] = &function;
    onnx::ModelProto &proto = model.proto;
    visit(*proto.mutable_graph()->mutable_node(), model.opset,
          *proto.mutable_opset_import());
  }

  bool none() const { return nodes.empty(); }

  void report(MLIRContext *context) {
    auto diagnostic =
        emitError(model.loc(context))
        << (nodes.size() == 1 ? "an operator is" : "operators are")
        << " not supported:";
    for (auto &[name, users] : nodes) {
      model.unsupported.insert(name);
      diagnostic << "\n  " << name;
      if (users.size() > 1)
        diagnostic << " (" << users.size() << " nodes)";
      diagnostic << ": ";
      unsigned shown = std::min<unsigned>(users.size(), 3);
      for (unsigned i = 0; i < shown; ++i)
        diagnostic << (i ? ", '" : "'") << users[i] << "'";
      if (shown < users.size())
        diagnostic << ", ...";
      if (auto reason = reasons.find(name); reason != reasons.end())
        diagnostic << "; " << reason->second;
    }
    diagnostic << "\nexport the model with standard operators of opset "
               << tableOpset
               << " (without runtime-specific fusions), or remove these nodes";
  }

private:
  static std::string key(StringRef domain, StringRef name) {
    return (domain == "ai.onnx" ? "" : domain).str() + "::" + name.str();
  }

  using Nodes = google::protobuf::RepeatedPtrField<onnx::NodeProto>;
  using Opsets = google::protobuf::RepeatedPtrField<onnx::OperatorSetIdProto>;

  void visit(Nodes &list, int64_t opset, Opsets &imports) {
    for (onnx::NodeProto &node : list) {
      eachSubgraph(node, [&](onnx::GraphProto &graph) {
        visit(*graph.mutable_node(), opset, imports);
      });
      auto function = functions.find(key(node.domain(), node.op_type()));
      if (function != functions.end()) {
        if (visited.insert(function->first()).second) {
          onnx::FunctionProto &body = *function->second;
          int64_t own = defaultOpset(body.opset_import());
          visit(*body.mutable_node(), own ? own : opset,
                *body.mutable_opset_import());
        }
        continue;
      }
      if (lookupBuilder(node.domain(), node.op_type(), opset))
        continue;
      std::string name = operatorName(node);
      auto known = places.try_emplace(name, nodes.size());
      if (known.second)
        nodes.push_back({name, {}});
      std::string reason =
          unknownRevision(node.domain(), node.op_type(), opset);
      if (name == "ai.onnx::Loop" || name == "ai.onnx::Scan")
        reason = "loops over graphs are not compiled; unroll it";
      if (!reason.empty())
        reasons.try_emplace(name, reason);
      nodes[known.first->second].second.push_back(nodeName(node));
      hide(node, opset, imports);
    }
  }

  /// What ONNX does not know either moves to a domain of which it asks nothing:
  /// the rest of the model is then checked as usual.
  void hide(onnx::NodeProto &node, int64_t opset, Opsets &imports) {
    bool isDefault = node.domain().empty() || node.domain() == "ai.onnx";
    if (!isDefault || onnx::OpSchemaRegistry::Schema(node.op_type(), opset, ""))
      return;
    node.set_domain(unsupportedDomain.str());
    model.unsupported.insert(operatorName(node));
    if (llvm::any_of(imports, [](const onnx::OperatorSetIdProto &set) {
          return set.domain() == unsupportedDomain;
        }))
      return;
    onnx::OperatorSetIdProto &set = *imports.Add();
    set.set_domain(unsupportedDomain.str());
    set.set_version(1);
  }

  Model &model;
  StringMap<onnx::FunctionProto *> functions;
  llvm::StringSet<> visited;
  /// Operators in the order of their appearance, with their nodes.
  SmallVector<std::pair<std::string, SmallVector<std::string>>> nodes;
  StringMap<unsigned> places;
  /// Of operators that are known, or other opsets have: why not.
  StringMap<std::string> reasons;
};

} // namespace

LogicalResult qtale::onnx_import::sortNodes(MLIRContext *context,
                                            const Model &model,
                                            onnx::GraphProto &graph) {
  auto &nodes = *graph.mutable_node();
  StringMap<int> producer;
  for (int i = 0; i < nodes.size(); ++i)
    for (const std::string &output : nodes[i].output())
      if (!output.empty())
        producer.try_emplace(output, i);

  std::vector<int> missing(nodes.size(), 0);
  std::vector<SmallVector<int, 2>> users(nodes.size());
  for (int i = 0; i < nodes.size(); ++i) {
    LogicalResult inside = success();
    eachSubgraph(nodes[i], [&](onnx::GraphProto &inner) {
      if (succeeded(inside))
        inside = sortNodes(context, model, inner);
    });
    if (failed(inside))
      return failure();
    eachUse(nodes[i], [&](StringRef input) {
      auto it = producer.find(input);
      if (it == producer.end())
        return;
      ++missing[i];
      users[it->second].push_back(i);
    });
  }

  // Ready nodes in their old order, so that a sorted graph stays as it is.
  std::vector<int> order;
  std::set<int> ready;
  for (int i = 0; i < nodes.size(); ++i)
    if (!missing[i])
      ready.insert(i);
  while (!ready.empty()) {
    int i = *ready.begin();
    ready.erase(ready.begin());
    order.push_back(i);
    for (int user : users[i])
      if (--missing[user] == 0)
        ready.insert(user);
  }
  if ((int)order.size() < nodes.size()) {
    int first = 0;
    while (!missing[first])
      ++first;
    return emitError(model.loc(context, nodes[first]))
           << "node needs its own result: the graph has a cycle";
  }
  google::protobuf::RepeatedPtrField<onnx::NodeProto> sorted;
  sorted.Reserve(nodes.size());
  for (int i : order)
    *sorted.Add() = std::move(*nodes.Mutable(i));
  nodes.Swap(&sorted);
  return success();
}

static void noteVerbs(MLIRContext *context, Model &model) {
  StringMap<const onnx::FunctionProto *> edited;
  llvm::StringSet<> verbs;
  for (const onnx::FunctionProto &function : model.proto.functions()) {
    if (function.domain() != verbDomain)
      continue;
    if (isVerb(function))
      verbs.insert(function.name());
    else
      edited[function.name()] = &function;
  }
  llvm::StringSet<> remarked;
  for (const onnx::NodeProto &node : model.proto.graph().node()) {
    if (node.domain() != verbDomain)
      continue;
    if (edited.count(node.op_type()) && remarked.insert(node.op_type()).second)
      emitRemark(model.loc(context, node))
          << "the body of " << verbDomain << "::" << node.op_type()
          << " is not the one that the compiler knows by this name; it is "
             "inlined like any function";
    if (verbs.count(node.op_type()))
      model.verbs.push_back(node);
  }
}

namespace {

/// How many nodes there are once functions stand in the place of their calls.
/// A few functions of a few calls each make millions.
class InlinedNodes {
public:
  static constexpr int64_t most = 1 << 18;

  InlinedNodes(const onnx::ModelProto &model) {
    for (const onnx::FunctionProto &function : model.functions())
      functions[key(function.domain(), function.name(), function.overload())] =
          &function;
  }

  /// More than `most` are not counted on.
  template <typename Nodes> int64_t count(const Nodes &nodes) {
    int64_t total = 0;
    for (const onnx::NodeProto &node : nodes) {
      total += 1 + called(key(node.domain(), node.op_type(), node.overload()));
      eachSubgraph(node, [&](const onnx::GraphProto &graph) {
        total += count(graph.node());
      });
      if (total > most)
        return most + 1;
    }
    return total;
  }

private:
  static std::string key(StringRef domain, StringRef name, StringRef overload) {
    return (domain == "ai.onnx" ? "" : domain).str() + "::" + name.str() +
           "::" + overload.str();
  }

  int64_t called(const std::string &name) {
    auto function = functions.find(name);
    if (function == functions.end())
      return 0;
    // Counted once; the checker has refused functions that call themselves.
    auto [place, isNew] = counts.try_emplace(name, 0);
    if (!isNew)
      return place->second;
    int64_t nodes = count(function->second->node());
    return counts[name] = nodes;
  }

  StringMap<const onnx::FunctionProto *> functions;
  StringMap<int64_t> counts;
};

} // namespace

static LogicalResult inlineFunctions(MLIRContext *context, Model &model) {
  onnx::ModelProto &proto = model.proto;
  if (!proto.functions_size())
    return success();
  if (InlinedNodes(proto).count(proto.graph().node()) > InlinedNodes::most)
    return emitError(model.loc(context))
           << "with its functions inlined, the model has more than "
           << InlinedNodes::most
           << " nodes; export it with fewer calls of functions within "
              "functions";
  noteVerbs(context, model);
  return guarded(context, model, "ONNX can't inline the functions", [&] {
    // A function of another opset is converted, for which types are needed.
    inferWhatFits(proto);
    onnx::inliner::InlineLocalFunctions(proto, /*convert_version=*/true);
  });
}

static LogicalResult convert(MLIRContext *context, Model &model) {
  if (model.opset >= tableOpset)
    return success();
  onnx::ModelProto &proto = model.proto;
  auto metadata = proto.metadata_props();
  OldClips clips(*proto.mutable_graph()->mutable_node(), model.opset);
  if (failed(guarded(context, model, "shapes or types don't fit",
                     [&] { inferWhatFits(proto); })) ||
      failed(guarded(
          context, model,
          "ONNX can't convert the model from opset " +
              std::to_string(model.opset) + " to " + std::to_string(tableOpset),
          [&] {
            proto = onnx::version_conversion::ConvertVersion(proto, tableOpset);
          })))
    return failure();
  clips.restore(*proto.mutable_graph()->mutable_node());
  *proto.mutable_metadata_props() = metadata;
  model.opset = tableOpset;
  return success();
}

/// Every node has the inputs that its operator asks for: ONNX's checker counts
/// them, but lets a name be empty, and a function be called with fewer.
static LogicalResult checkInputs(MLIRContext *context, const Model &model,
                                 const onnx::GraphProto &graph) {
  for (const onnx::NodeProto &node : graph.node()) {
    LogicalResult inside = success();
    eachSubgraph(node, [&](const onnx::GraphProto &inner) {
      if (succeeded(inside))
        inside = checkInputs(context, model, inner);
    });
    if (failed(inside))
      return failure();
    const onnx::OpSchema *schema = onnx::OpSchemaRegistry::Schema(
        node.op_type(), model.opset,
        node.domain() == "ai.onnx" ? "" : node.domain());
    if (!schema)
      continue;
    for (auto [i, formal] : llvm::enumerate(schema->inputs())) {
      auto names =
          llvm::drop_begin(node.input(), std::min<int>(i, node.input_size()));
      bool lacks = false;
      if (formal.GetOption() == onnx::OpSchema::Single)
        lacks = names.empty() || names.begin()->empty();
      else if (formal.GetOption() == onnx::OpSchema::Variadic)
        lacks = llvm::any_of(
            names, [](const std::string &name) { return name.empty(); });
      if (!lacks)
        continue;
      return emitError(model.loc(context, node))
             << node.op_type() << ": lacks its input '" << formal.GetName()
             << "'; give it one, also where it stands in a function that is "
                "called with fewer inputs than it has";
    }
  }
  return success();
}

/// Inputs and outputs have a type and a rank.
static LogicalResult checkPorts(MLIRContext *context, Model &model) {
  auto check = [&](const auto &ports, StringRef what) -> LogicalResult {
    for (const onnx::ValueInfoProto &port : ports) {
      if (!port.type().has_tensor_type())
        return emitError(model.loc(context))
               << what << " '" << port.name()
               << "' is no tensor, but a sequence, map, optional or sparse "
                  "tensor; artifacts take and give tensors";
      if (!port.type().tensor_type().has_shape())
        return emitError(model.loc(context))
               << what << " '" << port.name()
               << "' has no shape; declare one, with symbols for what is not "
                  "known";
    }
    return success();
  };
  if (failed(check(model.proto.graph().input(), "input")))
    return failure();
  return check(model.proto.graph().output(), "output");
}

/// Everything that comes after the question which operators there are.
static LogicalResult normalize(MLIRContext *context, Model &model) {
  onnx::ModelProto &proto = model.proto;
  if (failed(sortNodes(context, model, *proto.mutable_graph())) ||
      failed(checkPorts(context, model)))
    return failure();
  if (failed(guarded(context, model, "ONNX's checker refuses the model",
                     [&] { onnx::checker::check_model(proto); })))
    return failure();
  // Outputs stay as the model declares them, which is checked at run time:
  // inference, also that before a conversion, adds to them, and not all of that
  // is true.
  auto outputs = proto.graph().output();
  flattenHardmax(*proto.mutable_graph()->mutable_node(), model.opset);
  for (onnx::FunctionProto &function : *proto.mutable_functions())
    if (int64_t opset = defaultOpset(function.opset_import()))
      flattenHardmax(*function.mutable_node(), opset);
  if (failed(inlineFunctions(context, model)) ||
      failed(convert(context, model)) ||
      failed(sortNodes(context, model, *proto.mutable_graph())) ||
      failed(liftInitializers(context, model)) ||
      failed(checkInputs(context, model, proto.graph())))
    return failure();
  // Functions and conversion have added values of their own to graphs within
  // nodes.
  nameValuesApart(*proto.mutable_graph());

  // What a file claims about values in the middle is not to be relied on.
  eachGraph(*proto.mutable_graph(), [&](onnx::GraphProto &graph) {
    graph.clear_value_info();
    if (&graph == &proto.graph())
      return;
    for (onnx::ValueInfoProto &output : *graph.mutable_output())
      if (output.type().has_tensor_type())
        output.mutable_type()->mutable_tensor_type()->clear_shape();
  });
  LogicalResult inferred = guarded(context, model, "shapes or types don't fit",
                                   [&] { inferShapes(proto); });
  proto.mutable_graph()->mutable_output()->Swap(&outputs);
  return inferred;
}

LogicalResult qtale::onnx_import::normalizeModel(MLIRContext *context,
                                                 Model &model) {
  model.opset = defaultOpset(model.proto.opset_import());
  if (!model.opset) // it asks for no standard operators
    model.opset = tableOpset;
  // Below the oldest it is tried: ONNX converts some operators.
  if (model.opset < 1 || model.opset > newestOpset)
    return emitError(model.loc(context))
           << "opset " << model.opset
           << " is not supported; export the model with opset " << oldestOpset
           << " to " << newestOpset;
  Unsupported unsupported(model);
  if (unsupported.none())
    return normalize(context, model);
  // The model goes on, so that what else is refused is told, too; but not what
  // ONNX says, which may follow from an operator that it does not know either.
  LogicalResult rest = [&] {
    ScopedDiagnosticHandler quiet(context, [](Diagnostic &) {});
    return normalize(context, model);
  }();
  unsupported.report(context);
  return rest;
}
