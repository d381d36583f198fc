// RUN: qtale-opt %s --split-input-file --verify-diagnostics
//
// What recipes of weights refuse: a test for each numbered constraint.

// expected-error@+1 {{source can't be of type 'tensor<4xi3>'}}
qtale.weight @source_c1 : tensor<4xi3> = #qtale.source<file = "w.bin", offset = 0, bytes = 2, type = tensor<4xi3>>

// -----

// expected-error@+1 {{source can't be of type 'tensor<?xf32>'}}
qtale.weight @source_c1_dynamic : tensor<4xf32> = #qtale.source<file = "w.bin", offset = 0, bytes = 16, type = tensor<?xf32>>

// -----

// Its bytes would be 0, counted with 64 bits.
// expected-error@+1 {{source of type 'tensor<4611686018427387904x4xf32>' is larger than any file that can be mapped}}
qtale.weight @source_c1_large : tensor<4xf32> = #qtale.source<file = "w.bin", offset = 0, bytes = 0, type = tensor<4611686018427387904x4xf32>>

// -----

// expected-error@+1 {{source of type 'tensor<4xf32>' needs 16 bytes at an offset of at least 0, but has 12 at 0}}
qtale.weight @source_c2 : tensor<4xf32> = #qtale.source<file = "w.bin", offset = 0, bytes = 12, type = tensor<4xf32>>

// -----

// expected-error@+1 {{needs 16 bytes at an offset of at least 0, but has 16 at -4}}
qtale.weight @source_c2_offset : tensor<4xf32> = #qtale.source<file = "w.bin", offset = -4, bytes = 16, type = tensor<4xf32>>

// -----

#w = #qtale.source<file = "w.bin", offset = 0, bytes = 24, type = tensor<2x3xf32>>
// expected-error@+1 {{perm must be a permutation of 2 axes, but is array<i64: 0, 0>}}
qtale.weight @transpose_c1 : tensor<2x2xf32> = #qtale.transpose<#w, [0, 0]>

// -----

#w = #qtale.source<file = "w.bin", offset = 0, bytes = 24, type = tensor<2x3xf32>>
// expected-error@+1 {{perm must be a permutation of 2 axes, but is array<i64: 0>}}
qtale.weight @transpose_c1_short : tensor<2xf32> = #qtale.transpose<#w, [0]>

// -----

#w = #qtale.source<file = "w.bin", offset = 0, bytes = 24, type = tensor<2x3xf32>>
// expected-error@+1 {{can't reshape 'tensor<2x3xf32>' to 'tensor<5xf32>'}}
qtale.weight @reshape_c1 : tensor<5xf32> = #qtale.reshape<#w, tensor<5xf32>>

// -----

#w = #qtale.source<file = "w.bin", offset = 0, bytes = 24, type = tensor<2x3xf32>>
// expected-error@+1 {{can't reshape 'tensor<2x3xf32>' to 'tensor<6xi32>'}}
qtale.weight @reshape_c1_element : tensor<6xi32> = #qtale.reshape<#w, tensor<6xi32>>

// -----

#w = #qtale.source<file = "w.bin", offset = 0, bytes = 24, type = tensor<2x3xf32>>
// expected-error@+1 {{slice of 2 from 2 on, along axis 1, is not within 'tensor<2x3xf32>'}}
qtale.weight @slice_c1 : tensor<2x2xf32> = #qtale.slice<#w, axis = 1, begin = 2, size = 2>

// -----

#w = #qtale.source<file = "w.bin", offset = 0, bytes = 24, type = tensor<2x3xf32>>
// expected-error@+1 {{slice of 1 from 0 on, along axis 2, is not within 'tensor<2x3xf32>'}}
qtale.weight @slice_c1_axis : tensor<2x3xf32> = #qtale.slice<#w, axis = 2, begin = 0, size = 1>

// -----

#w = #qtale.source<file = "w.bin", offset = 0, bytes = 24, type = tensor<2x3xf32>>
// The sum of begin and size is beyond 64 bits.
// expected-error@+1 {{slice of 1 from 9223372036854775807 on, along axis 0, is not within 'tensor<2x3xf32>'}}
qtale.weight @slice_c1_overflow : tensor<2x3xf32> = #qtale.slice<#w, axis = 0, begin = 9223372036854775807, size = 1>

// -----

#a = #qtale.source<file = "w.bin", offset = 0, bytes = 24, type = tensor<2x3xf32>>
#b = #qtale.source<file = "w.bin", offset = 0, bytes = 16, type = tensor<2x2xf32>>
// expected-error@+1 {{can't concat 'tensor<2x3xf32>' and 'tensor<2x2xf32>' along axis 0}}
qtale.weight @concat_c1 : tensor<4x3xf32> = #qtale.concat<[#a, #b], axis = 0>

// -----

