// RUN: qtale-opt %s --pass-pipeline="builtin.module(func.func(qtale-entry-arguments))" | FileCheck %s
//
// An entry takes descriptors: inputs, then results, which the first thread
// writes. Kernels and functions without a context stay.

// CHECK-LABEL: func.func @main(
// CHECK-SAME:    %[[CONTEXT:.*]]: !qtale.context, %[[ARGUMENTS:.*]]: !llvm.ptr) -> i32 {
// CHECK-NEXT:  %[[X:.*]] = qtale.load_argument %[[ARGUMENTS]], 0 : !llvm.ptr, memref<?x8xf32>
// CHECK-NEXT:  %[[Y:.*]] = qtale.load_argument %[[ARGUMENTS]], 1 : !llvm.ptr, memref<i64>
// CHECK:       %[[Z:.*]] = qtale.arena
// CHECK-NEXT:  %[[THREAD:.*]] = qtale.thread %[[CONTEXT]]
// CHECK-NEXT:  %[[C0:.*]] = arith.constant 0 : index
// CHECK-NEXT:  %[[FIRST:.*]] = arith.cmpi eq, %[[THREAD]], %[[C0]]
// CHECK-NEXT:  scf.if %[[FIRST]] {
// CHECK-NEXT:    qtale.store_result %[[ARGUMENTS]], 2, %[[Z]] : !llvm.ptr, memref<i64>
// CHECK-NEXT:    qtale.store_result %[[ARGUMENTS]], 3, %[[X]] : !llvm.ptr, memref<?x8xf32>
// CHECK-NEXT:    qtale.store_result %[[ARGUMENTS]], 4, %[[X]] : !llvm.ptr, memref<?x8xf32>
// CHECK-NEXT:  }
// CHECK-NEXT:  %[[OK:.*]] = arith.constant 0 : i32
// CHECK-NEXT:  return %[[OK]] : i32
func.func @main(%context: !qtale.context, %x: memref<?x8xf32> {qtale.name = "x"}, %y: memref<i64>) -> (memref<i64>, memref<?x8xf32>, memref<?x8xf32> {qtale.name = "z"}) {
  %c0 = arith.constant 0 : index
  %z = qtale.arena %context, %c0[] : memref<i64>
  return %z, %x, %x : memref<i64>, memref<?x8xf32>, memref<?x8xf32>
}

// CHECK: func.func private @kernel(%{{.*}}: !qtale.context, %{{.*}}: memref<?x8xf32>) {
func.func private @kernel(%context: !qtale.context, %x: memref<?x8xf32>) {
  return
}

// CHECK: func.func @step_scratch(%{{.*}}: i64, %{{.*}}: i64) -> i64 {
func.func @step_scratch(%rows: i64, %logit_rows: i64) -> i64 {
  return %rows : i64
}
