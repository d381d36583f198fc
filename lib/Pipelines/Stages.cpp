//===- Stages.cpp - The whole compiler, stage by stage --------------------===//
//
//   imported ─▶ quantized ─▶ packed ─▶ unrouted ─▶ kernels ─▶ llvm
//
// Each stage ends verified and can be printed and compiled on. The order is the
// point of this file: a comment says why a pass stands where it stands.
//
//===----------------------------------------------------------------------===//

#include "qtale/Pipelines/Stages.h"

#include "qtale/Codegen/CPU/Passes.h"
#include "qtale/Conversion/Passes.h"
#include "qtale/Dialect/QTale/Transforms/Passes.h"

#include "mlir/Conversion/Passes.h"
#include "mlir/Dialect/Affine/Transforms/Passes.h"
#include "mlir/Dialect/Bufferization/Transforms/Passes.h"
#include "mlir/Dialect/Linalg/Passes.h"
#include "mlir/Dialect/MemRef/Transforms/Passes.h"
#include "mlir/Transforms/Passes.h"

using namespace mlir;
using namespace qtale;

static constexpr llvm::StringLiteral names[] = {
    "imported", "quantized", "packed", "unrouted", "kernels", "llvm"};

StringRef qtale::getName(Stage stage) { return names[int(stage)]; }

std::optional<Stage> qtale::getStage(StringRef name) {
  for (int i = 0; i <= int(Stage::LLVM); ++i)
    if (names[i] == name)
      return Stage(i);
  return std::nullopt;
}

static void verify(OpPassManager &pm, Stage stage) {
  pm.addPass(createVerifyStage({getName(stage).str()}));
}

static void cleanUp(OpPassManager &pm) {
  pm.addPass(createCanonicalizerPass());
  pm.addPass(createCSEPass());
}

/// Every matrix gets its scheme.
static void buildQuantized(OpPassManager &pm, const CompileOptions &options) {
  QuantizeWeightsOptions quantize;
  quantize.weights = options.weights;
  quantize.group = options.group;
  quantize.asymmetric = options.asymmetric;
  quantize.activations = options.activations;
  quantize.kv = options.kv;
  pm.addPass(createQuantizeWeights(quantize));
  verify(pm, Stage::Quantized);
}

/// Weights as kernels read them, matmuls with their epilogues.
static void buildPacked(OpPassManager &pm, const CompileOptions &) {
  // Additions must stand by themselves to fold into matmuls, so elementwise
  // fusion comes after.
  pm.addNestedPass<func::FuncOp>(createFuseEpilogues());
  pm.addNestedPass<func::FuncOp>(createLinalgGeneralizeNamedOpsPass());
  pm.addNestedPass<func::FuncOp>(createLinalgElementwiseOpFusionPass());
  // Fusion asks new shapes for their dimensions; they are those of the old ones.
  pm.addNestedPass<func::FuncOp>(
      memref::createResolveShapedTypeResultDimsPass());
  cleanUp(pm);
  // Whole now, the loops of activations move into the matmuls that they read.
  pm.addNestedPass<func::FuncOp>(createFuseActivations());
  // Gates are taken by now: what still shares an input is a q, k and v.
  pm.addNestedPass<func::FuncOp>(createJoinMatmuls());
  pm.addNestedPass<func::FuncOp>(createFuseQuantization());
  cleanUp(pm);
  // Packing permutes final integers, so it follows quantization; after the
  // clean-up, weights that nothing reads any more are gone.
  pm.addPass(createPackWeights());
  verify(pm, Stage::Packed);
}

/// Routes become compaction, branch, scatter. Dense models have none.
static void buildUnrouted(OpPassManager &pm, const CompileOptions &) {
  pm.addNestedPass<func::FuncOp>(createLowerRoutes());
  cleanUp(pm);
  verify(pm, Stage::Unrouted);
}

/// A module for each CPU level: kernels, buffers, one arena.
static void buildKernels(OpPassManager &pm, const CompileOptions &options) {
  EnterLevelsOptions enter;
  enter.levels.assign(options.levels.begin(), options.levels.end());
  pm.addPass(createEnterLevels(enter));

  OpPassManager &level = pm.nest<ModuleOp>();
  level.addPass(createLowerAffinePass());
  // Kernels are written on buffers; launches keep tensors until bufferization,
  // which then sees where in-place is possible.
  level.addPass(createVerbsToKernels());
  cleanUp(level);
  bufferization::OneShotBufferizePassOptions bufferize;
  bufferize.bufferizeFunctionBoundaries = true;
  bufferize.functionBoundaryTypeConversion =
      bufferization::LayoutMapOption::IdentityLayoutMap;
  level.addPass(bufferization::createOneShotBufferizePass(bufferize));
  level.addNestedPass<func::FuncOp>(createMaterializeCopies());
  level.addNestedPass<func::FuncOp>(createConvertLinalgToParallelLoopsPass());
  level.addPass(memref::createFoldMemRefAliasOpsPass());
  cleanUp(level);
  level.addNestedPass<func::FuncOp>(createCarryReductions());
  // Loops are final, so lives of buffers are known; who writes what is settled
  // last, since nothing may move a write out of its place any more.
  level.addPass(createPlanArena());
  level.addNestedPass<func::FuncOp>(createShareWork());
  // Places and indices are constants or values now, so equal loops look equal.
  level.addPass(createOutlineLoops());
  // Work is calls now, which still say what they read and for which node.
  level.addPass(createMarkOperations());
  verify(pm, Stage::Kernels);
}

/// Everything in the LLVM dialect.
static void buildLLVM(OpPassManager &pm, const CompileOptions &) {
  OpPassManager &level = pm.nest<ModuleOp>();
  level.addNestedPass<func::FuncOp>(createLowerParallel());
  level.addNestedPass<func::FuncOp>(createEntryArguments());
  // Before vectors lose their shapes.
  level.addPass(createLowerDot());
  level.addNestedPass<func::FuncOp>(createApproximateMath());
  level.addNestedPass<func::FuncOp>(createConvertVectorToSCFPass());
  level.addPass(createSCFToControlFlowPass());
  // An early return needs blocks, not regions.
  level.addPass(createLowerAsserts());
  level.addNestedPass<func::FuncOp>(createLowerExpandShape());
  level.addPass(memref::createExpandStridedMetadataPass());
  level.addPass(createLowerAffinePass());
  level.addPass(createConvertVectorToLLVMPass());
  level.addPass(createKernelsToLLVM());
  level.addPass(createReconcileUnrealizedCastsPass());
  cleanUp(level);
  verify(pm, Stage::LLVM);
}

void qtale::buildStages(OpPassManager &pm, Stage from, Stage to,
                        const CompileOptions &options) {
  using Build = void (*)(OpPassManager &, const CompileOptions &);
  static constexpr Build builds[] = {buildQuantized, buildPacked, buildUnrouted,
                                     buildKernels, buildLLVM};
  // A printed stage may have been edited since.
  verify(pm, from);
  for (int stage = int(from); stage < int(to); ++stage)
    builds[stage](pm, options);
}
