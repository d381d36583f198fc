// RUN: not qtale-opt %s --qtale-pack-weights 2>&1 | FileCheck %s
//
// A matrix that no kernel reads is refused where it is declared.

// CHECK: pack-weights-invalid.mlir:[[@LINE+1]]:1: error: can't pack 'tensor<8x64xf64>'
qtale.weight @wide : tensor<8x64xf64> = #qtale.source<file = "w.bin", offset = 0, bytes = 4096, type = tensor<8x64xf64>>

func.func @main(%x: tensor<?x64xf32>) -> tensor<?x8xf32> {
  %w = qtale.param @wide : tensor<8x64xf64>
  %y = qtale.matmul %x, %w : tensor<?x64xf32>, tensor<8x64xf64> -> tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}
