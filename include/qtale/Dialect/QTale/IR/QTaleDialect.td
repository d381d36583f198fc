//===- QTaleDialect.td - The qtale dialect --------------------------------===//

#ifndef QTALE_DIALECT_TD
#define QTALE_DIALECT_TD

include "mlir/IR/OpBase.td"

def QTale_Dialect : Dialect {
  let name = "qtale";
  let cppNamespace = "::qtale";
  let summary = "Quantized and routed language models";
  let description = [{
    The vocabulary of a language model whose weights are packed integers. Its
    verbs are those of the model (`embedding`, `matmul`, `rms_norm`, `rope`,
    `attention`), not those of a file format or an instruction set.

    Three ideas carry it:

    - **Rows.** Activations are `tensor<?xDxf32>`, a row per token, from any
      number of sequences. Prefill, decode and a batch are one program.
    - **A tensor's encoding is its storage format, its shape stays logical.**
      `tensor<64x172xf32, #qtale.int<bits = 4, group = 32>>` is a weight of 64
      outputs and 172 inputs whose values are held as 4-bit integers;
      `#qtale.packed` adds the order that a kernel reads.
    - **Weights are symbols, their bytes stay in files.** A `qtale.weight` holds
      a *recipe*, a closed expression over (file, offset, length) that is
      evaluated when the artifact is written. Passes on weights rewrite recipes.

    What was left out on purpose: docs/RationaleQTale.md.
  }];
  let extraClassDeclaration = "void registerAttributes();";
  let useDefaultTypePrinterParser = 1;
  let useDefaultAttributePrinterParser = 1;
  let dependentDialects = [
    "::mlir::arith::ArithDialect", "::mlir::tensor::TensorDialect",
  ];
}

#endif // QTALE_DIALECT_TD
