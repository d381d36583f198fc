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

/// The format of int8 activations; null where they are floats.
static IntRowsAttr formatOf(Value rows) {
  auto type = cast<RankedTensorType>(rows.getType());
  return dyn_cast_or_null<IntRowsAttr>(type.getEncoding());
}

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
          buildRMSNorm(b, args[1], args[2], norm.getEpsilonAttr(),
                       {args[3], formatOf(norm.getResult())});
        });
      })
      .Case([&](LayerNormOp norm) {
        launch(op, {}, [&](KernelBuilder &b, ValueRange args) {
          buildLayerNorm(
              b, args[1], args[2], norm.getBias() ? args[3] : Value(),
              norm.getEpsilonAttr(), {args.back(), formatOf(norm.getResult())});
        });
      })
      .Case([&](RopeOp rope) {
        RopeShape shape{int64_t(rope.getHeads()), rope.getInterleaved()};
        launch(op, {}, [&](KernelBuilder &b, ValueRange args) {
          buildRope(b, args[1], args[2], args[3], args[4], shape, args[5]);
        });
      })
      .Case([&](MatmulOp matmul) {
        launch(op, {}, [&](KernelBuilder &b, ValueRange args) {
          unsigned next = 3;
          Epilogue epilogue;
          if (matmul.getBias())
            epilogue.bias = args[next++];
          if (matmul.getResidual())
            epilogue.residual = args[next++];
          epilogue.out = args[next];
          buildMatmul(
              b, level, {args[1], formatOf(matmul.getInput())},
              {args[2], Matrix(matmul.getWeight().getType()), epilogue});
        });
      })
      .Case([&](FusedMatmulOp matmul) {
        launch(op, {}, [&](KernelBuilder &b, ValueRange args) {
          size_t count = matmul.getWeights().size();
          FusedProduct product{
              args.slice(2, count),
              args.slice(2 + count, matmul.getBiases().size()),
              Matrix(cast<RankedTensorType>(matmul.getWeights()[0].getType())),
              &matmul.getFunction()};
          buildFusedMatmul(b, level, {args[1], formatOf(matmul.getInput())},
                           product,
                           {args.back(), formatOf(matmul.getResult())});
        });
      })
      .Case([&](JointMatmulOp matmul) {
        launch(op, {}, [&](KernelBuilder &b, ValueRange args) {
          size_t count = matmul.getWeights().size();
          bool biased = !matmul.getBiases().empty();
          ValueRange biases = args.slice(2 + count, biased ? count : 0);
          SmallVector<Product> products;
          for (size_t i = 0; i < count; ++i)
            products.push_back(
                {args[2 + i],
                 Matrix(
                     cast<RankedTensorType>(matmul.getWeights()[i].getType())),
                 {biased ? biases[i] : Value(), {}, args.take_back(count)[i]}});
          buildJointMatmul(b, level, {args[1], formatOf(matmul.getInput())},
                           products);
        });
      })
      .Case([&](ByteMatmulOp matmul) {
        LaunchExtras extras;
        RankedTensorType input = matmul.getInput().getType();
        extras.scratch = {RankedTensorType::get(
            {input.getDimSize(0), byteMatmulScratch(input.getDimSize(1))},
            input.getElementType())};
        launch(op, extras, [&](KernelBuilder &b, ValueRange args) {
          unsigned next = 3;
          ByteProduct product{args[1],
                              args[2],
                              Matrix(matmul.getWeight().getType()),
                              {},
                              {},
                              matmul.getUnsignedInput(),
                              args.drop_back().back(),
                              args.back()};
          if (matmul.getInputZero())
            product.inputZero = args[next++];
          if (matmul.getWeightZero())
            product.weightZero = args[next];
          buildByteMatmul(b, level, product);
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
          buildAttention(b, cache, args[2], args[3], args[4], shape,
                         {args[5], formatOf(attention.getResult())});
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
      if (entry.isPublic() && contextOf(entry)) {
        if (failed(checkVerbs(entry, module)))
          return signalPassFailure();
        launcher.run(entry);
      }
    numKernels = launcher.numKernels;
  }
};
} // namespace
