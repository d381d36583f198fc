//===- OpenAxes.h - Axes that are known only at run time ------------------===//
//
//   axes = [-1, 0] of rank 3  ──▶  chosen = [1, 0, 1]     one flag an axis
//
// How many there are is known, and so is the rank of every result: only which
// ones they are is not. They differ from each other: that is asserted.
//
//===----------------------------------------------------------------------===//

#ifndef QTALE_LIB_IMPORT_ONNX_OPENAXES_H
#define QTALE_LIB_IMPORT_ONNX_OPENAXES_H

#include "Node.h"

namespace qtale::onnx_import {

struct OpenAxes {
  /// An i1 for each axis.
  llvm::SmallVector<mlir::Value> chosen;
  int64_t count;

  int64_t rank() const { return chosen.size(); }
  /// The dims where those that are chosen become 1.
  Dims ones(GraphBuilder &g, llvm::ArrayRef<OpFoldResult> dims) const;
  /// The dims where all others become 1.
  Dims only(GraphBuilder &g, llvm::ArrayRef<OpFoldResult> dims) const;
  /// The dims without those that are chosen.
  Dims removed(GraphBuilder &g, llvm::ArrayRef<OpFoldResult> dims) const;
  /// Dims with a 1 at each chosen axis, of the result's rank.
  Dims inserted(GraphBuilder &g, llvm::ArrayRef<OpFoldResult> dims) const;
};

/// Input `i` as flags of `rank` axes; none where it is a constant, or where not
/// even the number of axes is known. Never for rows.
std::optional<OpenAxes> openAxes(Node &n, unsigned i, int64_t rank);

/// An axis as an index value, within the rank.
mlir::Value openAxis(Node &n, OpFoldResult axis, int64_t rank);

} // namespace qtale::onnx_import

#endif // QTALE_LIB_IMPORT_ONNX_OPENAXES_H
