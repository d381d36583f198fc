//===- QTaleMatmulOps.td - Products with weights --------------------------===//
//
//   matmul         y = x w + bias + residual
//   fused_matmul   y = f(x w0 + b0, x w1 + b1, …)       gate, up: SwiGLU
//   joint_matmul   y0, y1, … = x w0 + b0, x w1 + b1, …  q, k, v
//   byte_matmul    y = (x - zx) (w - zw)                in integers
//
//===----------------------------------------------------------------------===//

#ifndef QTALE_MATMULOPS_TD
#define QTALE_MATMULOPS_TD

include "qtale/Dialect/QTale/IR/QTaleOpBase.td"

def QTale_MatmulOp : QTale_Op<"matmul", [Pure, AttrSizedOperandSegments]> {
  let summary = "y[m, n] = sum over k of x[m, k] w[n, k] + bias[n] + residual[m, n]";
  let description = [{
    A matrix product with a constant weight of any scheme. `bias` and `residual`
    are optional and added in this order. Sums over k run in the order of k,
    whatever the number of rows.

    Constraints:
    - (C1) x, weight and result agree in k and n; x and result in rows.
    - (C2) bias has n values; residual has the result's type.
    - (C3) int8 activations (`#qtale.int_rows`) meet weights in an integer
      scheme, padded to that scheme's group.

    ```mlir
    %y = qtale.matmul %x, %w residual(%r : tensor<?x172xf32>) : tensor<?x64xf32>, tensor<172x64xf32> -> tensor<?x172xf32>
    ```
  }];
  let arguments = (ins 2DTensorOf<[F32]>:$input, 2DTensorOf<[AnyFloat]>:$weight,
                       Optional<1DTensorOf<[F32]>>:$bias, Optional<2DTensorOf<[F32]>>:$residual);
  let results = (outs 2DTensorOf<[F32]>:$result);
  let assemblyFormat = [{
    $input `,` $weight (`bias` `(` $bias^ `:` type($bias) `)`)? (`residual` `(` $residual^ `:` type($residual) `)`)?
    attr-dict `:` type($input) `,` type($weight) `->` type($result)
  }];
  let builders = [OpBuilder<(ins "::mlir::Value":$input, "::mlir::Value":$weight)>];
  let hasVerifier = 1;
  let hasCanonicalizeMethod = 1;
}

def QTale_FusedMatmulOp : QTale_Op<"fused_matmul", [
    Pure, AttrSizedOperandSegments, IsolatedFromAbove, SingleBlock]> {
  let summary = "y[m, n] = f(sum over k of x[m, k] w0[n, k] + b0[n], the same of w1, …)";
  let description = [{
    Matmuls of one input, and a function of a number from each: the region. A
    gate and what it lets through are two (SwiGLU), an activation after a matmul
    is a function of one. Nothing but y is stored. Sums and biases are those of
    `matmul`, bit for bit. The result may be int8 activations: those of
    `quantize_rows`.

    Constraints:
    - (C1) weights have one type, and agree with x and the result in k and n; x
      and result in rows.
    - (C2) there is no bias, or one of n values for each weight.
    - (C3) int8 activations (`#qtale.int_rows`) meet weights in an integer
      scheme, padded to that scheme's group.
    - (C4) the region takes an f32 for each weight and yields one; in it are
      constants and elementwise arithmetic.
    - (C5) a result in `#qtale.int_rows` needs no padding: n is a multiple of
      its `pad`.

    ```mlir
    %y = qtale.fused_matmul %x, %gate, %up : tensor<?x64xf32>, tensor<172x64xf32>, tensor<172x64xf32> -> tensor<?x172xf32> {
    ^bb0(%g: f32, %u: f32):
      %t = math.tanh %g : f32
      %p = arith.mulf %t, %u : f32
      qtale.yield %p : f32
    }
    ```
  }];
  let arguments = (ins 2DTensorOf<[F32]>:$input, Variadic<2DTensorOf<[AnyFloat]>>:$weights,
                       Variadic<1DTensorOf<[F32]>>:$biases);
  let results = (outs 2DTensorOf<[F32]>:$result);
  let regions = (region SizedRegion<1>:$function);
  let assemblyFormat = [{
    $input `,` $weights (`bias` `(` $biases^ `:` type($biases) `)`)?
    attr-dict `:` type($input) `,` type($weights) `->` type($result) $function
  }];
  let extraClassDeclaration = [{
    /// What may stand in the region besides constants.
    static bool mayContain(::mlir::Operation *op);
  }];
  let hasVerifier = 1;
}

