// A matrix that other operations read too: they keep it as it is, matmuls and
// embeddings get a weight of their own, in their format.
// RUN: qtale-opt %s --qtale-quantize-weights="weights=int4" --qtale-pack-weights | FileCheck %s

#w = #qtale.source<file = "w", offset = 0, bytes = 2048, type = tensor<8x64xf32>>

// CHECK: qtale.weight @both : tensor<8x64xf32> = #qtale.source<
// CHECK: qtale.weight @[[OWN:.*]] : tensor<8x64xf32, #qtale.packed<#qtale.int<bits = 4, group = 32>>> = #qtale.pack<#qtale.quantize<
qtale.weight @both : tensor<8x64xf32> = #w

// CHECK-LABEL: func @uses
// CHECK-DAG: %[[MATRIX:.*]] = qtale.param @[[OWN]]
// CHECK-DAG: %[[PLAIN:.*]] = qtale.param @both
// CHECK: qtale.matmul %{{.*}}, %[[MATRIX]]
// CHECK: arith.addf %[[PLAIN]], %[[PLAIN]]
func.func @uses(%x: tensor<?x64xf32>) -> (tensor<?x8xf32>, tensor<8x64xf32>) {
  %w = qtale.param @both : tensor<8x64xf32>
  %y = qtale.matmul %x, %w : tensor<?x64xf32>, tensor<8x64xf32> -> tensor<?x8xf32>
  %twice = arith.addf %w, %w : tensor<8x64xf32>
  return %y, %twice : tensor<?x8xf32>, tensor<8x64xf32>
}
