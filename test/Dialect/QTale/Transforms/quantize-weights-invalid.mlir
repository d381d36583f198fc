// RUN: not qtale-opt %s --qtale-quantize-weights="weights=int3" 2>&1 | FileCheck %s --check-prefix=WEIGHTS
// RUN: not qtale-opt %s --qtale-quantize-weights="weights=int4 group=48" 2>&1 | FileCheck %s --check-prefix=GROUP
// RUN: not qtale-opt %s --qtale-quantize-weights="weights=int4 activations=int4" 2>&1 | FileCheck %s --check-prefix=ACTIVATIONS
// RUN: not qtale-opt %s --qtale-quantize-weights="kv=bf16" 2>&1 | FileCheck %s --check-prefix=KV
// RUN: qtale-opt %s --qtale-quantize-weights="weights=int4" --qtale-quantize-weights="weights=int8" | FileCheck %s --implicit-check-not="bits = 8"
//
// Options that do not exist are refused; a matrix that has a scheme keeps it.

// WEIGHTS: error: weights must be keep, f32, f16, bf16, int8 or int4, but is int3
// GROUP: error: group must be 32, 64 or 128, but is 48
// ACTIVATIONS: error: activations must be int8 or float, but is int4
// KV: error: kv must be f32{{.*}}, but is bf16

// CHECK: qtale.weight @w : tensor<8x32xf32, #{{.*}}> = #qtale.quantize<#qtale.source<{{.*}}>, <bits = 4, group = 32>>
qtale.weight @w : tensor<8x32xf32> = #qtale.source<file = "w.bin", offset = 0, bytes = 1024, type = tensor<8x32xf32>>

func.func @main(%x: tensor<?x32xf32>) -> tensor<?x8xf32> {
  %w = qtale.param @w : tensor<8x32xf32>
  %y = qtale.matmul %x, %w : tensor<?x32xf32>, tensor<8x32xf32> -> tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}
