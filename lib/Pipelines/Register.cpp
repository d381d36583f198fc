//===- Register.cpp - Dialects, passes, pipelines -------------------------===//

#include "qtale/Codegen/CPU/Passes.h"
#include "qtale/Conversion/Passes.h"
#include "qtale/Dialect/QTale/IR/QTale.h"
#include "qtale/Dialect/QTale/Transforms/Passes.h"
#include "qtale/Pipelines/Stages.h"

#include "mlir/Conversion/Passes.h"
#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Affine/Transforms/Passes.h"
#include "mlir/Dialect/Arith/Transforms/BufferizableOpInterfaceImpl.h"
#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/Bufferization/Transforms/FuncBufferizableOpInterfaceImpl.h"
#include "mlir/Dialect/Bufferization/Transforms/Passes.h"
#include "mlir/Dialect/ControlFlow/IR/ControlFlow.h"
#include "mlir/Dialect/ControlFlow/Transforms/BufferizableOpInterfaceImpl.h"
#include "mlir/Dialect/Linalg/Passes.h"
#include "mlir/Dialect/Linalg/Transforms/BufferizableOpInterfaceImpl.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/Transforms/Passes.h"
#include "mlir/Dialect/SCF/Transforms/BufferizableOpInterfaceImpl.h"
#include "mlir/Dialect/Tensor/IR/TensorInferTypeOpInterfaceImpl.h"
#include "mlir/Dialect/Tensor/IR/ValueBoundsOpInterfaceImpl.h"
#include "mlir/Dialect/Tensor/Transforms/BufferizableOpInterfaceImpl.h"
#include "mlir/Dialect/UB/IR/UBOps.h"
#include "mlir/Target/LLVMIR/Dialect/Builtin/BuiltinToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/LLVMIR/LLVMToLLVMIRTranslation.h"
#include "mlir/Transforms/Passes.h"

using namespace mlir;
using namespace qtale;

void qtale::registerDialects(DialectRegistry &registry) {
  registry
      .insert<QTaleDialect, affine::AffineDialect, arith::ArithDialect,
              bufferization::BufferizationDialect, cf::ControlFlowDialect,
              func::FuncDialect, linalg::LinalgDialect, LLVM::LLVMDialect,
              math::MathDialect, memref::MemRefDialect, scf::SCFDialect,
              tensor::TensorDialect, ub::UBDialect, vector::VectorDialect>();
  // Bufferization asks each dialect for its part.
  arith::registerBufferizableOpInterfaceExternalModels(registry);
  bufferization::func_ext::registerBufferizableOpInterfaceExternalModels(
      registry);
  cf::registerBufferizableOpInterfaceExternalModels(registry);
  linalg::registerBufferizableOpInterfaceExternalModels(registry);
  scf::registerBufferizableOpInterfaceExternalModels(registry);
  tensor::registerBufferizableOpInterfaceExternalModels(registry);
  tensor::registerInferTypeOpInterfaceExternalModels(registry);
  registerBufferizableOpInterface(registry);
  registerBuiltinDialectTranslation(registry);
  registerLLVMDialectTranslation(registry);
}

namespace {
/// Options of the pipelines, by the names of qtale-compile.
struct PipelineOptions : PassPipelineOptions<PipelineOptions> {
  Option<std::string> weights{*this, "weights", llvm::cl::init("keep")};
  Option<int64_t> group{*this, "group", llvm::cl::init(32)};
  Option<bool> asymmetric{*this, "asymmetric", llvm::cl::init(false)};
  Option<std::string> activations{*this, "activations", llvm::cl::init("int8")};
  Option<std::string> kv{*this, "kv", llvm::cl::init("f32")};
  ListOption<std::string> levels{*this, "cpu"};
};
} // namespace

void qtale::registerPasses() {
  registerQTaleTransformsPasses();
  registerQTaleConversionPasses();
  registerQTaleCPUPasses();
  // Upstream's, as far as the stages use them.
  registerTransformsPasses();
  registerConversionPasses();
  registerLinalgPasses();
  affine::registerAffinePasses();
  bufferization::registerBufferizationPasses();
  memref::registerMemRefPasses();

  for (int i = int(Stage::Quantized); i <= int(Stage::LLVM); ++i) {
    Stage stage = Stage(i);
    std::string name = ("qtale-to-" + getName(stage)).str();
    PassPipelineRegistration<PipelineOptions>(
        name, "From the stage before to '" + getName(stage).str() + "'",
        [stage](OpPassManager &pm, const PipelineOptions &parsed) {
          CompileOptions options;
          options.weights = parsed.weights;
          options.group = parsed.group;
          options.asymmetric = parsed.asymmetric;
          options.activations = parsed.activations;
          options.kv = parsed.kv;
          for (const std::string &level : parsed.levels)
            options.levels.push_back(level);
          buildStages(pm, Stage(int(stage) - 1), stage, options);
        });
  }
}
