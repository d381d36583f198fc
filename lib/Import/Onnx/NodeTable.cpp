//===- NodeTable.cpp - (domain, operator, since) -> builder ---------------===//
//
// The families register themselves here, by name. `since` is the opset of the
// oldest revision that a builder is for; models of older opsets are converted
// to the table's opset first, so each builder sees opset 23 or newer.
//
//===----------------------------------------------------------------------===//

#include "NodeTable.h"
#include "Model.h"

using namespace llvm;
using namespace qtale::onnx_import;

static const NodeTable &table() {
  static const NodeTable table = [] {
    NodeTable result;
    addAttention(result);
    addConstants(result);
    addElementwise(result);
    addGather(result);
    addMatMul(result);
    addNormalization(result);
    addQuantization(result);
    addReduction(result);
    addRotary(result);
    addShape(result);
    addSlice(result);
    return result;
  }();
  return table;
}

const NodeBuilder *qtale::onnx_import::lookupBuilder(StringRef domain,
                                                     StringRef op,
                                                     int64_t opset) {
  if (!domain.empty() && domain != "ai.onnx")
    return nullptr;
  auto found = table().builders.find(op);
  if (found == table().builders.end())
    return nullptr;
  const NodeBuilder *best = nullptr;
  for (const NodeBuilder &builder : found->second)
    if (builder.since <= std::max(opset, tableOpset))
      best = &builder;
  return best;
}
