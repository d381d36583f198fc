//===- NodeTable.cpp - (domain, operator, revision) -> builder ------------===//
//
//   opset of the model ─ max with the table's ─▶ ONNX's schema ─▶ revision
//   revision ─▶ the builder that names it
//
// The families register themselves here, by name. Models of older opsets are
// converted to the table's first, so each builder sees opset 23 or newer.
//
//===----------------------------------------------------------------------===//

#include "NodeTable.h"
#include "Model.h"
#include "Node.h"

#include "onnx/defs/schema.h"
#include "llvm/ADT/StringExtras.h"

using namespace llvm;
using namespace qtale::onnx_import;

const NodeTable &qtale::onnx_import::nodeTable() {
  static const NodeTable table = [] {
    NodeTable result;
    addActivations(result);
    addAttention(result);
    addConstants(result);
    addControl(result);
    addDepthToSpace(result);
    addDynamicQuantization(result);
    addEinsum(result);
    addElementwise(result);
    addGather(result);
    addIntegerMatMul(result);
    addMatMul(result);
    addNormalization(result);
    addOneHot(result);
    addPad(result);
    addQuantization(result);
    addReduction(result);
    addRotary(result);
    addScatter(result);
    addSelection(result);
    addShape(result);
    addSlice(result);
    return result;
  }();
  return table;
}

static bool isDefaultDomain(StringRef domain) {
  return domain.empty() || domain == "ai.onnx";
}

static const onnx::OpSchema *schemaOf(StringRef op, int64_t opset) {
  return onnx::OpSchemaRegistry::Schema(op.str(), std::max(opset, tableOpset),
                                        "");
}

std::string qtale::onnx_import::typeName(int32_t dtype) {
  return StringRef(onnx::TensorProto::DataType_Name(
                       onnx::TensorProto::DataType(dtype)))
      .lower();
}

bool NodeBuilder::knows(int64_t revision) const {
  if (revision <= tableOpset)
    return revisions.list.front() <= tableOpset;
  return llvm::is_contained(revisions.list, revision);
}

const NodeBuilder *qtale::onnx_import::lookupBuilder(StringRef domain,
                                                     StringRef op,
                                                     int64_t opset) {
  if (!isDefaultDomain(domain))
    return nullptr;
  auto found = nodeTable().builders.find(op);
  const onnx::OpSchema *schema = schemaOf(op, opset);
  if (found == nodeTable().builders.end() || !schema)
    return nullptr;
  for (const NodeBuilder &builder : found->second)
    if (builder.knows(schema->since_version()))
      return &builder;
  return nullptr;
}

std::string qtale::onnx_import::unknownRevision(StringRef domain, StringRef op,
                                                int64_t opset) {
  auto found = nodeTable().builders.find(op);
  if (!isDefaultDomain(domain) || found == nodeTable().builders.end())
    return "";
  SmallVector<std::string> known;
  for (const NodeBuilder &builder : found->second)
    for (int64_t revision : builder.revisions.list)
      known.push_back(std::to_string(revision));
  std::string list = "known are those of opset " + join(known, ", ");
  if (const onnx::OpSchema *schema = schemaOf(op, opset))
    return "its revision of opset " + std::to_string(schema->since_version()) +
           " is not known; " + list;
  return "opset " + std::to_string(opset) + " has no such operator; " + list;
}

/// Whether the inputs have types that the operator's specification allows them
/// together, and its builder does not refuse. ONNX's inference has seen to the
/// former, but believes what the outputs declare, also of an input.
static LogicalResult checkTypes(Node &node, const NodeBuilder &builder) {
  const onnx::OpSchema *schema =
      schemaOf(node.proto.op_type(), node.g.model.opset);
  if (!schema || schema->inputs().empty())
    return success();
  StringMap<std::string> chosen;
  for (unsigned i = 0; i < node.size(); ++i) {
    if (!node.has(i))
      continue;
    const auto &formal =
        schema->inputs()[std::min<size_t>(i, schema->inputs().size() - 1)];
    std::string type = typeName(node.in(i).dtype);
    if (llvm::none_of(formal.GetTypes(), [&](const std::string *allowed) {
          return *allowed == "tensor(" + type + ")";
        }))
      return node.fail(node.inputName(i) + " must not be of " + type);
    auto [parameter, isFirst] = chosen.try_emplace(formal.GetTypeStr(), type);
    if (!isFirst && formal.GetIsHomogeneous() && parameter->second != type)
      return node.fail(node.inputName(i) + " is of " + type +
                       ", another input of the same type parameter of " +
                       parameter->second);
    for (const TypeRefusal &refusal : builder.typeRefusals)
      if (refusal.parameter == formal.GetTypeStr() &&
          llvm::is_contained(refusal.types, type))
        return node.fail(node.inputName(i) + " of " + type +
                         " is refused: " + refusal.why);
  }
  return success();
}

LogicalResult NodeBuilder::build(Node &node) const {
  if (failed(checkTypes(node, *this)))
    return failure();
  for (const Refusal &refusal : refusals)
    if (refusal.applies && refusal.applies(node))
      return node.fail(refusal.what + " is refused: " + refusal.why);
  return run(node);
}
