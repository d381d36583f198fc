// What canonicalization makes of recipes and of additions of zero.
// RUN: qtale-opt %s --canonicalize | FileCheck %s

// Transposes compose, and vanish where they undo each other.
// CHECK: qtale.weight @twice : tensor<2x3xf32> = #qtale.source<
qtale.weight @twice : tensor<2x3xf32> = #qtale.transpose<#qtale.transpose<#qtale.source<file = "w", offset = 0, bytes = 24, type = tensor<2x3xf32>>, [1, 0]>, [1, 0]>
// CHECK: qtale.weight @turned : tensor<4x2x3xf32> = #qtale.transpose<#qtale.source<{{.*}}>, [2, 0, 1]>
qtale.weight @turned : tensor<4x2x3xf32> = #qtale.transpose<#qtale.transpose<#qtale.source<file = "w", offset = 0, bytes = 96, type = tensor<2x3x4xf32>>, [1, 2, 0]>, [1, 2, 0]>
// Only the last shape counts.
// CHECK: qtale.weight @flat : tensor<6xf32> = #qtale.reshape<#qtale.source<{{.*}}>, tensor<6xf32>>
qtale.weight @flat : tensor<6xf32> = #qtale.reshape<#qtale.reshape<#qtale.source<file = "w", offset = 0, bytes = 24, type = tensor<2x3xf32>>, tensor<3x2xf32>>, tensor<6xf32>>
// Slices of one axis add up; slices of two axes stay two.
// CHECK: qtale.weight @part : tensor<2x3xf32> = #qtale.slice<#qtale.source<{{.*}}>, axis = 0, begin = 3, size = 2>
qtale.weight @part : tensor<2x3xf32> = #qtale.slice<#qtale.slice<#qtale.source<file = "w", offset = 0, bytes = 96, type = tensor<8x3xf32>>, axis = 0, begin = 2, size = 4>, axis = 0, begin = 1, size = 2>
// CHECK: qtale.weight @corner : tensor<2x2xf32> = #qtale.slice<#qtale.slice<
qtale.weight @corner : tensor<2x2xf32> = #qtale.slice<#qtale.slice<#qtale.source<file = "w", offset = 0, bytes = 96, type = tensor<8x3xf32>>, axis = 0, begin = 2, size = 2>, axis = 1, begin = 1, size = 2>
// CHECK: qtale.weight @whole : tensor<8x3xf32> = #qtale.source<
qtale.weight @whole : tensor<8x3xf32> = #qtale.slice<#qtale.concat<[#qtale.cast<#qtale.source<file = "w", offset = 0, bytes = 96, type = tensor<8x3xf32>>, f32>], axis = 0>, axis = 0, begin = 0, size = 8>

// CHECK-LABEL: func @adds_zero
// CHECK: qtale.matmul %{{.*}}, %{{.*}} : tensor<?x64xf32>, tensor<9x64xf32> -> tensor<?x9xf32>
func.func @adds_zero(%x: tensor<?x64xf32>, %w: tensor<9x64xf32>) -> tensor<?x9xf32> {
  %zero = arith.constant dense<0.0> : tensor<9xf32>
  %y = qtale.matmul %x, %w bias(%zero : tensor<9xf32>) : tensor<?x64xf32>, tensor<9x64xf32> -> tensor<?x9xf32>
  return %y : tensor<?x9xf32>
}

// A bias that is not zero stays.
// CHECK-LABEL: func @adds_one
// CHECK: qtale.matmul %{{.*}}, %{{.*}} bias(
func.func @adds_one(%x: tensor<?x64xf32>, %w: tensor<9x64xf32>) -> tensor<?x9xf32> {
  %one = arith.constant dense<1.0> : tensor<9xf32>
  %y = qtale.matmul %x, %w bias(%one : tensor<9xf32>) : tensor<?x64xf32>, tensor<9x64xf32> -> tensor<?x9xf32>
  return %y : tensor<?x9xf32>
}