// expected-error@+1 {{concat needs an input}}
qtale.weight @concat_c1_empty : tensor<4x3xf32> = #qtale.concat<[], axis = 0>

// -----

// expected-error@+1 {{concat takes recipes, but has 3 : i64}}
qtale.weight @concat_c1_recipe : tensor<4x3xf32> = #qtale.concat<[3], axis = 0>

// -----

#w = #qtale.source<file = "w.bin", offset = 0, bytes = 24, type = tensor<2x3xi32>>
// expected-error@+1 {{can't cast a weight from 'i32' to 'f32'}}
qtale.weight @cast_c1 : tensor<2x3xf32> = #qtale.cast<#w, f32>

// -----

#w = #qtale.source<file = "w.bin", offset = 0, bytes = 3, type = tensor<2x3xi4>>
// expected-error@+1 {{can't cast a weight from 'i4' to 'i8'}}
qtale.weight @cast_c1_signed : tensor<2x3xi8> = #qtale.cast<#w, i8>

// -----

#w = #qtale.source<file = "w.bin", offset = 0, bytes = 6, type = tensor<2x3xi8>>
#s = #qtale.source<file = "w.bin", offset = 0, bytes = 12, type = tensor<3xf32>>
#z = #qtale.source<file = "w.bin", offset = 0, bytes = 3, type = tensor<3xui8>>
// expected-error@+1 {{can't dequantize 'tensor<2x3xi8>' with scales 'tensor<3xf32>' and these zero points}}
qtale.weight @dequantize_c1 : tensor<2x3xf32> = #qtale.dequantize<#w, #s zero = #z, axis = 1, block = 0>

// -----

#w = #qtale.source<file = "w.bin", offset = 0, bytes = 24, type = tensor<2x3xf32>>
// expected-error@+1 {{can't dequantize 'tensor<2x3xf32>' with scales 'tensor<2x3xf32>'}}
qtale.weight @dequantize_c1_floats : tensor<2x3xf32> = #qtale.dequantize<#w, #w, axis = 0, block = 1>

// -----

#w = #qtale.source<file = "w.bin", offset = 0, bytes = 6, type = tensor<2x3xi8>>
#s = #qtale.source<file = "w.bin", offset = 0, bytes = 12, type = tensor<3xf32>>
// expected-error@+1 {{scales 'tensor<3xf32>' fit neither the tensor, nor axis 0, nor blocks of 0 of 'tensor<2x3xi8>'}}
qtale.weight @dequantize_c2 : tensor<2x3xf32> = #qtale.dequantize<#w, #s, axis = 0, block = 0>

// -----

#w = #qtale.source<file = "w.bin", offset = 0, bytes = 24, type = tensor<6xf32>>
// expected-error@+1 {{only a matrix of floats is quantized, not 'tensor<6xf32>'}}
qtale.weight @quantize_c1 : tensor<6xf32> = #qtale.quantize<#w, <bits = 4, group = 32>>

// -----

#q = #qtale.source<file = "w.bin", offset = 0, bytes = 128, type = tensor<2x64xi8>>
#s = #qtale.source<file = "w.bin", offset = 0, bytes = 8, type = tensor<2x1xf32>>
// expected-error@+1 {{values of #qtale.int<bits = 4, group = 32, scales = f32> are a matrix of such integers, not 'tensor<2x64xi8>'}}
qtale.weight @integers_c1 : tensor<2x64xf32> = #qtale.integers<#q, #s, block = 0, <bits = 4, group = 32, scales = f32>>

// -----

#q = #qtale.source<file = "w.bin", offset = 0, bytes = 128, type = tensor<2x64xi8>>
#s = #qtale.source<file = "w.bin", offset = 0, bytes = 8, type = tensor<2x1xf32>>
// expected-error@+1 {{scales 'tensor<2x1xf32>' fit no blocks of 32 of 'tensor<2x64xi8>'}}
qtale.weight @integers_c2 : tensor<2x64xf32> = #qtale.integers<#q, #s, block = 32, <bits = 8, group = 32, scales = f32>>

// -----

#q = #qtale.source<file = "w.bin", offset = 0, bytes = 128, type = tensor<2x64xi8>>
#s = #qtale.source<file = "w.bin", offset = 0, bytes = 8, type = tensor<2x1xf32>>
// expected-error@+1 {{#qtale.int<bits = 8, group = 32> can't hold scales of 'f32'}}
qtale.weight @integers_c2_narrow : tensor<2x64xf32> = #qtale.integers<#q, #s, block = 0, <bits = 8, group = 32>>

// -----

#q = #qtale.source<file = "w.bin", offset = 0, bytes = 128, type = tensor<2x64xi8>>
#s = #qtale.source<file = "w.bin", offset = 0, bytes = 8, type = tensor<2x2xf16>>
// expected-error@+1 {{block must be 0 or a multiple of 64, but is 32}}
qtale.weight @integers_c3 : tensor<2x64xf32> = #qtale.integers<#q, #s, block = 32, <bits = 8, group = 64>>

