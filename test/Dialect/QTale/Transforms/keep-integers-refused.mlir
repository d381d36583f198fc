// RUN: qtale-opt %s --qtale-quantize-weights="weights=keep activations=float" --verify-diagnostics | FileCheck %s --implicit-check-not=qtale.integers
//
// Quantized matrices that no scheme can hold become floats; a remark for each reason.

#q = #qtale.source<file = "w.bin", offset = 0, bytes = 2048, type = tensor<64x64xi4>>
#b = #qtale.source<file = "w.bin", offset = 0, bytes = 4096, type = tensor<64x64xi8>>
#w = #qtale.source<file = "w.bin", offset = 0, bytes = 8192, type = tensor<64x64xi16>>
#x16 = #qtale.source<file = "w.bin", offset = 0, bytes = 1024, type = tensor<64x4xf32>>
#x32 = #qtale.source<file = "w.bin", offset = 0, bytes = 512, type = tensor<64x2xf32>>
#down = #qtale.source<file = "w.bin", offset = 0, bytes = 512, type = tensor<2x64xf32>>
#vector = #qtale.source<file = "w.bin", offset = 0, bytes = 256, type = tensor<64xf32>>
#short = #qtale.source<file = "w.bin", offset = 0, bytes = 1024, type = tensor<64x16xi8>>
#d = #qtale.dequantize<#q, #x32, axis = 1, block = 32>

// expected-remark@+1 {{weight @small (and 1 like it) comes quantized, but is stored as floats: no group of 32, 64 or 128 divides its blocks of 16; --weights=int4 or int8 would quantize it anew}}
qtale.weight @small : tensor<64x64xf32> = #qtale.dequantize<#q, #x16, axis = 1, block = 16>
qtale.weight @small_too : tensor<64x64xf32> = #qtale.dequantize<#b, #x16, axis = 1, block = 16>
// expected-remark@+1 {{weight @columns comes quantized, but is stored as floats: it has a scale for each input;}}
qtale.weight @columns : tensor<64x64xf32> = #qtale.dequantize<#b, #vector, axis = 1, block = 0>
// expected-remark@+1 {{its blocks lie along the outputs}}
qtale.weight @down : tensor<64x64xf32> = #qtale.dequantize<#q, #down, axis = 0, block = 32>
// expected-remark@+1 {{its elements are i16, not integers of 4 or 8 bits}}
qtale.weight @wide : tensor<64x64xf32> = #qtale.dequantize<#w, #vector, axis = 0, block = 0>
// expected-remark@+1 {{it has fewer inputs than the smallest group, 32}}
qtale.weight @short : tensor<64x16xf32> = #qtale.dequantize<#short, #vector, axis = 0, block = 0>
// expected-remark@+1 {{it is reshaped after it is dequantized}}
qtale.weight @reshaped : tensor<32x128xf32> = #qtale.reshape<#d, tensor<32x128xf32>>
// expected-remark@+1 {{parts that are dequantized are joined}}
qtale.weight @joined : tensor<128x64xf32> = #qtale.concat<[#d, #d], axis = 0>
// expected-remark@+1 {{it is cut within blocks of 32}}
qtale.weight @cut : tensor<64x40xf32> = #qtale.slice<#d, axis = 1, begin = 16, size = 40>
// Nothing is quantized here, and a router's matrix follows the model.
qtale.weight @floats : tensor<64x64xf32> = #qtale.transpose<#qtale.source<file = "w.bin", offset = 0, bytes = 16384, type = tensor<64x64xf32>>, [1, 0]>

// CHECK-LABEL: func.func @main
func.func @main(%x: tensor<?x64xf32>, %s: tensor<?x16xf32>, %l: tensor<?x128xf32>, %c: tensor<?x40xf32>) {
  %w0 = qtale.param @small : tensor<64x64xf32>
  %w1 = qtale.param @small_too : tensor<64x64xf32>
  %w2 = qtale.param @columns : tensor<64x64xf32>
  %w3 = qtale.param @down : tensor<64x64xf32>
  %w4 = qtale.param @wide : tensor<64x64xf32>
  %w5 = qtale.param @short : tensor<64x16xf32>
  %w6 = qtale.param @reshaped : tensor<32x128xf32>
  %w7 = qtale.param @joined : tensor<128x64xf32>
  %w8 = qtale.param @cut : tensor<64x40xf32>
  %w9 = qtale.param @floats : tensor<64x64xf32>
  %y0 = qtale.matmul %x, %w0 : tensor<?x64xf32>, tensor<64x64xf32> -> tensor<?x64xf32>
  %y1 = qtale.matmul %x, %w1 : tensor<?x64xf32>, tensor<64x64xf32> -> tensor<?x64xf32>
  %y2 = qtale.matmul %x, %w2 : tensor<?x64xf32>, tensor<64x64xf32> -> tensor<?x64xf32>
  %y3 = qtale.matmul %x, %w3 : tensor<?x64xf32>, tensor<64x64xf32> -> tensor<?x64xf32>
  %y4 = qtale.matmul %x, %w4 : tensor<?x64xf32>, tensor<64x64xf32> -> tensor<?x64xf32>
  %y5 = qtale.matmul %s, %w5 : tensor<?x16xf32>, tensor<64x16xf32> -> tensor<?x64xf32>
  %y6 = qtale.matmul %l, %w6 : tensor<?x128xf32>, tensor<32x128xf32> -> tensor<?x32xf32>
  %y7 = qtale.matmul %x, %w7 : tensor<?x64xf32>, tensor<128x64xf32> -> tensor<?x128xf32>
  %y8 = qtale.matmul %c, %w8 : tensor<?x40xf32>, tensor<64x40xf32> -> tensor<?x64xf32>
  %y9 = qtale.matmul %x, %w9 : tensor<?x64xf32>, tensor<64x64xf32> -> tensor<?x64xf32>
  return
}
