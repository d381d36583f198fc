//===- Propagation.cpp - ONNX's inference, within limits ------------------===//
//
//   Shape -> Slice -> Concat -> Reshape      ONNX computes such lists, too
//
// It makes an entry for each element of each vector, be it known or not, and
// counts a slice's steps in 32 bits, where a large one is 0 or leaves the list.
// So it sees operators whose propagation first asks whether the lists are as
// short as shapes are, and steps as small. Others are not propagated, and what it
// refuses to compute is left to the importer.
//
//===----------------------------------------------------------------------===//

#include "Propagation.h"

#include "onnx/defs/schema.h"
#include "onnx/shape_inference/implementation.h"
#include <map>

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
