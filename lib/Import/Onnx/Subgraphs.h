//===- Subgraphs.h - Graphs within nodes ----------------------------------===//
//
//   x, w ─┐
//   y = If (c) < then { a = Add (x, w) }, else { b = Neg (x) } >
//
// A graph within a node reads values around it by their names. So that the
// rest of the importer has one world of names, initializers within nodes become
// the model's, and values within nodes get names that nobody else has.
//
//===----------------------------------------------------------------------===//

#ifndef QTALE_LIB_IMPORT_ONNX_SUBGRAPHS_H
#define QTALE_LIB_IMPORT_ONNX_SUBGRAPHS_H

#include "Model.h"

#include "llvm/ADT/StringRef.h"

namespace qtale::onnx_import {

/// Graphs that a node has as attributes.
void eachSubgraph(const onnx::NodeProto &node,
                  llvm::function_ref<void(const onnx::GraphProto &)> visit);
void eachSubgraph(onnx::NodeProto &node,
                  llvm::function_ref<void(onnx::GraphProto &)> visit);

/// The graph, and all within its nodes, from outside to inside.
void eachGraph(onnx::GraphProto &graph,
               llvm::function_ref<void(onnx::GraphProto &)> visit);

/// What a node reads: its inputs, and what its graphs take from around them.
void eachUse(const onnx::NodeProto &node,
             llvm::function_ref<void(llvm::StringRef)> visit);

/// Moves initializers of graphs within nodes to the model's graph.
llvm::LogicalResult liftInitializers(mlir::MLIRContext *context, Model &model);

/// Gives values of graphs within nodes names that occur nowhere else.
void nameValuesApart(onnx::GraphProto &graph);

/// Conditions of If nodes that are known, by the name of their first result.
using Branches = llvm::StringMap<bool>;
llvm::StringRef firstResult(const onnx::NodeProto &node);

/// Puts branches that are always taken in the place of their If nodes.
void takeBranches(onnx::GraphProto &graph, const Branches &taken);

} // namespace qtale::onnx_import

#endif // QTALE_LIB_IMPORT_ONNX_SUBGRAPHS_H
