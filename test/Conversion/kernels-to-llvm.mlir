// RUN: qtale-opt %s --qtale-kernels-to-llvm --reconcile-unrealized-casts --cse --canonicalize | FileCheck %s --implicit-check-not="qtale." --implicit-check-not="func.func @" --implicit-check-not=builtin.unrealized
//
// Where the context's fields stand (ModuleABI.h): arena 0, its bytes 8, weights 16,
// kv 24, thread 32; kernels-to-llvm.test compares these with the header.

// CHECK-DAG: llvm.func @qtale_rt_next_chunk(!llvm.ptr) -> i64
// CHECK-DAG: llvm.func @qtale_rt_barrier(!llvm.ptr)
// CHECK-DAG: llvm.func @qtale_rt_mark(!llvm.ptr, i64, i64)

// CHECK-LABEL: llvm.func @weight_address
// CHECK-SAME:    (%[[CONTEXT:.*]]: !llvm.ptr)
// CHECK:       %[[FIELD:.*]] = llvm.getelementptr %[[CONTEXT]][16] : (!llvm.ptr) -> !llvm.ptr, i8
// CHECK:       %[[WEIGHTS:.*]] = llvm.load %[[FIELD]] : !llvm.ptr -> !llvm.ptr
// CHECK:       %[[W:.*]] = llvm.getelementptr %[[WEIGHTS]][4096] : (!llvm.ptr) -> !llvm.ptr, i8
// CHECK:       llvm.load
func.func @weight_address(%context: !qtale.context) -> i8 {
  %c0 = arith.constant 0 : index
  %w = qtale.weight_address %context, 4096 : memref<64xi8>
  %x = memref.load %w[%c0] : memref<64xi8>
  return %x : i8
}

// kv[cache][sequence][block]; values follow 4 * 8 * 16 keys of 2 bytes.
// CHECK-LABEL: llvm.func @kv_block
// CHECK-SAME:    (%[[CONTEXT:.*]]: !llvm.ptr, %[[CACHE:.*]]: i64, %[[SEQUENCE:.*]]: i64, %[[BLOCK:.*]]: i64)
// CHECK:       %[[FIELD:.*]] = llvm.getelementptr %[[CONTEXT]][24]
// CHECK:       %[[KV:.*]] = llvm.load %[[FIELD]]
// CHECK:       %[[AT0:.*]] = llvm.getelementptr %[[KV]][%[[CACHE]]] : (!llvm.ptr, i64) -> !llvm.ptr, !llvm.ptr
// CHECK:       %[[T0:.*]] = llvm.load %[[AT0]]
// CHECK:       %[[AT1:.*]] = llvm.getelementptr %[[T0]][%[[SEQUENCE]]]
// CHECK:       %[[T1:.*]] = llvm.load %[[AT1]]
// CHECK:       %[[AT2:.*]] = llvm.getelementptr %[[T1]][%[[BLOCK]]]
// CHECK:       %[[KEYS:.*]] = llvm.load %[[AT2]]
// CHECK:       llvm.getelementptr %[[KEYS]][1024] : (!llvm.ptr) -> !llvm.ptr, i8
func.func @kv_block(%context: !qtale.context, %cache: index, %sequence: index, %block: index) -> f16 {
  %c0 = arith.constant 0 : index
  %k, %v = qtale.kv_block %context, %cache, %sequence, %block : memref<4x8x16xf16>, memref<4x16x8xf16>
  %x = memref.load %v[%c0, %c0, %c0] : memref<4x16x8xf16>
  return %x : f16
}

