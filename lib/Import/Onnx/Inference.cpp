//===- Inference.cpp - ONNX's inference, within limits --------------------===//
//
//   Shape -> Slice -> Concat -> Reshape      ONNX computes such lists, too
//
// It makes an entry for each element of each vector, be it known or not, and
// counts a slice's steps in 32 bits, where a large one is 0 or leaves the list.
// So it sees operators whose propagation first asks whether the lists are as
// short as shapes are, and steps as small. Others are not propagated, and what it
// refuses to compute is left to the importer.
//
// It cuts axes down to 32 bits and takes what is left for an index, reads as many
// sizes as there are outputs from as many as an attribute says, does not get past a
// character of an equation that has no meaning, and makes a dimension for each of
// the numbers that a tensor is expanded to. Such nodes are refused before. ONNX's
// converter and inliner infer by themselves, so that theirs follows one of ours.
//
//===----------------------------------------------------------------------===//

#include "Inference.h"

#include "onnx/defs/schema.h"
#include "onnx/shape_inference/implementation.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/Twine.h"
#include <map>
#include <stdexcept>

using namespace llvm;
using namespace qtale::onnx_import;

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

/// Larger than any axis of a tensor.
static constexpr int64_t mostAxes = 1 << 16;

/// Whether the operands of an equation are letters and at most one "..." each.
static bool hasOnlyLetters(std::string equation) {
  llvm::erase(equation, ' ');
  StringRef operands = StringRef(equation).split("->").first;
  return llvm::all_of(llvm::split(operands, ','), [](StringRef text) {
    auto [before, after] = text.split("...");
    return llvm::all_of(before, isAlpha) && llvm::all_of(after, isAlpha);
  });
}

/// What inference takes on faith. Its own errors it may keep to itself.
static void checkAttributes(const onnx::InferenceContext &context) {
  auto refuse = [&](const Twine &why) {
    throw std::logic_error((context.getDisplayName() + ": " + why).str());
  };
  for (const char *name : {"axis", "axes"})
    if (const onnx::AttributeProto *attribute = context.getAttribute(name)) {
      SmallVector<int64_t> axes(attribute->ints().begin(),
                                attribute->ints().end());
      axes.push_back(attribute->i());
      for (int64_t axis : axes)
        if (axis < -mostAxes || axis > mostAxes)
          refuse("attribute '" + Twine(name) + "' names axis " + Twine(axis) +
                 ", which no tensor has");
    }
  const onnx::AttributeProto *equation = context.getAttribute("equation");
  if (equation && !hasOnlyLetters(equation->s()))
    refuse("attribute 'equation' has more than letters, '...' and ',' before "
           "its '->'");
  const onnx::AttributeProto *parts = context.getAttribute("num_outputs");
  if (parts && parts->i() != (int64_t)context.getNumOutputs())
    refuse("attribute 'num_outputs' is " + Twine(parts->i()) + " for " +
           Twine(context.getNumOutputs()) + " outputs");
}

static void checkExpansion(const onnx::InferenceContext &context) {
  const onnx::TypeProto *type = context.getInputType(1);
  if (type && type->tensor_type().shape().dim_size() == 1 &&
      type->tensor_type().shape().dim(0).dim_value() > mostAxes)
    throw std::logic_error(context.getDisplayName() +
                           ": has a shape of more axes than any tensor");
}

namespace {

class Guarded : public onnx::ISchemaRegistry {
public:
  const onnx::OpSchema *GetSchema(const std::string &name, int version,
                                  const std::string &domain) const override {
    const onnx::OpSchema *schema =
        onnx::OpSchemaRegistry::Schema(name, version, domain);
    if (!schema)
      return nullptr;
    auto [place, isNew] = guarded.try_emplace(schema, *schema);
    if (isNew && schema->has_type_and_shape_inference_function())
      place->second.TypeAndShapeInferenceFunction(
          [infer = schema->GetTypeAndShapeInferenceFunction(),
           isExpand = name == "Expand"](onnx::InferenceContext &context) {
            checkAttributes(context);
            if (isExpand)
              checkExpansion(context);
            infer(context);
          });
    if (isNew && schema->has_data_propagation_function())
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

void qtale::onnx_import::inferWhatFits(onnx::ModelProto &model) {
  Guarded schemas;
  onnx::shape_inference::InferShapes(model, &schemas);
}
