//===- Passes.td - qtale to qtale -----------------------------------------===//

#ifndef QTALE_TRANSFORMS_PASSES_TD
#define QTALE_TRANSFORMS_PASSES_TD

include "mlir/Pass/PassBase.td"

def QuantizeWeights : Pass<"qtale-quantize-weights", "::mlir::ModuleOp"> {
  let summary = "Choose the scheme of every matrix";
  let description = [{
    Before: %y = qtale.matmul %x, %w : tensor<?x64xf32>, tensor<172x64xf32> -> …
    After:  %q = qtale.quantize_rows %x : … -> tensor<?x64xf32, #qtale.int_rows<pad = 32>>
            %y = qtale.matmul %q, %w : …, tensor<172x64xf32, #qtale.int<bits = 4, group = 32>> -> …

    The recipe of each weight that only feeds matmuls and embeddings is wrapped;
    no weight is read. Rows that feed several matmuls are quantized once. A
    router's matrix becomes f16 where others become integers, and its small
    weights stay: they are few bytes, and decisions are sharp.

    With `weights=keep` matrices stay as the model holds them: floats, and those
    that it dequantizes integers, `#qtale.integers`. Where no scheme has their
    form they become floats, and a remark says why.

    Ensures: caches hold `kv` elements.
  }];
  let options = [
    Option<"weights", "weights", "std::string", "\"keep\"", "keep, f32, f16, bf16, int8 or int4">,
    Option<"group", "group", "int64_t", "32", "consecutive inputs that share a scale: 32, 64 or 128">,
    Option<"asymmetric", "asymmetric", "bool", "false", "zero points besides scales">,
    Option<"activations", "activations", "std::string", "\"int8\"", "int8 or float, where weights are integers">,
    Option<"kv", "kv", "std::string", "\"f32\"", "elements of caches: f32, f16 or int8">,
  ];
  let statistics = [Statistic<"numWeights", "num-weights", "Weights given a format">];
}

def FuseEpilogues : Pass<"qtale-fuse-epilogues", "::mlir::func::FuncOp"> {
  let summary = "Add biases and residuals where the matmul writes";
  let description = [{
    Before: %y = qtale.matmul %x, %w; %z = linalg.add(%y, %r)
    After:  %z = qtale.matmul %x, %w residual(%r)

    An addition of a matmul's only use folds into it: a vector broadcast over
    the rows as its bias, a matrix as its residual.
  }];
  let dependentDialects = ["::mlir::linalg::LinalgDialect"];
}

def FuseActivations : Pass<"qtale-fuse-activations", "::mlir::func::FuncOp"> {
  let summary = "Compute functions of matmuls where they sum up";
  let description = [{
    Before: %g = qtale.matmul %x, %wg; %u = qtale.matmul %x, %wu
            %y = linalg.generic ins(%g, %u) { silu(g) * u }
    After:  %y = qtale.fused_matmul %x, %wg, %wu { silu(g) * u }

    An elementwise loop whose inputs are all matmuls of one input, with weights
    of one type, and of no other use, takes them in.
  }];
  let dependentDialects = ["::mlir::linalg::LinalgDialect"];
}

def JoinMatmuls : Pass<"qtale-join-matmuls", "::mlir::func::FuncOp"> {
  let summary = "Compute products of one input at once";
  let description = [{
    Before: %q = qtale.matmul %x, %wq; %k = qtale.matmul %x, %wk
    After:  %q, %k = qtale.joint_matmul %x, %wq, %wk

    Matmuls of one block and one input join where their weights have one format,
    all or none have a bias, and none has a residual.
  }];
  let statistics = [Statistic<"numJoined", "num-joined", "Joint matmuls made">];
}

def FuseQuantization : Pass<"qtale-fuse-quantization", "::mlir::func::FuncOp"> {
  let summary = "Make int8 activations where their floats are made";
  let description = [{
    Before: %n = qtale.rms_norm %x, %g; %q = qtale.quantize_rows %n
    After:  %q = qtale.rms_norm %x, %g : … -> tensor<?x64xf32, #qtale.int_rows<pad = 32>>

    For norms; for attention of heads, and fused matmuls of columns, that make up
    whole blocks. Nothing else may read the floats.
  }];
}

def PackWeights : Pass<"qtale-pack-weights", "::mlir::ModuleOp"> {
  let summary = "Arrange weights in the order that kernels read";
  let description = [{
    Before: tensor<172x64xf32, #qtale.int<bits = 4, group = 32>>
    After:  tensor<172x64xf32, #qtale.packed<<bits = 4, group = 32>>>

    Only recipes and types change. Weights that anything but a matmul, an
    embedding or a router (as its matrix) reads stay plain; unused weights go.
  }];
  let statistics = [Statistic<"numWeights", "num-weights", "Weights packed">];
}

def VerifyStage : Pass<"qtale-verify-stage", "::mlir::ModuleOp"> {
  let summary = "Check that a stage's contract holds, and record the stage";
  let description = [{
    Checks docs/Pipeline.md's contract of `stage` and sets the module attribute
    `qtale.stage`. An error names the op and what it may not be.
  }];
  let options = [Option<"stage", "stage", "std::string", "\"\"", "imported, quantized, packed, unrouted, kernels or llvm">];
}

#endif // QTALE_TRANSFORMS_PASSES_TD
