// RUN: qtale-opt %s --qtale-kernels-to-llvm --reconcile-unrealized-casts --cse --canonicalize | FileCheck %s --implicit-check-not="qtale." --implicit-check-not=builtin.unrealized
//
// Where the context's fields stand (ModuleABI.h): kept 64, probability 72, rows 80;
// kernels-to-llvm.test compares these with the header.

// CHECK-DAG: llvm.func @qtale_rt_kv_reserve(!llvm.ptr, i64, !llvm.ptr, !llvm.ptr, !llvm.ptr, i64, !llvm.ptr) -> i32

// Both are [units, rows].
// CHECK-LABEL: llvm.func @record
// CHECK-SAME:    (%[[CONTEXT:.*]]: !llvm.ptr, %[[UNIT:.*]]: i64, %[[ROW:.*]]: i64,
// CHECK:       %[[AT:.*]] = llvm.getelementptr %[[CONTEXT]][80]
// CHECK:       %[[ROWS:.*]] = llvm.load %[[AT]] : !llvm.ptr -> i64
// CHECK:       %[[FIRST:.*]] = llvm.mul %[[UNIT]], %[[ROWS]]
// CHECK:       %[[AT0:.*]] = llvm.getelementptr %[[CONTEXT]][64]
// CHECK:       %[[KEPT:.*]] = llvm.load %[[AT0]] : !llvm.ptr -> !llvm.ptr
// CHECK:       %[[K:.*]] = llvm.getelementptr %[[KEPT]][%[[FIRST]]] : (!llvm.ptr, i64) -> !llvm.ptr, i8
// CHECK:       %[[AT1:.*]] = llvm.getelementptr %[[CONTEXT]][72]
// CHECK:       %[[PROBABILITY:.*]] = llvm.load %[[AT1]] : !llvm.ptr -> !llvm.ptr
// CHECK:       %[[P:.*]] = llvm.getelementptr %[[PROBABILITY]][%[[FIRST]]] : (!llvm.ptr, i64) -> !llvm.ptr, f32
// CHECK:       llvm.getelementptr {{.*}}%[[K]][%[[ROW]]]
// CHECK:       llvm.getelementptr {{.*}}%[[P]][%[[ROW]]]
func.func @record(%context: !qtale.context, %unit: index, %row: index, %flag: i8, %p: f32) {
  %kept, %probability = qtale.unit_record %context, %unit : memref<?xi8>, memref<?xf32>
  memref.store %flag, %kept[%row] : memref<?xi8>
  memref.store %p, %probability[%row] : memref<?xf32>
  return
}

// Buffers may begin anywhere in their memory; as many rows as flags.
// CHECK-LABEL: llvm.func @reserve
// CHECK-SAME:    (%[[CONTEXT:.*]]: !llvm.ptr, %[[CACHE:[^:]*]]: i64, %{{[^:]*}}: !llvm.ptr, %[[KEEP:[^:]*]]: !llvm.ptr, %{{[^:]*}}: i64, %[[ROWS:[^:]*]]: i64, %{{[^:]*}}: i64, %{{[^:]*}}: !llvm.ptr, %[[SEQ:[^:]*]]: !llvm.ptr, %[[OFFSET:[^:]*]]: i64,
// CHECK:       %[[FROM:.*]] = llvm.getelementptr %[[SEQ]][%[[OFFSET]]] : (!llvm.ptr, i64) -> !llvm.ptr, i32
// CHECK:       %[[CODE:.*]] = llvm.call @qtale_rt_kv_reserve(%[[CONTEXT]], %[[CACHE]], %[[KEEP]], %[[FROM]], %[[FROM]], %[[ROWS]], %[[SLOTS:.*]]) : (!llvm.ptr, i64, !llvm.ptr, !llvm.ptr, !llvm.ptr, i64, !llvm.ptr) -> i32
// CHECK:       llvm.return %[[CODE]] : i32
func.func @reserve(%context: !qtale.context, %cache: index, %keep: memref<?xi1>, %seq: memref<?xi32, strided<[1], offset: ?>>, %slots: memref<?xi32>) -> i32 {
  %code = qtale.reserve_slots %context, %cache, %keep, %seq, %seq, %slots : memref<?xi1>, memref<?xi32, strided<[1], offset: ?>>, memref<?xi32, strided<[1], offset: ?>>, memref<?xi32>
  return %code : i32
}
