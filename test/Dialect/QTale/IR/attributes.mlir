// RUN: qtale-opt %s | qtale-opt | FileCheck %s
//
// Schemes, storage formats, recipes and caches print as they are read.

// CHECK: @int(tensor<8x64xf32, #qtale.int<bits = 8, group = 128>>, tensor<8x64xf32, #qtale.int<bits = 4, group = 32, asymmetric = true>>)
func.func private @int(tensor<8x64xf32, #qtale.int<bits = 8, group = 128>>, tensor<8x64xf32, #qtale.int<bits = 4, group = 32, asymmetric = true>>)
// CHECK: @wide_scales(tensor<8x64xf32, #qtale.int<bits = 4, group = 32, scales = f32>>, tensor<8x64xf32, #qtale.int<bits = 8, group = 32>>)
func.func private @wide_scales(tensor<8x64xf32, #qtale.int<bits = 4, group = 32, scales = f32>>, tensor<8x64xf32, #qtale.int<bits = 8, group = 32, scales = f16>>)
// CHECK: @packed(tensor<8x64xf32, #qtale.packed<#qtale.int<bits = 4, group = 64>>>, tensor<8x64xf16, #qtale.packed<f16>>, tensor<8x64xbf16, #qtale.packed<bf16>>, tensor<8x64xi8, #qtale.packed<i8>>, tensor<8x64xui8, #qtale.packed<ui8>>)
func.func private @packed(tensor<8x64xf32, #qtale.packed<#qtale.int<bits = 4, group = 64>>>, tensor<8x64xf16, #qtale.packed<f16>>, tensor<8x64xbf16, #qtale.packed<bf16>>, tensor<8x64xi8, #qtale.packed<i8>>, tensor<8x64xui8, #qtale.packed<ui8>>)
// CHECK: @int_rows(tensor<?x40xf32, #qtale.int_rows<pad = 64>>)
func.func private @int_rows(tensor<?x40xf32, #qtale.int_rows<pad = 64>>)
// CHECK: @kv_cache(!qtale.kv_cache<4x8xf32>, !qtale.kv_cache<1x128xf16>, !qtale.kv_cache<4x8xi8, ragged>)
func.func private @kv_cache(!qtale.kv_cache<4x8xf32>, !qtale.kv_cache<1x128xf16>, !qtale.kv_cache<4x8xi8, ragged>)

#f32 = #qtale.source<file = "w.bin", offset = 64, bytes = 96, type = tensor<4x6xf32>>
#u4 = #qtale.source<file = "w.bin", offset = 0, bytes = 5, type = tensor<3x3xui4>>
#scale = #qtale.source<file = "w.bin", offset = 8, bytes = 12, type = tensor<3xf32>>
#zero = #qtale.source<file = "w.bin", offset = 20, bytes = 2, type = tensor<3xui4>>
#blocks = #qtale.source<file = "w.bin", offset = 8, bytes = 24, type = tensor<3x2xf32>>
#rows = #qtale.source<file = "w.bin", offset = 8, bytes = 12, type = tensor<3x1xf32>>
#rowzeros = #qtale.source<file = "w.bin", offset = 20, bytes = 2, type = tensor<3x1xui4>>

// CHECK: @transpose : tensor<6x4xf32> = #qtale.transpose<#qtale.source<file = "w.bin", offset = 64, bytes = 96, type = tensor<4x6xf32>>, [1, 0]>
qtale.weight @transpose : tensor<6x4xf32> = #qtale.transpose<#f32, [1, 0]>
// CHECK: @reshape : tensor<2x12xf32> = #qtale.reshape<#qtale.source<{{.*}}>, tensor<2x12xf32>>
qtale.weight @reshape : tensor<2x12xf32> = #qtale.reshape<#f32, tensor<2x12xf32>>
// CHECK: @slice : tensor<4x2xf32> = #qtale.slice<#qtale.source<{{.*}}>, axis = 1, begin = 4, size = 2>
qtale.weight @slice : tensor<4x2xf32> = #qtale.slice<#f32, axis = 1, begin = 4, size = 2>
// CHECK: @concat : tensor<8x6xf32> = #qtale.concat<[#qtale.source<{{.*}}>, #qtale.source<{{.*}}>], axis = 0>
qtale.weight @concat : tensor<8x6xf32> = #qtale.concat<[#f32, #f32], axis = 0>
// CHECK: @cast : tensor<4x6xbf16> = #qtale.cast<#qtale.source<{{.*}}>, bf16>
qtale.weight @cast : tensor<4x6xbf16> = #qtale.cast<#f32, bf16>
// Two 4-bit elements share a byte: 9 of them need 5.
// CHECK: @dequantize : tensor<3x3xf32> = #qtale.dequantize<#qtale.source<{{.*}} bytes = 5, {{.*}}>, #qtale.source<{{.*}}>, axis = 1, block = 0>
qtale.weight @dequantize : tensor<3x3xf32> = #qtale.dequantize<#u4, #scale, axis = 1, block = 0>
// CHECK: @zero : tensor<3x3xf32> = #qtale.dequantize<#qtale.source<{{.*}}>, #qtale.source<{{.*}}> zero = #qtale.source<{{.*}}>, axis = 0, block = 0>
qtale.weight @zero : tensor<3x3xf32> = #qtale.dequantize<#u4, #scale zero = #zero, axis = 0, block = 0>
// 3 columns in blocks of 2 have 2 scales.
// CHECK: @blocks : tensor<3x3xf32> = #qtale.dequantize<#qtale.source<{{.*}}>, #qtale.source<{{.*}}>, axis = 1, block = 2>
qtale.weight @blocks : tensor<3x3xf32> = #qtale.dequantize<#u4, #blocks, axis = 1, block = 2>
// Six elements of 6 bits need 5 bytes; unpacked they are bytes.
// CHECK: @unpacked : tensor<6xi8> = #qtale.cast<#qtale.source<{{.*}} bytes = 5, type = tensor<6xui6>>, i8>
qtale.weight @unpacked : tensor<6xi8> = #qtale.cast<#qtale.source<file = "w.bin", offset = 0, bytes = 5, type = tensor<6xui6>>, i8>
// CHECK: @float8 : tensor<3x3xf32> = #qtale.dequantize<#qtale.source<{{.*}} type = tensor<3x3xf8E4M3FN>>, #qtale.source<{{.*}}>, axis = 1, block = 0>
qtale.weight @float8 : tensor<3x3xf32> = #qtale.dequantize<#qtale.source<file = "w.bin", offset = 0, bytes = 9, type = tensor<3x3xf8E4M3FN>>, #scale, axis = 1, block = 0>
// CHECK: @quantize : tensor<4x6xf32, #qtale.int<bits = 8, group = 32>> = #qtale.quantize<#qtale.source<{{.*}}>, <bits = 8, group = 32>>
qtale.weight @quantize : tensor<4x6xf32, #qtale.int<bits = 8, group = 32>> = #qtale.quantize<#f32, #qtale.int<bits = 8, group = 32>>
// CHECK: @pack : tensor<4x6xf32, #qtale.packed<f32>> = #qtale.pack<#qtale.source<{{.*}}>>
qtale.weight @pack : tensor<4x6xf32, #qtale.packed<f32>> = #qtale.pack<#f32>
// CHECK: @pack_int : tensor<4x6xf32, #qtale.packed<#qtale.int<bits = 4, group = 32>>> = #qtale.pack<#qtale.quantize<#qtale.source<{{.*}}>, {{.*}}>> {offset = 128 : i64}
qtale.weight @pack_int : tensor<4x6xf32, #qtale.packed<#qtale.int<bits = 4, group = 32>>> = #qtale.pack<#qtale.quantize<#f32, #qtale.int<bits = 4, group = 32>>> {offset = 128}
// CHECK: @integers : tensor<3x3xf32, #qtale.int<bits = 4, group = 32, asymmetric = true, scales = f32>> = #qtale.integers<#qtale.source<{{.*}}>, #qtale.source<{{.*}}>, block = 64, <bits = 4, group = 32, asymmetric = true, scales = f32>>
qtale.weight @integers : tensor<3x3xf32, #qtale.int<bits = 4, group = 32, asymmetric = true, scales = f32>> = #qtale.integers<#u4, #rows, block = 64, #qtale.int<bits = 4, group = 32, asymmetric = true, scales = f32>>
// CHECK: @integers_zero : {{.*}} = #qtale.integers<#qtale.source<{{.*}}>, #qtale.source<{{.*}}> zero = #qtale.source<{{.*}}>, block = 0, <
qtale.weight @integers_zero : tensor<3x3xf32, #qtale.int<bits = 4, group = 32, asymmetric = true, scales = f32>> = #qtale.integers<#u4, #rows zero = #rowzeros, block = 0, <bits = 4, group = 32, asymmetric = true, scales = f32>>
