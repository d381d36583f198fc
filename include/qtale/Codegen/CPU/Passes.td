//===- Passes.td - Kernels for CPUs ---------------------------------------===//

#ifndef QTALE_CODEGEN_CPU_PASSES_TD
#define QTALE_CODEGEN_CPU_PASSES_TD

include "mlir/Pass/PassBase.td"

def VerbsToKernels : Pass<"qtale-verbs-to-kernels", "::mlir::ModuleOp"> {
  let summary = "Make a kernel of each verb, scheme and shape, and launch it";
  let description = [{
    Before: %y = qtale.rms_norm %x, %g {epsilon = …} : tensor<?x64xf32>, …
    After:  %y = qtale.launch @rms_norm_64(%context, %weight) ins(%x) outs(%init)
            func.func private @rms_norm_64(…) { scf.forall … vector … }

    A kernel is a function of buffers, called by all layers of one shape; its
    parallel loops are `scf.forall`. Runs on the module of one CPU level, whose
    entries take the context first.

    Ensures: no verb and no cache argument is left.
  }];
  let dependentDialects = ["::mlir::memref::MemRefDialect", "::mlir::vector::VectorDialect",
                           "::mlir::scf::SCFDialect", "::mlir::math::MathDialect"];
  let statistics = [Statistic<"numKernels", "num-kernels", "Kernels made">];
}

def LowerDot : Pass<"qtale-lower-dot", "::mlir::ModuleOp"> {
  let summary = "Lower qtale.dot to the level's instructions";
  let description = [{
    Before: qtale.dot %w, %x, %acc {bits = 4}
    After:  llvm.call_intrinsic "llvm.x86.avx512.vpdpbusd.512"(…)

    The level that the module is named after decides: AVX-512 VNNI, AVX-VNNI,
    AVX2; NEON with i8mm, dotprod or neither; or plain vector arithmetic.
  }];
  let dependentDialects = ["::mlir::LLVM::LLVMDialect", "::mlir::vector::VectorDialect"];
}

#endif // QTALE_CODEGEN_CPU_PASSES_TD
