// RUN: qtale-opt %s --qtale-pack-weights | FileCheck %s --implicit-check-not="qtale.weight @dead"
//
// Matrices get the order of kernels on top of their recipe and format; a tied
// embedding and head stay one weight; what nothing reads goes.

#w = #qtale.source<file = "w.bin", offset = 0, bytes = 2048, type = tensor<8x64xf32>>
#int4 = #qtale.int<bits = 4, group = 32>

// CHECK: qtale.weight @f32 : tensor<8x64xf32, #qtale.packed<f32>> = #qtale.pack<#qtale.source<{{.*}}>>
qtale.weight @f32 : tensor<8x64xf32> = #w
// CHECK: qtale.weight @int4 : tensor<8x64xf32, #qtale.packed<#qtale.int<bits = 4, group = 32>>> = #qtale.pack<#qtale.quantize<#qtale.source<{{.*}}>, <bits = 4, group = 32>>>
qtale.weight @int4 : tensor<8x64xf32, #int4> = #qtale.quantize<#w, #int4>
// CHECK: qtale.weight @tied : tensor<8x64xf16, #qtale.packed<f16>> = #qtale.pack<#qtale.cast<#qtale.source<{{.*}}>, f16>>
// CHECK-NOT: @tied
qtale.weight @tied : tensor<8x64xf16> = #qtale.cast<#w, f16>
qtale.weight @dead : tensor<8x64xf32> = #w
qtale.weight @dead_param : tensor<8x64xf32> = #w
// CHECK: qtale.weight @bytes : tensor<32x64xui8, #qtale.packed<ui8>> = #qtale.pack<#qtale.source<{{.*}}>>
qtale.weight @bytes : tensor<32x64xui8> = #qtale.source<file = "w.bin", offset = 0, bytes = 2048, type = tensor<32x64xui8>>
// CHECK: qtale.weight @plain : tensor<8x64xf32> = #qtale.source<
qtale.weight @plain : tensor<8x64xf32> = #w

// CHECK-LABEL: func.func @main
func.func @main(%ids: tensor<?xi32>, %i: tensor<?x64xi8>) -> (tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x8xf32>, tensor<8x64xf32>, tensor<?x32xi32>) {
  // CHECK-NOT: @dead_param
  %dead = qtale.param @dead_param : tensor<8x64xf32>
  %t = qtale.param @tied : tensor<8x64xf16>
  // CHECK: %[[T:.*]] = qtale.param @tied : tensor<8x64xf16, #qtale.packed<f16>>
  // CHECK: qtale.embedding %{{.*}}, %[[T]] : tensor<?xi32>, tensor<8x64xf16, #qtale.packed<f16>> -> tensor<?x64xf32>
  %x = qtale.embedding %ids, %t : tensor<?xi32>, tensor<8x64xf16> -> tensor<?x64xf32>
  // CHECK: qtale.matmul %{{.*}}, %{{.*}} : tensor<?x64xf32>, tensor<8x64xf32, #qtale.packed<f32>> -> tensor<?x8xf32>
  %w = qtale.param @f32 : tensor<8x64xf32>
  %a = qtale.matmul %x, %w : tensor<?x64xf32>, tensor<8x64xf32> -> tensor<?x8xf32>
  // CHECK: qtale.matmul %{{.*}}, %{{.*}} : tensor<?x64xf32>, tensor<8x64xf32, #qtale.packed<#qtale.int<bits = 4, group = 32>>> -> tensor<?x8xf32>
  %v = qtale.param @int4 : tensor<8x64xf32, #int4>
  %b = qtale.matmul %x, %v : tensor<?x64xf32>, tensor<8x64xf32, #int4> -> tensor<?x8xf32>
  // CHECK: %[[HEAD:.*]] = qtale.param @tied : tensor<8x64xf16, #qtale.packed<f16>>
  // CHECK: qtale.matmul %{{.*}}, %[[HEAD]]
  %head = qtale.param @tied : tensor<8x64xf16>
  %c = qtale.matmul %x, %head : tensor<?x64xf32>, tensor<8x64xf16> -> tensor<?x8xf32>
  // CHECK: qtale.param @plain : tensor<8x64xf32>
  %p = qtale.param @plain : tensor<8x64xf32>
  // CHECK: qtale.byte_matmul %{{.*}}, %{{.*}} : tensor<?x64xi8>, tensor<32x64xui8, #qtale.packed<ui8>> -> tensor<?x32xi32>
  %u = qtale.param @bytes : tensor<32x64xui8>
  %d = qtale.byte_matmul %i, %u : tensor<?x64xi8>, tensor<32x64xui8> -> tensor<?x32xi32>
  return %a, %b, %c, %p, %d : tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x8xf32>, tensor<8x64xf32>, tensor<?x32xi32>
}
