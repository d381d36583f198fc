//===- NodeTable.h - (domain, operator, revision) -> builder --------------===//
//
//   table.add("CumSum", 14, buildCumSum)               builds revision 14
//       .refuses("an axis …", "…", [](Node &n) {…})    but not this
//
// What a builder refuses of that which its operator's specification allows is
// declared beside it: nodes are checked against it, and docs/Operators.md is
// made of it. Types, attributes and revisions are ONNX's own schemas'.
//
//===----------------------------------------------------------------------===//

#ifndef QTALE_LIB_IMPORT_ONNX_NODETABLE_H
#define QTALE_LIB_IMPORT_ONNX_NODETABLE_H

#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/LogicalResult.h"

#include <string>

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

/// The opsets that changed an operator, of those that a builder is written
/// for. One at or before the table's opset is enough for all that are
/// converted to it; later ones are named each, so that a node of a revision
/// that nobody has read is refused.
struct Revisions {
  Revisions(int64_t since) : list{since} {}
  Revisions(std::initializer_list<int64_t> list) : list(list) {}
  llvm::SmallVector<int64_t, 2> list;
};

/// What a builder refuses, and why or what to do; both read on from
/// "<operator>: <what> is refused: <why>".
struct Refusal {
  llvm::StringRef what, why;
  /// Whether a node is concerned; null where its builder finds out.
  bool (*applies)(Node &);
};

/// Why the length of a list must be known that decides a result's rank.
inline constexpr llvm::StringLiteral
    rankIsKnown("every result's rank is known while compiling; declare the "
                "input with its length, or make it an initializer");

/// Element types (names as in schemas: "float8e4m3fn") that a type parameter
/// allows, and the builder refuses.
struct TypeRefusal {
  llvm::StringRef parameter;
  llvm::SmallVector<llvm::StringRef> types;
  llvm::StringRef why;
};

struct NodeBuilder {
  Revisions revisions;
  Build run;
  RowsRule rows;
  llvm::SmallVector<Refusal, 0> refusals;
  llvm::SmallVector<TypeRefusal, 0> typeRefusals;

  NodeBuilder &refuses(llvm::StringRef what, llvm::StringRef why,
                       bool (*applies)(Node &) = nullptr) {
    refusals.push_back({what, why, applies});
    return *this;
  }
  NodeBuilder &refusesTypes(llvm::StringRef parameter,
                            llvm::ArrayRef<llvm::StringRef> types,
                            llvm::StringRef why) {
    typeRefusals.push_back({parameter, llvm::to_vector(types), why});
    return *this;
  }

  /// Whether it is written for this revision of its operator.
  bool knows(int64_t revision) const;
  /// Refuses what is declared so, or runs.
  llvm::LogicalResult build(Node &node) const;
};

/// Builders by operator, oldest revision first.
class NodeTable {
public:
  /// The result is for what is declared of it at once.
  NodeBuilder &add(llvm::StringRef op, Revisions revisions, Build build,
                   RowsRule rows = {}) {
    builders[op].push_back({std::move(revisions), build, rows, {}, {}});
    return builders[op].back();
  }
  llvm::StringMap<llvm::SmallVector<NodeBuilder, 1>> builders;
};

void addActivations(NodeTable &table);
void addAttention(NodeTable &table);
void addConstants(NodeTable &table);
void addControl(NodeTable &table);
void addDepthToSpace(NodeTable &table);
void addDynamicQuantization(NodeTable &table);
void addEinsum(NodeTable &table);
void addElementwise(NodeTable &table);
void addGather(NodeTable &table);
void addIntegerMatMul(NodeTable &table);
void addMatMul(NodeTable &table);
void addNormalization(NodeTable &table);
void addOneHot(NodeTable &table);
void addPad(NodeTable &table);
void addQuantization(NodeTable &table);
void addReduction(NodeTable &table);
void addRotary(NodeTable &table);
void addScatter(NodeTable &table);
void addSelection(NodeTable &table);
void addShape(NodeTable &table);
void addSlice(NodeTable &table);

const NodeTable &nodeTable();

/// The builder for a node of a model with this opset; null where there is none.
/// Opsets below the table's stand for it: models are converted.
const NodeBuilder *lookupBuilder(llvm::StringRef domain, llvm::StringRef op,
                                 int64_t opset);

/// An element type as schemas call it: "float16".
std::string typeName(int32_t dtype);

/// Where there is no builder although the operator is in the table: what is
/// known of it. Empty where it is not in the table.
std::string unknownRevision(llvm::StringRef domain, llvm::StringRef op,
                            int64_t opset);

} // namespace qtale::onnx_import

#endif // QTALE_LIB_IMPORT_ONNX_NODETABLE_H