// -----

#q = #qtale.source<file = "w.bin", offset = 0, bytes = 128, type = tensor<2x64xi8>>
#s = #qtale.source<file = "w.bin", offset = 0, bytes = 4, type = tensor<2x1xf16>>
// expected-error@+1 {{block must be 0 or a multiple of 64, but is -64}}
qtale.weight @integers_c3_negative : tensor<2x64xf32> = #qtale.integers<#q, #s, block = -64, <bits = 8, group = 64>>

// -----

#q = #qtale.source<file = "w.bin", offset = 0, bytes = 128, type = tensor<2x64xi8>>
#s = #qtale.source<file = "w.bin", offset = 0, bytes = 4, type = tensor<2x1xf16>>
#z = #qtale.source<file = "w.bin", offset = 0, bytes = 2, type = tensor<2x1xui8>>
// expected-error@+1 {{zero points 'tensor<2x1xui8>' don't fit integers 'tensor<2x64xi8>' with scales 'tensor<2x1xf16>'}}
qtale.weight @integers_c4 : tensor<2x64xf32> = #qtale.integers<#q, #s zero = #z, block = 0, <bits = 8, group = 64, asymmetric = true>>

// -----

#q = #qtale.source<file = "w.bin", offset = 0, bytes = 128, type = tensor<2x64xui8>>
#s = #qtale.source<file = "w.bin", offset = 0, bytes = 4, type = tensor<2x1xf16>>
// expected-error@+1 {{#qtale.int<bits = 8, group = 64> must be asymmetric for 'ui8' without zero points}}
qtale.weight @integers_c5 : tensor<2x64xf32> = #qtale.integers<#q, #s, block = 0, <bits = 8, group = 64>>

// -----

#w = #qtale.source<file = "w.bin", offset = 0, bytes = 48, type = tensor<2x3xf64>>
// expected-error@+1 {{can't pack 'tensor<2x3xf64>'}}
qtale.weight @pack_c1 : tensor<2x3xf64> = #qtale.pack<#w>

// -----

// What holds nothing has no sizes that could overflow, either.
#w = #qtale.source<file = "w.bin", offset = 0, bytes = 0, type = tensor<0x3xf32>>
// expected-error@+1 {{can't reshape 'tensor<0x3xf32>' to 'tensor<0x4611686018427387904xf32>'}}
qtale.weight @reshape_of_nothing : tensor<0x4611686018427387904xf32> = #qtale.reshape<#w, tensor<0x4611686018427387904xf32>>

// -----

#w = #qtale.source<file = "w.bin", offset = 0, bytes = 128, type = tensor<1x32xf32>>
#q = #qtale.quantize<#w, <bits = 8, group = 32>>
// expected-error@+1 {{must not be made of what is quantized or packed: 'tensor<1x32xf32, #qtale.int<bits = 8, group = 32>>'}}
qtale.weight @transpose_c2 : tensor<32x1xf32> = #qtale.transpose<#q, [1, 0]>

// -----

#w = #qtale.source<file = "w.bin", offset = 0, bytes = 128, type = tensor<1x32xf32>>
#q = #qtale.quantize<#w, <bits = 8, group = 32>>
// expected-error@+1 {{must not be made of what is quantized or packed: 'tensor<1x32xf32, #qtale.int<bits = 8, group = 32>>'}}
qtale.weight @reshape_c2 : tensor<32xf32> = #qtale.reshape<#q, tensor<32xf32>>

// -----

#w = #qtale.source<file = "w.bin", offset = 0, bytes = 128, type = tensor<1x32xf32>>
#q = #qtale.quantize<#w, <bits = 8, group = 32>>
// expected-error@+1 {{must not be made of what is quantized or packed: 'tensor<1x32xf32, #qtale.int<bits = 8, group = 32>>'}}
qtale.weight @slice_c2 : tensor<1x32xf32> = #qtale.slice<#q, axis = 0, begin = 0, size = 1>

// -----

#w = #qtale.source<file = "w.bin", offset = 0, bytes = 128, type = tensor<1x32xf32>>
#q = #qtale.quantize<#w, <bits = 8, group = 32>>
// expected-error@+1 {{must not be made of what is quantized or packed: 'tensor<1x32xf32, #qtale.int<bits = 8, group = 32>>'}}
qtale.weight @concat_c2 : tensor<2x32xf32> = #qtale.concat<[#w, #q], axis = 0>

// -----