def QTale_JointMatmulOp : QTale_Op<"joint_matmul", [Pure, AttrSizedOperandSegments]> {
  let summary = "y0[m, n] = sum over k of x[m, k] w0[n, k] + b0[n], y1 the same of w1, …";
  let description = [{
    Matmuls of one input at once, such as queries, keys and values: their
    outputs are divided among the threads together. Each result is that of a
    `matmul`, bit for bit.

    Constraints:
    - (C1) a result for each weight; x, weight and result agree in k and n; x
      and results in rows.
    - (C2) there is no bias, or one of n values for each weight.
    - (C3) int8 activations (`#qtale.int_rows`) meet weights in an integer
      scheme, padded to that scheme's group.
    - (C4) at most 16 weights.

    ```mlir
    %q, %k = qtale.joint_matmul %x, %wq, %wk : tensor<?x64xf32>, tensor<64x64xf32>, tensor<32x64xf32> -> tensor<?x64xf32>, tensor<?x32xf32>
    ```
  }];
  let arguments = (ins 2DTensorOf<[F32]>:$input, Variadic<2DTensorOf<[AnyFloat]>>:$weights,
                       Variadic<1DTensorOf<[F32]>>:$biases);
  let results = (outs Variadic<2DTensorOf<[F32]>>:$outputs);
  let assemblyFormat = [{
    $input `,` $weights (`bias` `(` $biases^ `:` type($biases) `)`)?
    attr-dict `:` type($input) `,` type($weights) `->` type($outputs)
  }];
  let extraClassDeclaration = [{
    /// Weights, at most: kernels choose among them one by one.
    static constexpr size_t maxWeights = 16;
  }];
  let hasVerifier = 1;
}

def QTale_ByteMatmulOp : QTale_Op<"byte_matmul", [Pure, AttrSizedOperandSegments]> {
  let summary = "y[m, n] = sum over k of (x[m, k] - zx[m]) (w[n, k] - zw[n])";
  let description = [{
    A product of 8-bit integers, summed in 32 bits: exact, and where a sum is too
    large it wraps. Weights are signed (`i8`) or unsigned (`ui8`), which their
    type says; `unsigned_input` says it of x. Zero points are one number or one
    for each row of x or of w; without them they are 0.

    Constraints:
    - (C1) x, weight and result agree in k and n; x and result in rows.
    - (C2) zero points are one, or as many as rows of x (`input_zero`) or of the
      weight (`weight_zero`).

    ```mlir
    %y = qtale.byte_matmul %x, %w input_zero(%zx : tensor<1xi32>) {unsigned_input} : tensor<?x64xi8>, tensor<172x64xi8> -> tensor<?x172xi32>
    ```
  }];
  let arguments = (ins 2DTensorOf<[I8]>:$input, 2DTensorOf<[I8, UI8]>:$weight,
                       Optional<1DTensorOf<[I32]>>:$input_zero, Optional<1DTensorOf<[I32]>>:$weight_zero,
                       UnitAttr:$unsigned_input);
  let results = (outs 2DTensorOf<[I32]>:$result);
  let assemblyFormat = [{
    $input `,` $weight (`input_zero` `(` $input_zero^ `:` type($input_zero) `)`)?
    (`weight_zero` `(` $weight_zero^ `:` type($weight_zero) `)`)?
    attr-dict `:` type($input) `,` type($weight) `->` type($result)
  }];
  let hasVerifier = 1;
}

#endif // QTALE_MATMULOPS_TD
