// RUN: qtale-opt %s --pass-pipeline="builtin.module(func.func(qtale-materialize-copies))" | FileCheck %s --implicit-check-not=memref.copy
//
// A copy is a loop like any other, over all axes of its target, or none.

// CHECK: #[[ID:.*]] = affine_map<(d0, d1) -> (d0, d1)>
// CHECK: #[[NONE:.*]] = affine_map<() -> ()>

// CHECK-LABEL: @matrix
// CHECK:       linalg.generic {indexing_maps = [#[[ID]], #[[ID]]], iterator_types = ["parallel", "parallel"]} ins(%arg0 : memref<?x8xf32, strided<[?, 2]>>) outs(%arg1 : memref<?x8xf32>)
// CHECK-NEXT:  ^bb0(%[[IN:.*]]: f32, %{{.*}}: f32):
// CHECK-NEXT:    linalg.yield %[[IN]]
func.func @matrix(%a: memref<?x8xf32, strided<[?, 2]>>, %b: memref<?x8xf32>) {
  memref.copy %a, %b : memref<?x8xf32, strided<[?, 2]>> to memref<?x8xf32>
  return
}

// CHECK-LABEL: @scalar
// CHECK:       linalg.generic {indexing_maps = [#[[NONE]], #[[NONE]]], iterator_types = []}
func.func @scalar(%a: memref<i1>, %b: memref<i1>) {
  memref.copy %a, %b : memref<i1> to memref<i1>
  return
}

// Of unknown axes there are no loops.
// CHECK-LABEL: @unranked
// CHECK-NEXT:  memref.copy %arg0, %arg1
// CHECK-NEXT:  memref.copy %arg0, %arg2
func.func @unranked(%a: memref<*xf32>, %b: memref<*xf32>, %c: memref<4xf32>) {
  memref.copy %a, %b : memref<*xf32> to memref<*xf32>
  memref.copy %a, %c : memref<*xf32> to memref<4xf32>
  return
}
