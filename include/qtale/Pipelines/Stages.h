//===- Stages.h - The way of a model through the compiler -----------------===//

#ifndef QTALE_PIPELINES_STAGES_H
#define QTALE_PIPELINES_STAGES_H

#include "qtale/Pipelines/Options.h"

#include "mlir/IR/DialectRegistry.h"
#include "mlir/Pass/PassManager.h"
#include <optional>

namespace qtale {

/// Named after the state reached; docs/Pipeline.md holds the contracts.
enum class Stage { Imported, Quantized, Packed, Unrouted, Kernels, LLVM };

llvm::StringRef getName(Stage stage);
std::optional<Stage> getStage(llvm::StringRef name);

/// The passes from one stage to a later one.
void buildStages(mlir::OpPassManager &pm, Stage from, Stage to,
                 const CompileOptions &options);

/// All dialects, interfaces and translations that the stages need.
void registerDialects(mlir::DialectRegistry &registry);
/// All passes, ours and upstream's, and a pipeline for each stage
/// (`--qtale-to-kernels`), for qtale-opt.
void registerPasses();

} // namespace qtale

#endif // QTALE_PIPELINES_STAGES_H
