// A kernel whose loop has one iteration: one thread does it and all wait. As a loop
// the canonicalizer would fold it, and its barrier with it.
// RUN: qtale-opt %s --pass-pipeline="builtin.module(qtale-enter-levels{levels=x86-64-v3},builtin.module(qtale-verbs-to-kernels,canonicalize))" | FileCheck %s

qtale.weight @small : tensor<32x64xf32, #qtale.packed<f32>> = #qtale.pack<#qtale.source<file = "w", offset = 0, bytes = 8192, type = tensor<32x64xf32>>>
qtale.weight @large : tensor<512x64xf32, #qtale.packed<f32>> = #qtale.pack<#qtale.source<file = "w", offset = 0, bytes = 131072, type = tensor<512x64xf32>>>

func.func @main(%x: tensor<?x64xf32> {qtale.name = "x", qtale.dtype = "float32"})
    -> (tensor<?x32xf32> {qtale.name = "y", qtale.dtype = "float32"},
        tensor<?x512xf32> {qtale.name = "z", qtale.dtype = "float32"}) {
  %small = qtale.param @small : tensor<32x64xf32, #qtale.packed<f32>>
  %large = qtale.param @large : tensor<512x64xf32, #qtale.packed<f32>>
  %y = qtale.matmul %x, %small : tensor<?x64xf32>, tensor<32x64xf32, #qtale.packed<f32>> -> tensor<?x32xf32>
  %z = qtale.matmul %x, %large : tensor<?x64xf32>, tensor<512x64xf32, #qtale.packed<f32>> -> tensor<?x512xf32>
  return %y, %z : tensor<?x32xf32>, tensor<?x512xf32>
}

// 32 outputs are one group of tiles.
// CHECK:     func.func private @matmul(%[[CONTEXT:.*]]: !qtale.context,
// CHECK-NOT:   scf.forall
// CHECK:       %[[THREAD:.*]] = qtale.thread %[[CONTEXT]]
// CHECK:       %[[FIRST:.*]] = arith.cmpi eq, %[[THREAD]], %c0
// CHECK:       scf.if %[[FIRST]] {
// CHECK:       qtale.barrier %[[CONTEXT]]
// CHECK-NEXT:  return

// 512 are several: a loop, whose barrier comes with its lowering.
// CHECK:     func.func private @matmul_0(
// CHECK:       scf.forall
