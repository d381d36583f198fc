// A group that expands to two dynamic dimensions, which upstream's
// expand-strided-metadata can't; sizes are the operation's own, strides products.
// RUN: qtale-opt %s --pass-pipeline="builtin.module(func.func(qtale-lower-expand-shape))" | FileCheck %s --implicit-check-not=memref.expand_shape

// CHECK-LABEL: @two_dynamic
// CHECK-SAME:    (%[[X:.*]]: memref<?x64xf32>, %[[B:.*]]: index, %[[S:.*]]: index)
// CHECK:         %[[BASE:.*]], %{{.*}}, %{{.*}}:2, %[[STRIDES:.*]]:2 = memref.extract_strided_metadata %[[X]]
// CHECK:         %[[ROW:.*]] = arith.muli %[[STRIDES]]#0, %[[S]]
// CHECK:         memref.reinterpret_cast %[[BASE]] to offset: [0], sizes: [%[[B]], %[[S]], 64], strides: [%[[ROW]], 64, 1]
func.func @two_dynamic(%x: memref<?x64xf32>, %b: index, %s: index) -> memref<?x?x64xf32> {
  %y = memref.expand_shape %x [[0, 1], [2]] output_shape [%b, %s, 64] : memref<?x64xf32> into memref<?x?x64xf32>
  return %y : memref<?x?x64xf32>
}

// A view keeps its offset.
// CHECK-LABEL: @view
// CHECK:         %{{.*}}, %[[OFFSET:.*]], %{{.*}}:2, %{{.*}}:2 = memref.extract_strided_metadata
// CHECK:         memref.reinterpret_cast %{{.*}} to offset: [%[[OFFSET]]], sizes: [%{{.*}}, 4, 8], strides: [96, 8, 1]
func.func @view(%x: memref<?x32xf32, strided<[96, 1], offset: ?>>, %n: index) -> memref<?x4x8xf32, strided<[96, 8, 1], offset: ?>> {
  %y = memref.expand_shape %x [[0], [1, 2]] output_shape [%n, 4, 8] : memref<?x32xf32, strided<[96, 1], offset: ?>> into memref<?x4x8xf32, strided<[96, 8, 1], offset: ?>>
  return %y : memref<?x4x8xf32, strided<[96, 8, 1], offset: ?>>
}

// A scalar becomes a dimension of one.
// CHECK-LABEL: @scalar
// CHECK:         memref.reinterpret_cast %{{.*}} to offset: [0], sizes: [1], strides: [1]
func.func @scalar(%x: memref<f32>) -> memref<1xf32> {
  %y = memref.expand_shape %x [] output_shape [1] : memref<f32> into memref<1xf32>
  return %y : memref<1xf32>
}
