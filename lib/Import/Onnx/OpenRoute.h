//===- OpenRoute.h - A qtale.route while its regions are filled -----------===//
//
//   y = route x, positions if keep { ^bb0(rows, their positions) … }
//             └─ grows with what the regions ask for
//
//===----------------------------------------------------------------------===//

#ifndef QTALE_LIB_IMPORT_ONNX_OPENROUTE_H
#define QTALE_LIB_IMPORT_ONNX_OPENROUTE_H

#include "StepScope.h"

namespace qtale::onnx_import {

class OpenRoute {
public:
  /// Until it is closed, `outside` inserts before the route: what the regions
  /// ask for is made there.
  OpenRoute(Code &outside, mlir::Value keep, bool withSkipped);

  mlir::Block *block(bool skipped) { return &op->getRegion(skipped).front(); }

  /// The rows of `value` that the region has: an argument of both regions. The
  /// inputs stand in the order of the first calls.
  mlir::Value capture(mlir::Value value, bool skipped);

  /// The finished operation; `outside` inserts behind it.
  RouteOp close(mlir::TypeRange results);

private:
  Code &outside;
  RouteOp op;
  llvm::SmallVector<mlir::Value> inputs;
  llvm::DenseMap<mlir::Value, unsigned> numbers;
};

} // namespace qtale::onnx_import

#endif // QTALE_LIB_IMPORT_ONNX_OPENROUTE_H
