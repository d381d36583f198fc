//===- NodeTable.h - (domain, operator, since) -> builder -----------------===//

#ifndef QTALE_LIB_IMPORT_ONNX_NODETABLE_H
#define QTALE_LIB_IMPORT_ONNX_NODETABLE_H

#include "llvm/ADT/StringMap.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/LogicalResult.h"

namespace qtale::onnx_import {

class Node;
class StepNode;

using Build = llvm::LogicalResult (*)(Node &);
using BuildRows = llvm::LogicalResult (*)(StepNode &);

/// How a node is built when a term has a row for each token.
struct RowsRule {
  enum Kind {
    /// Not at all: it may mix rows.
    None,
    /// By the same builder, on operands broadcast to each other.
    Elementwise,
    /// By the same builder, along axes of one row.
    Axes,
    /// By a builder of its own.
    Own,
  } kind = None;
  BuildRows build = nullptr;

  RowsRule() = default;
  RowsRule(Kind kind) : kind(kind) {}
  RowsRule(BuildRows build) : kind(Own), build(build) {}
};

struct NodeBuilder {
  int64_t since;
  Build build;
  RowsRule rows;
};

/// Builders by domain and operator, oldest revision first.
class NodeTable {
public:
  void add(llvm::StringRef op, int64_t since, Build build, RowsRule rows = {}) {
    builders[op].push_back({since, build, rows});
  }
  llvm::StringMap<llvm::SmallVector<NodeBuilder, 1>> builders;
};

void addAttention(NodeTable &table);
void addConstants(NodeTable &table);
void addElementwise(NodeTable &table);
void addGather(NodeTable &table);
void addMatMul(NodeTable &table);
void addNormalization(NodeTable &table);
void addQuantization(NodeTable &table);
void addReduction(NodeTable &table);
void addRotary(NodeTable &table);
void addShape(NodeTable &table);
void addSlice(NodeTable &table);

/// The builder for a node of a model with this opset; null where there is none.
/// Opsets below the table's stand for it: models are converted.
const NodeBuilder *lookupBuilder(llvm::StringRef domain, llvm::StringRef op,
                                 int64_t opset);

} // namespace qtale::onnx_import

#endif // QTALE_LIB_IMPORT_ONNX_NODETABLE_H
