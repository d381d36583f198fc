//===- Routing.h - What a graph's Keep verbs say of all its units ---------===//

#ifndef QTALE_LIB_IMPORT_ONNX_ROUTING_H
#define QTALE_LIB_IMPORT_ONNX_ROUTING_H

#include "StepGraph.h"

#include "mlir/IR/BuiltinAttributes.h"

namespace qtale::onnx_import {

/// Units are numbered as in the graph's input `threshold`, [layers] or
/// [layers, units].
class Routing {
public:
  /// On failure `reason` says why there is no session, and `failedAt` where.
  llvm::LogicalResult analyze(const StepGraph &graph);

  bool isRouted() const { return !keeps.empty(); }
  /// All units, with or without a router.
  int64_t size() const { return layers * units; }
  /// The number of a Keep's unit.
  static int64_t unit(const onnx::NodeProto &keep);
  /// The module's attribute `qtale.routing`.
  mlir::DictionaryAttr describe(mlir::MLIRContext *context, const Model &model,
                                const StepGraph &graph) const;

  int64_t layers = 0, units = 0, always = 0;
  std::string reason;
  const onnx::NodeProto *failedAt = nullptr;

private:
  std::vector<const onnx::NodeProto *> keeps;
};

} // namespace qtale::onnx_import

#endif // QTALE_LIB_IMPORT_ONNX_ROUTING_H