#w = #qtale.source<file = "w.bin", offset = 0, bytes = 128, type = tensor<1x32xf32>>
#q = #qtale.quantize<#w, <bits = 8, group = 32>>
// expected-error@+1 {{must not be made of what is quantized or packed: 'tensor<1x32xf32, #qtale.int<bits = 8, group = 32>>'}}
qtale.weight @cast_c2 : tensor<1x32xf16> = #qtale.cast<#q, f16>

// -----

#w = #qtale.source<file = "w.bin", offset = 0, bytes = 4, type = tensor<1x4xi8>>
#s = #qtale.source<file = "w.bin", offset = 0, bytes = 128, type = tensor<1x32xf32>>
// expected-error@+1 {{must not be made of what is quantized or packed}}
qtale.weight @dequantize_c3 : tensor<1x4xf32> = #qtale.dequantize<#w, #qtale.quantize<#s, <bits = 8, group = 32>>, axis = 0, block = 0>

// -----

#w = #qtale.source<file = "w.bin", offset = 0, bytes = 4, type = tensor<4xi8>>
#s = #qtale.source<file = "w.bin", offset = 0, bytes = 4, type = tensor<f32>>
// expected-error@+1 {{scales 'tensor<f32>' fit neither the tensor, nor axis 0, nor blocks of 2 of 'tensor<4xi8>'}}
qtale.weight @dequantize_c2_block_of_scalar : tensor<4xf32> = #qtale.dequantize<#w, #s, axis = 0, block = 2>

// -----

#w = #qtale.source<file = "w.bin", offset = 0, bytes = 32, type = tensor<1x32xi8>>
#s = #qtale.source<file = "w.bin", offset = 0, bytes = 128, type = tensor<1x32xf32>>
// expected-error@+1 {{must not be made of what is quantized or packed}}
qtale.weight @integers_c6 : tensor<1x32xf32> = #qtale.integers<#w, #qtale.quantize<#s, <bits = 8, group = 32>>, block = 0, <bits = 8, group = 32>>

// -----

#w = #qtale.source<file = "w.bin", offset = 0, bytes = 16, type = tensor<4xf32>>
// expected-error@+1 {{can't reshape 'tensor<4xf32>' to 'tensor<4xindex>'}}
qtale.weight @reshape_c1_element : tensor<4xf32> = #qtale.reshape<#w, tensor<4xindex>>

// -----

#w = #qtale.source<file = "w.bin", offset = 0, bytes = 128, type = tensor<32xf32>>
// expected-error@+1 {{can't reshape 'tensor<32xf32>' to 'tensor<1x32xf32, #qtale.packed<f32>>'}}
qtale.weight @reshape_c1_encoding : tensor<1x32xf32, #qtale.packed<f32>> = #qtale.reshape<#w, tensor<1x32xf32, #qtale.packed<f32>>>

// -----

#w = #qtale.source<file = "w.bin", offset = 0, bytes = 70368744177664, type = tensor<70368744177664xi8>>
// expected-error@+1 {{concat is larger than any file that can be mapped}}
qtale.weight @concat_c3 : tensor<140737488355328xi8> = #qtale.concat<[#w, #w], axis = 0>

// -----

#w = #qtale.source<file = "w.bin", offset = 0, bytes = 70368744177664, type = tensor<35184372088832xf16>>
// expected-error@+1 {{cast to 'f32' is larger than any file that can be mapped}}
qtale.weight @cast_c3 : tensor<35184372088832xf32> = #qtale.cast<#w, f32>

// -----

// As a tree, a recipe of 17 lines has more than 2^16 recipes in it.
#a0 = #qtale.source<file = "w.bin", offset = 0, bytes = 4, type = tensor<1xf32>>
#a1 = #qtale.concat<[#a0, #a0], axis = 0>
#a2 = #qtale.concat<[#a1, #a1], axis = 0>
#a3 = #qtale.concat<[#a2, #a2], axis = 0>
#a4 = #qtale.concat<[#a3, #a3], axis = 0>
#a5 = #qtale.concat<[#a4, #a4], axis = 0>
#a6 = #qtale.concat<[#a5, #a5], axis = 0>
#a7 = #qtale.concat<[#a6, #a6], axis = 0>
#a8 = #qtale.concat<[#a7, #a7], axis = 0>
#a9 = #qtale.concat<[#a8, #a8], axis = 0>
#a10 = #qtale.concat<[#a9, #a9], axis = 0>
#a11 = #qtale.concat<[#a10, #a10], axis = 0>
#a12 = #qtale.concat<[#a11, #a11], axis = 0>
#a13 = #qtale.concat<[#a12, #a12], axis = 0>
#a14 = #qtale.concat<[#a13, #a13], axis = 0>
#a15 = #qtale.concat<[#a14, #a14], axis = 0>
// expected-error@+1 {{has more than 65536 recipes in it, or more than 512 within each other}}
#a16 = #qtale.concat<[#a15, #a15], axis = 0>
qtale.weight @too_large : tensor<65536xf32> = #a16
