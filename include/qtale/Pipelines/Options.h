//===- Options.h - What a model is compiled with --------------------------===//

#ifndef QTALE_PIPELINES_OPTIONS_H
#define QTALE_PIPELINES_OPTIONS_H

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/Diagnostics.h"
#include <optional>
#include <string>

namespace qtale {

/// As on the command line (INTERFACES: qtale-compile). They travel as the
/// module attributes `qtale.options` and `llvm.target_triple`, so that a printed
/// stage compiles on to the same bytes.
struct CompileOptions {
  using EmitError = llvm::function_ref<mlir::InFlightDiagnostic()>;

  std::string weights = "keep"; // keep, f32, f16, bf16, int8, int4
  int64_t group = 32;           // inputs that share a scale
  bool asymmetric = false;
  std::string activations;         // int8 or float; empty: by the weights
  std::string kv;                  // f32, f16 or int8; empty: by the weights
  std::string target;              // aarch64-linux-gnu; empty: this machine
  std::vector<std::string> levels; // the best first; empty: the usual ones

  /// The name by which a target is known here, for any spelling of its triple:
  /// "aarch64-linux-gnu", or nothing for this machine's. Null where no code is
  /// made for it.
  static std::optional<std::string> parseTarget(llvm::StringRef triple);

  /// Fills what is empty, looking at the model where it decides. Fails, with a
  /// diagnostic, on a value that does not exist.
  mlir::LogicalResult resolve(mlir::ModuleOp module, EmitError emitError);

  void write(mlir::ModuleOp module) const;
  static mlir::FailureOr<CompileOptions> read(mlir::ModuleOp module,
                                              EmitError emitError);
};

} // namespace qtale

#endif // QTALE_PIPELINES_OPTIONS_H
