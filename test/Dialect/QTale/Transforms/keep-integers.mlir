// RUN: qtale-opt %s --qtale-quantize-weights="weights=keep activations=float" | FileCheck %s --implicit-check-not=qtale.quantize_rows
// RUN: qtale-opt %s --qtale-quantize-weights="weights=keep activations=int8" | FileCheck %s --check-prefix=INT8
// RUN: qtale-opt %s --qtale-quantize-weights="weights=int4" | FileCheck %s --check-prefix=ANEW --implicit-check-not=qtale.integers
//
// Integers that a model dequantizes are kept, whichever way they lie, and quantized
// anew where a scheme is asked for.

#q = #qtale.source<file = "w.bin", offset = 0, bytes = 2048, type = tensor<64x64xi4>>
#u = #qtale.source<file = "w.bin", offset = 0, bytes = 4096, type = tensor<64x64xui8>>
#blocks = #qtale.source<file = "w.bin", offset = 0, bytes = 512, type = tensor<2x64xf32>>
#half = #qtale.source<file = "w.bin", offset = 0, bytes = 256, type = tensor<64x2xf16>>
#zero = #qtale.source<file = "w.bin", offset = 0, bytes = 64, type = tensor<64x2xi4>>
#down = #qtale.source<file = "w.bin", offset = 0, bytes = 256, type = tensor<2x64xf16>>
#vector = #qtale.source<file = "w.bin", offset = 0, bytes = 128, type = tensor<64xbf16>>
#one = #qtale.source<file = "w.bin", offset = 0, bytes = 4, type = tensor<f32>>

// [K, N] in blocks of 32 along K.
// CHECK: qtale.weight @blocks : tensor<64x64xf32, #[[WIDE:.*]]> = #qtale.integers<#qtale.transpose<#qtale.source<{{.*}}64x64xi4>>, [1, 0]>, #qtale.transpose<#qtale.source<{{.*}}2x64xf32>>, [1, 0]>, block = 32, <bits = 4, group = 32, scales = f32>>
// ANEW:  qtale.weight @blocks : {{.*}} = #qtale.quantize<#qtale.transpose<#qtale.dequantize<
qtale.weight @blocks : tensor<64x64xf32> = #qtale.transpose<#qtale.dequantize<#q, #blocks, axis = 0, block = 32>, [1, 0]>
// Half floats that are widened stay such; rounding the product to half floats is left out.
// CHECK: qtale.weight @half : {{.*}} = #qtale.integers<#qtale.source<{{.*}}>, #qtale.source<{{.*}}64x2xf16>> zero = #qtale.source<{{.*}}64x2xi4>>, block = 32, <bits = 4, group = 32, asymmetric = true>>
qtale.weight @half : tensor<64x64xf16> = #qtale.cast<#qtale.dequantize<#q, #qtale.cast<#half, f32> zero = #zero, axis = 1, block = 32>, f16>
// CHECK: qtale.weight @widened : {{.*}} = #qtale.integers<{{.*}}, #qtale.transpose<#qtale.source<{{.*}}2x64xf16>>, [1, 0]>, block = 32, <bits = 4, group = 32>>
qtale.weight @widened : tensor<64x64xf32> = #qtale.transpose<#qtale.dequantize<#q, #qtale.cast<#down, f32>, axis = 0, block = 32>, [1, 0]>
// A scale for each output; groups as large as they can be.
// CHECK: qtale.weight @vector : {{.*}} = #qtale.integers<#qtale.transpose<{{.*}}64x64xui8>>, [1, 0]>, #qtale.transpose<#qtale.reshape<{{.*}}64xbf16>>, tensor<1x64xbf16>>, [1, 0]>, block = 0, <bits = 8, group = 64, asymmetric = true, scales = f32>>
qtale.weight @vector : tensor<64x64xbf16> = #qtale.transpose<#qtale.dequantize<#u, #vector, axis = 1, block = 0>, [1, 0]>
// CHECK: qtale.weight @one : {{.*}} = #qtale.integers<{{.*}}, #qtale.reshape<{{.*}}, tensor<1x1xf32>>, block = 0, <bits = 8, group = 64, asymmetric = true, scales = f32>>
qtale.weight @one : tensor<64x64xf32> = #qtale.dequantize<#u, #one, axis = 0, block = 0>
// Inputs 32 to 63: the second block.
// CHECK: qtale.weight @part : tensor<64x32xf32, {{.*}}> = #qtale.integers<#qtale.slice<{{.*}}, axis = 1, begin = 32, size = 32>, #qtale.slice<{{.*}}, axis = 1, begin = 1, size = 1> zero = #qtale.slice<{{.*}}, axis = 1, begin = 1, size = 1>, block = 0, <bits = 4, group = 32, asymmetric = true>>
qtale.weight @part : tensor<64x32xf16> = #qtale.slice<#qtale.dequantize<#q, #half zero = #zero, axis = 1, block = 32>, axis = 1, begin = 32, size = 32>

// CHECK-LABEL: func.func @main
func.func @main(%x: tensor<?x64xf32>, %h: tensor<?x32xf32>) -> (tensor<?x64xf32>, tensor<?x64xf32>, tensor<?x64xf32>, tensor<?x64xf32>, tensor<?x64xf32>, tensor<?x64xf32>) {
  %w0 = qtale.param @blocks : tensor<64x64xf32>
  %w1 = qtale.param @half : tensor<64x64xf16>
  %w2 = qtale.param @vector : tensor<64x64xbf16>
  %w3 = qtale.param @one : tensor<64x64xf32>
  %w5 = qtale.param @widened : tensor<64x64xf32>
  %w4 = qtale.param @part : tensor<64x32xf16>
  // CHECK: qtale.matmul %{{.*}}, %{{.*}} : tensor<?x64xf32>, tensor<64x64xf32, #[[WIDE]]> -> tensor<?x64xf32>
  // INT8:  %[[ROWS:.*]] = qtale.quantize_rows %{{.*}} : tensor<?x64xf32> -> tensor<?x64xf32, #qtale.int_rows<pad = 32>>
  // INT8:  qtale.matmul %[[ROWS]], %{{.*}}
  %y0 = qtale.matmul %x, %w0 : tensor<?x64xf32>, tensor<64x64xf32> -> tensor<?x64xf32>
  %y1 = qtale.matmul %x, %w1 : tensor<?x64xf32>, tensor<64x64xf16> -> tensor<?x64xf32>
  %y2 = qtale.matmul %x, %w2 : tensor<?x64xf32>, tensor<64x64xbf16> -> tensor<?x64xf32>
  %y3 = qtale.matmul %x, %w3 : tensor<?x64xf32>, tensor<64x64xf32> -> tensor<?x64xf32>
  %y5 = qtale.matmul %x, %w5 : tensor<?x64xf32>, tensor<64x64xf32> -> tensor<?x64xf32>
  %y4 = qtale.matmul %h, %w4 : tensor<?x32xf32>, tensor<64x32xf16> -> tensor<?x64xf32>
  return %y0, %y1, %y2, %y3, %y4, %y5 : tensor<?x64xf32>, tensor<?x64xf32>, tensor<?x64xf32>, tensor<?x64xf32>, tensor<?x64xf32>, tensor<?x64xf32>
}