// Strides of [n, 3, m] are 3 m, m, 1.
// CHECK-LABEL: llvm.func @arena
// CHECK-SAME:    (%[[CONTEXT:.*]]: !llvm.ptr, %[[OFFSET:.*]]: i64, %[[N:.*]]: i64, %[[M:.*]]: i64)
// CHECK:       %[[C3:.*]] = llvm.mlir.constant(3 : i64)
// CHECK:       %[[BASE:.*]] = llvm.load %[[CONTEXT]] : !llvm.ptr -> !llvm.ptr
// CHECK:       %[[AT:.*]] = llvm.getelementptr %[[BASE]][%[[OFFSET]]] : (!llvm.ptr, i64) -> !llvm.ptr, i8
// CHECK:       llvm.insertvalue %[[M]], %{{.*}}[3, 2]
// CHECK:       %[[STRIDE1:.*]] = llvm.mul %[[M]], %{{.*}}
// CHECK:       llvm.insertvalue %[[STRIDE1]], %{{.*}}[4, 1]
// CHECK:       %[[STRIDE0:.*]] = llvm.mul %[[STRIDE1]], %[[C3]]
// CHECK:       llvm.insertvalue %[[N]], %{{.*}}[3, 0]
// CHECK:       llvm.insertvalue %[[STRIDE0]], %{{.*}}[4, 0]
func.func @arena(%context: !qtale.context, %offset: index, %n: index, %m: index) -> memref<?x3x?xf32> {
  %b = qtale.arena %context, %offset[%n, %m] : memref<?x3x?xf32>
  return %b : memref<?x3x?xf32>
}

// CHECK-LABEL: llvm.func @mark
// CHECK-SAME:    (%[[CONTEXT:.*]]: !llvm.ptr, %[[ROWS:.*]]: i64)
// CHECK:       %[[NUMBER:.*]] = llvm.mlir.constant(12 : i64) : i64
// CHECK:       llvm.call @qtale_rt_mark(%[[CONTEXT]], %[[NUMBER]], %[[ROWS]]) : (!llvm.ptr, i64, i64) -> ()
func.func @mark(%context: !qtale.context, %rows: index) {
  qtale.mark %context, 12, %rows
  return
}

// CHECK-LABEL: llvm.func @numbers
// CHECK:       llvm.getelementptr %{{.*}}[8] : (!llvm.ptr) -> !llvm.ptr, i8
// CHECK:       llvm.load %{{.*}} : !llvm.ptr -> i64
// CHECK:       llvm.getelementptr %{{.*}}[32] : (!llvm.ptr) -> !llvm.ptr, i8
// CHECK:       llvm.load %{{.*}} : !llvm.ptr -> i64
// CHECK:       llvm.getelementptr %{{.*}}[40] : (!llvm.ptr) -> !llvm.ptr, i8
// CHECK:       llvm.load %{{.*}} : !llvm.ptr -> i64
// CHECK:       llvm.call @qtale_rt_next_chunk(%{{.*}})
// CHECK:       llvm.call @qtale_rt_barrier(%{{.*}})
func.func @numbers(%context: !qtale.context) -> (index, index, index, index) {
  %limit = qtale.arena_limit %context
  %thread = qtale.thread %context
  %threads = qtale.threads %context
  %chunk = qtale.next_chunk %context
  qtale.barrier %context
  return %limit, %thread, %threads, %chunk : index, index, index, index
}

// Arguments are pointers to descriptors, one behind the other.
// CHECK-LABEL: llvm.func @entry
// CHECK-SAME:    (%{{.*}}: !llvm.ptr, %[[ARGUMENTS:.*]]: !llvm.ptr)
// CHECK:       %[[AT1:.*]] = llvm.getelementptr %[[ARGUMENTS]][8]
// CHECK:       %[[FROM:.*]] = llvm.load %[[AT1]] : !llvm.ptr -> !llvm.ptr
// CHECK:       %[[X:.*]] = llvm.load %[[FROM]] : !llvm.ptr -> !llvm.struct<(ptr, ptr, i64, array<1 x i64>, array<1 x i64>)>
// CHECK:       %[[AT2:.*]] = llvm.getelementptr %[[ARGUMENTS]][16]
// CHECK:       %[[TO:.*]] = llvm.load %[[AT2]] : !llvm.ptr -> !llvm.ptr
// CHECK:       llvm.store %[[X]], %[[TO]]
func.func @entry(%context: !qtale.context, %arguments: !llvm.ptr) {
  %x = qtale.load_argument %arguments, 1 : !llvm.ptr, memref<?xf32>
  qtale.store_result %arguments, 2, %x : !llvm.ptr, memref<?xf32>
  return
}

// Kernels and loops stay apart in LLVM.
// CHECK-LABEL: llvm.func @apart
// CHECK-SAME:    attributes {no_inline
func.func private @apart(%context: !qtale.context) attributes {no_inline} {
  return
}
