//===- VerbsToKernels.cpp - A kernel for each verb, scheme and shape ------===//
//
//   %y = qtale.matmul %x, %w   -->   %y = qtale.launch @matmul_…(%context)
//                                           ins(%x, %w) outs(%init)
//
// Here: which kernel a verb gets, and with which arguments.
//
//===----------------------------------------------------------------------===//

#include "Launcher.h"
#include "qtale/Codegen/CPU/Passes.h"

#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/ControlFlow/IR/ControlFlowOps.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace qtale;

namespace qtale {
#define GEN_PASS_DEF_VERBSTOKERNELS
#include "qtale/Codegen/CPU/Passes.h.inc"
} // namespace qtale

void Launcher::lower(Operation *op) {
  // Arguments after the context, in the order of the operands, then the
  // results.
  llvm::TypeSwitch<Operation *>(op)
      .Case([&](EmbeddingOp embedding) {
        launch(op, {}, [&](KernelBuilder &b, ValueRange args) {
          buildEmbedding(b, args[1], args[2],
                         Matrix(embedding.getTable().getType()), args[3]);
        });
      })
      .Case([&](GatherRowsOp) {
        launch(op, {}, [&](KernelBuilder &b, ValueRange args) {
          buildGatherRows(b, args[1], args[2], args[3]);
        });
      })
      .Case([&](ScatterRowsOp scatter) {
        LaunchExtras extras;
        extras.updated = &scatter.getBaseMutable();
        launch(op, extras, [&](KernelBuilder &b, ValueRange args) {
          buildScatterRows(b, args[1], args[2], args[3]);
        });
      })
      .Case([&](QuantizeRowsOp quantize) {
        auto format = cast<IntRowsAttr>(quantize.getType().getEncoding());
        launch(op, {}, [&](KernelBuilder &b, ValueRange args) {
          buildQuantizeRows(b, args[1], format, args[2]);
        });
      })
      .Case([&](RMSNormOp norm) {
        launch(op, {}, [&](KernelBuilder &b, ValueRange args) {
          buildRMSNorm(b, args[1], args[2], norm.getEpsilonAttr(), args[3]);
        });
      })
      .Case([&](LayerNormOp norm) {
        launch(op, {}, [&](KernelBuilder &b, ValueRange args) {
          buildLayerNorm(b, args[1], args[2],
                         norm.getBias() ? args[3] : Value(),
                         norm.getEpsilonAttr(), args.back());
        });
      })
      .Case([&](RopeOp rope) {
        RopeShape shape{int64_t(rope.getHeads()), rope.getInterleaved()};
        launch(op, {}, [&](KernelBuilder &b, ValueRange args) {
          buildRope(b, args[1], args[2], args[3], args[4], shape, args[5]);
        });
      })
      .Case([&](MatmulOp matmul) {
        Matrix matrix(matmul.getWeight().getType());
        auto format = dyn_cast_or_null<IntRowsAttr>(
            matmul.getInput().getType().getEncoding());
        launch(op, {}, [&](KernelBuilder &b, ValueRange args) {
          unsigned next = 3;
          Epilogue epilogue;
          if (matmul.getBias())
            epilogue.bias = args[next++];
          if (matmul.getResidual())
            epilogue.residual = args[next++];
          epilogue.out = args[next];
          buildMatmul(b, level, args[1], format, args[2], matrix, epilogue);
        });
      })
      .Case([&](KVAppendOp append) {
        OpBuilder builder(op);
        Value number = numberOf(builder, append.getCache(), op->getLoc());
        launch(op, {{number}}, [&](KernelBuilder &b, ValueRange args) {
          CacheHandle cache{args[0], args[1], append.getCache().getType()};
          buildKVAppend(b, cache, args[2], args[3], args[4], args[5]);
        });
      })
      .Case([&](AttentionOp attention) {
        OpBuilder builder(op);
        Value number = numberOf(builder, attention.getCache(), op->getLoc());
        launch(op, {{number}}, [&](KernelBuilder &b, ValueRange args) {
          CacheHandle cache{args[0], args[1], attention.getCache().getType()};
          AttentionShape shape{int64_t(attention.getHeads()),
                               attention.getScaleAttr(),
                               attention.getSoftcapAttr()};
          buildAttention(b, cache, args[2], args[3], args[4], shape, args[5]);
        });
      });
}

namespace {
struct VerbsToKernels : qtale::impl::VerbsToKernelsBase<VerbsToKernels> {
  using Base::Base;

  void getDependentDialects(DialectRegistry &registry) const override {
    Base::getDependentDialects(registry);
    registry.insert<bufferization::BufferizationDialect, cf::ControlFlowDialect,
                    tensor::TensorDialect>();
  }

  void runOnOperation() override {
    ModuleOp module = getOperation();
    const Level *level = getLevel(module);
    if (!level) {
      module.emitError("needs a module named after a CPU level");
      return signalPassFailure();
    }
    Launcher launcher(module, *level);
    for (auto entry : llvm::make_early_inc_range(module.getOps<func::FuncOp>()))
      if (!entry.isExternal() && entry.getNumArguments() &&
          isa<ContextType>(entry.getArgumentTypes().front()) &&
          entry.isPublic())
        launcher.run(entry);
    numKernels = launcher.numKernels;
  }
};
} // namespace
