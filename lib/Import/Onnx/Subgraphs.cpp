//===- Subgraphs.cpp - Graphs within nodes --------------------------------===//
//
//   then { w = …, a = Add (x, w) }        then { a = Add (x, w) }
//   else { w = …, a = Mul (x, w) }   ─▶   else { a.1 = Mul (x, w.1) }
//                                         w = …, w.1 = … of the model
//
//===----------------------------------------------------------------------===//

#include "Subgraphs.h"

#include "mlir/IR/Diagnostics.h"
#include "llvm/ADT/StringSet.h"

using namespace llvm;
using namespace mlir;
using namespace qtale::onnx_import;

void qtale::onnx_import::eachSubgraph(
    const onnx::NodeProto &node,
    llvm::function_ref<void(const onnx::GraphProto &)> visit) {
  for (const onnx::AttributeProto &attribute : node.attribute()) {
    if (attribute.has_g())
      visit(attribute.g());
    for (const onnx::GraphProto &graph : attribute.graphs())
      visit(graph);
  }
}

void qtale::onnx_import::eachSubgraph(
    onnx::NodeProto &node, llvm::function_ref<void(onnx::GraphProto &)> visit) {
  for (onnx::AttributeProto &attribute : *node.mutable_attribute()) {
    if (attribute.has_g())
      visit(*attribute.mutable_g());
    for (onnx::GraphProto &graph : *attribute.mutable_graphs())
      visit(graph);
  }
}

void qtale::onnx_import::eachGraph(
    onnx::GraphProto &graph,
    llvm::function_ref<void(onnx::GraphProto &)> visit) {
  visit(graph);
  for (onnx::NodeProto &node : *graph.mutable_node())
    eachSubgraph(node,
                 [&](onnx::GraphProto &inner) { eachGraph(inner, visit); });
}

/// Names that a graph gives to values of its own.
static void eachDefinition(const onnx::GraphProto &graph,
                           llvm::function_ref<void(StringRef)> visit) {
  for (const onnx::ValueInfoProto &input : graph.input())
    visit(input.name());
  for (const onnx::TensorProto &tensor : graph.initializer())
    visit(tensor.name());
  for (const onnx::NodeProto &node : graph.node())
    for (const std::string &output : node.output())
      if (!output.empty())
        visit(output);
}

void qtale::onnx_import::eachUse(const onnx::NodeProto &node,
                                 llvm::function_ref<void(StringRef)> visit) {
  for (const std::string &input : node.input())
    if (!input.empty())
      visit(input);
  eachSubgraph(node, [&](const onnx::GraphProto &graph) {
    llvm::StringSet<> own;
    eachDefinition(graph, [&](StringRef name) { own.insert(name); });
    auto outer = [&](StringRef name) {
      if (!own.contains(name))
        visit(name);
    };
    for (const onnx::NodeProto &inner : graph.node())
      eachUse(inner, outer);
    for (const onnx::ValueInfoProto &output : graph.output())
      outer(output.name());
  });
}

//===----------------------------------------------------------------------===//
// Names
//===----------------------------------------------------------------------===//

namespace {

/// Names that are taken, and new ones.
class Names {
public:
  explicit Names(onnx::GraphProto &graph) {
    eachGraph(graph, [&](onnx::GraphProto &each) {
      eachDefinition(each, [&](StringRef name) { ++definitions[name]; });
    });
  }

  unsigned count(StringRef name) const { return definitions.lookup(name); }

  std::string fresh(StringRef name) {
    unsigned &last = suffixes[name];
    std::string result;
    do
      result = (name + "." + Twine(++last)).str();
    while (definitions.count(result));
    ++definitions[result];
    return result;
  }

private:
  StringMap<unsigned> definitions, suffixes;
};

using Renaming = StringMap<std::string>;

} // namespace

static void rename(std::string &name, const Renaming &to) {
  auto found = to.find(name);
  if (found != to.end())
    name = found->second;
}

/// Renames uses in a graph, also where graphs within take them.
static void renameUses(onnx::GraphProto &graph, const Renaming &to) {
  for (onnx::NodeProto &node : *graph.mutable_node()) {
    for (std::string &input : *node.mutable_input())
      rename(input, to);
    eachSubgraph(node, [&](onnx::GraphProto &inner) {
      Renaming seen = to;
      eachDefinition(inner, [&](StringRef name) { seen.erase(name); });
      if (!seen.empty())
        renameUses(inner, seen);
    });
  }
  for (onnx::ValueInfoProto &output : *graph.mutable_output())
    rename(*output.mutable_name(), to);
}

