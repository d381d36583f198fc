//===- Inference.cpp - ONNX's inference, within limits ------------------===//
//
//   Shape -> Slice -> Concat -> Reshape      ONNX computes such lists, too
//
// It makes an entry for each element of each vector, be it known or not, and
// counts a slice's steps in 32 bits, where a large one is 0 or leaves the list.
// So it sees operators whose propagation first asks whether the lists are as
// short as shapes are, and steps as small. Others are not propagated, and what it
// refuses to compute is left to the importer.
//
// It cuts axes down to 32 bits and takes what is left for an index, and does not
// get past a character of an equation that has no meaning.
//
//===----------------------------------------------------------------------===//

#include "Inference.h"
#include "Subgraphs.h"

#include "onnx/defs/schema.h"
#include "onnx/shape_inference/implementation.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringSet.h"
#include <map>

using namespace llvm;
using namespace mlir;
using namespace qtale::onnx_import;

/// Whether the operands of an equation are letters and at most one "..." each.
static bool hasOnlyLetters(std::string equation) {
  llvm::erase(equation, ' ');
  StringRef operands = StringRef(equation).split("->").first;
  return llvm::all_of(llvm::split(operands, ','), [](StringRef text) {
    auto [before, after] = text.split("...");
    return llvm::all_of(before, isAlpha) && llvm::all_of(after, isAlpha);
  });
}

namespace {

/// Checks attributes of these names, and those of functions' calls that become
/// one of them.
class AttributeCheck {
public:
  AttributeCheck(MLIRContext *context, const Model &model)
      : context(context), model(model) {}

  LogicalResult run() {
    const onnx::ModelProto &proto = model.proto;
    // Functions call functions: until there are no more names.
    for (unsigned known = 0; known != names.size();) {
      known = names.size();
      for (const onnx::FunctionProto &function : proto.functions())
        collect(function.node());
    }
    for (const onnx::FunctionProto &function : proto.functions())
      if (failed(check(function.attribute_proto(), function.name(),
                       model.loc(context))) ||
          failed(check(function.node())))
        return failure();
    return check(proto.graph().node());
  }

private:
  using Nodes = google::protobuf::RepeatedPtrField<onnx::NodeProto>;
  using Attributes = google::protobuf::RepeatedPtrField<onnx::AttributeProto>;

  /// What a function's attributes are called that become such attributes.
  void collect(const Nodes &nodes) {
    for (const onnx::NodeProto &node : nodes) {
      for (const onnx::AttributeProto &attribute : node.attribute())
        if (!attribute.ref_attr_name().empty() &&
            names.contains(attribute.name()))
          names.insert(attribute.ref_attr_name());
      eachSubgraph(
          node, [&](const onnx::GraphProto &inner) { collect(inner.node()); });
    }
  }

  LogicalResult check(const Nodes &nodes) {
    for (const onnx::NodeProto &node : nodes) {
      LogicalResult inside =
          check(node.attribute(), node.op_type(), model.loc(context, node));
      eachSubgraph(node, [&](const onnx::GraphProto &inner) {
        if (succeeded(inside))
          inside = check(inner.node());
      });
      if (failed(inside))
        return failure();
    }
    return success();
  }

  LogicalResult check(const Attributes &attributes, StringRef owner,
                      Location loc) {
    constexpr int64_t most = 1 << 16;
    for (const onnx::AttributeProto &attribute : attributes) {
      if (!names.contains(attribute.name()))
        continue;
      SmallVector<int64_t> axes(attribute.ints().begin(),
                                attribute.ints().end());
      axes.push_back(attribute.i());
      for (int64_t axis : axes)
        if (axis < -most || axis > most)
          return emitError(loc)
                 << owner << ": attribute '" << attribute.name()
                 << "' names axis " << axis << ", which no tensor has";
      if (!hasOnlyLetters(attribute.s()))
        return emitError(loc)
               << owner << ": attribute '" << attribute.name()
               << "' has more than letters, '...' and ',' before its '->'";
    }
    return success();
  }

  MLIRContext *context;
  const Model &model;
  llvm::StringSet<> names{"axis", "axes", "equation"};
};

} // namespace

LogicalResult qtale::onnx_import::checkAttributes(MLIRContext *context,
                                                  const Model &model) {
  return AttributeCheck(context, model).run();
}

/// Longer than all lists that shapes are made of.
static constexpr int64_t mostEntries = 1024;

/// Whether a node's inputs are so short that values may be propagated.
static bool areShort(onnx::DataPropagationContext &context) {
  int64_t total = 0;
  for (size_t i = 0; i < context.getNumInputs(); ++i) {
    const onnx::TypeProto *type = context.getInputType(i);
    const auto &shape = type ? type->tensor_type().shape()
                             : onnx::TensorShapeProto::default_instance();
    // Asking for the value already makes the entries.
    if (shape.dim_size() == 1 && shape.dim(0).dim_value() > mostEntries)
      return false;
    // A vector whose length the types don't tell may have a value all the same.
    if (const onnx::TensorShapeProto *value = context.getInputData(i))
      total += value->dim_size();
    if (total > mostEntries)
      return false;
  }
  return true;
}

static bool hasSmallStep(onnx::DataPropagationContext &context) {
  if (context.getNumInputs() < 5)
    return true;
  const onnx::TensorShapeProto *steps = context.getInputData(4);
  if (!steps)
    return true;
  for (const auto &step : steps->dim())
    if (step.dim_value() < -mostEntries || step.dim_value() > mostEntries)
      return false;
  return true;
}

namespace {

class Guarded : public onnx::ISchemaRegistry {
public:
  const onnx::OpSchema *GetSchema(const std::string &name, int version,
                                  const std::string &domain) const override {
    const onnx::OpSchema *schema =
        onnx::OpSchemaRegistry::Schema(name, version, domain);
    if (!schema || !schema->has_data_propagation_function())
      return schema;
    auto [place, isNew] = guarded.try_emplace(schema, *schema);
    if (isNew)
      place->second.PartialDataPropagationFunction(
          [propagate = schema->GetDataPropagationFunction(),
           isSlice = name == "Slice"](onnx::DataPropagationContext &context) {
            if (!areShort(context) || (isSlice && !hasSmallStep(context)))
              return;
            try {
              propagate(context);
            } catch (const onnx::InferenceError &) {
              // Numbers that wrap, for one, are no shape, but no error either;
              // what is one, its builder says.
            }
          });
    return &place->second;
  }

private:
  mutable std::map<const onnx::OpSchema *, onnx::OpSchema> guarded;
};

} // namespace

void qtale::onnx_import::inferShapes(onnx::ModelProto &model) {
  Guarded schemas;
  onnx::shape_inference::InferShapes(
      model, &schemas,
      onnx::ShapeInferenceOptions(/*check_type=*/true, /*error_mode=*/1,
                                  /*data_propagation=*/true));
}