void qtale::onnx_import::nameValuesApart(onnx::GraphProto &graph) {
  Names names(graph);
  llvm::StringSet<> taken;
  eachGraph(graph, [&](onnx::GraphProto &each) {
    Renaming to;
    eachDefinition(each, [&](StringRef name) {
      if (&each == &graph)
        taken.insert(name);
      else if (!taken.insert(name).second)
        to[name] = names.fresh(name);
    });
    if (to.empty())
      return;
    for (onnx::ValueInfoProto &input : *each.mutable_input())
      rename(*input.mutable_name(), to);
    for (onnx::NodeProto &node : *each.mutable_node())
      for (std::string &output : *node.mutable_output())
        rename(output, to);
    renameUses(each, to);
  });
}

//===----------------------------------------------------------------------===//
// Initializers
//===----------------------------------------------------------------------===//

LogicalResult qtale::onnx_import::liftInitializers(MLIRContext *context,
                                                   Model &model) {
  onnx::GraphProto &graph = *model.proto.mutable_graph();
  Names names(graph);
  LogicalResult result = success();
  eachGraph(graph, [&](onnx::GraphProto &each) {
    if (&each == &graph || each.initializer().empty())
      return;
    llvm::StringSet<> others;
    for (const onnx::ValueInfoProto &output : each.output())
      others.insert(output.name());
    Renaming to;
    for (onnx::TensorProto &tensor : *each.mutable_initializer()) {
      std::string name = tensor.name();
      // A graph gives results of its nodes, so that one gets a name of its own.
      bool isOutput = others.contains(name);
      if (names.count(name) > 1 || isOutput) {
        if (!to.try_emplace(name, names.fresh(name)).second)
          result = emitError(model.loc(context))
                   << "two initializers of one graph are named '" << name
                   << "'";
        tensor.set_name(to[name]);
      }
      *graph.add_initializer() = std::move(tensor);
    }
    each.clear_initializer();
    for (const onnx::NodeProto &node : each.node())
      for (const std::string &output : node.output())
        if (to.count(output))
          result = emitError(model.loc(context, node))
                   << "gives a result the name of an initializer, '" << output
                   << "'";
    std::vector<std::string> outputs;
    for (onnx::ValueInfoProto &output : *each.mutable_output()) {
      outputs.push_back(output.name());
      if (to.count(output.name()))
        output.set_name(names.fresh(output.name()));
    }
    renameUses(each, to);
    for (auto [old, output] : llvm::zip_equal(outputs, each.output())) {
      auto source = to.find(old);
      if (source == to.end())
        continue;
      onnx::NodeProto &node = *each.add_node();
      node.set_op_type("Identity");
      node.add_input(source->second);
      node.add_output(output.name());
    }
  });
  return result;
}

//===----------------------------------------------------------------------===//
// Branches
//===----------------------------------------------------------------------===//

StringRef qtale::onnx_import::firstResult(const onnx::NodeProto &node) {
  for (const std::string &output : node.output())
    if (!output.empty())
      return output;
  return "";
}

/// The branch's nodes, then its results under the names of the If node's.
static void takeBranch(onnx::NodeProto &node, onnx::GraphProto &branch,
                       onnx::GraphProto &into) {
  for (onnx::NodeProto &inner : *branch.mutable_node())
    *into.add_node() = std::move(inner);
  for (int i = 0; i < node.output_size(); ++i) {
    if (node.output(i).empty())
      continue;
    onnx::NodeProto &identity = *into.add_node();
    identity.set_name(node.name());
    identity.set_op_type("Identity");
    identity.add_input(branch.output(i).name());
    identity.add_output(node.output(i));
  }
}

void qtale::onnx_import::takeBranches(onnx::GraphProto &graph,
                                      const Branches &taken) {
  if (taken.empty())
    return;
  onnx::GraphProto result;
  for (onnx::NodeProto &node : *graph.mutable_node()) {
    eachSubgraph(node,
                 [&](onnx::GraphProto &inner) { takeBranches(inner, taken); });
    auto known = taken.find(firstResult(node));
    if (node.op_type() != "If" || known == taken.end()) {
      *result.add_node() = std::move(node);
      continue;
    }
    for (onnx::AttributeProto &attribute : *node.mutable_attribute())
      if (attribute.name() == (known->second ? "then_branch" : "else_branch"))
        takeBranch(node, *attribute.mutable_g(), result);
  }
  graph.mutable_node()->Swap(result.mutable_node());
}
