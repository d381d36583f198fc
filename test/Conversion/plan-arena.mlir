// RUN: qtale-opt %s --qtale-plan-arena --canonicalize --cse | FileCheck %s --implicit-check-not=memref.alloc --implicit-check-not=memref.dealloc
//
// Buffers that are not needed at the same time share a place, if their dynamic
// sizes are equal; the step's bytes become a function of its rows.

func.func private @use(memref<?x6xf32>)
func.func private @use_both(memref<?x6xf32>, memref<?x16xf32>)
func.func private @use_wide(memref<?x16xf32>)
func.func private @use_logits(memref<?x32xf32>)

// %a and %c take turns: 4 * 16 bytes a row, the larger of the two. %b lives
// with both. The logits have other rows, so they get their own place.
// CHECK-LABEL: func.func @step
// CHECK-SAME:    %[[CONTEXT:[^:]*]]: !qtale.context, %[[TOKENS:.*]]: memref<?xi32>, %{{.*}}: memref<?xi32>, %[[POSITIONS:.*]]: memref<?xi32>, %[[WANTED:.*]]: memref<?xi32>
func.func @step(%context: !qtale.context, %tokens: memref<?xi32>, %sequences: memref<?xi32>, %positions: memref<?xi32>, %wanted: memref<?xi32>) -> memref<?x32xf32> {
  %c0 = arith.constant 0 : index
  %rows = memref.dim %tokens, %c0 : memref<?xi32>
  %rows2 = memref.dim %positions, %c0 : memref<?xi32>
  %logit_rows = memref.dim %wanted, %c0 : memref<?xi32>
  // CHECK-DAG: %[[C0:.*]] = arith.constant 0 : index
  // CHECK-DAG: %[[C64:.*]] = arith.constant 64 : index
  // CHECK-DAG: %[[C24:.*]] = arith.constant 24 : index
  // CHECK-DAG: %[[C63:.*]] = arith.constant 63 : index
  // CHECK-DAG: %[[MASK:.*]] = arith.constant -64 : index
  // CHECK-DAG: %[[C128:.*]] = arith.constant 128 : index
  // CHECK: %[[ROWS:.*]] = memref.dim %[[TOKENS]], %[[C0]]
  // CHECK: %[[END0:.*]] = arith.muli %[[ROWS]], %[[C64]] : index
  // CHECK: %[[LIMIT:.*]] = qtale.arena_limit %[[CONTEXT]]
  // CHECK: %[[FITS0:.*]] = arith.cmpi ule, %[[END0]], %[[LIMIT]]
  // CHECK: cf.assert %[[FITS0]], "scratch memory is exhausted" {qtale.code = 8 : i32}
  // CHECK: %[[A:.*]] = qtale.arena %[[CONTEXT]], %[[C0]][%[[ROWS]]] : memref<?x16xf32>
  %a = memref.alloc(%rows) : memref<?x16xf32>
  func.call @use_wide(%a) : (memref<?x16xf32>) -> ()
  // CHECK: %[[BYTES:.*]] = arith.muli %[[ROWS]], %[[C24]]
  // CHECK: %[[UP:.*]] = arith.addi %[[BYTES]], %[[C63]]
  // CHECK: %[[ALIGNED:.*]] = arith.andi %[[UP]], %[[MASK]]
  // CHECK: %[[END1:.*]] = arith.addi %[[END0]], %[[ALIGNED]]
  // CHECK: arith.cmpi ule, %[[END1]]
  // CHECK: %[[B:.*]] = qtale.arena %[[CONTEXT]], %[[END0]][%[[ROWS]]] : memref<?x6xf32>
  %b = memref.alloc(%rows) : memref<?x6xf32>
  func.call @use_both(%b, %a) : (memref<?x6xf32>, memref<?x16xf32>) -> ()
  // CHECK: qtale.arena %[[CONTEXT]], %[[C0]][%{{.*}}] : memref<?x6xf32>
  %c = memref.alloc(%rows2) : memref<?x6xf32>
  func.call @use(%c) : (memref<?x6xf32>) -> ()
  func.call @use(%b) : (memref<?x6xf32>) -> ()
  memref.dealloc %b : memref<?x6xf32>
  // CHECK: qtale.arena %[[CONTEXT]], %[[END1]][%{{.*}}] : memref<?x32xf32>
  %logits = memref.alloc(%logit_rows) : memref<?x32xf32>
  func.call @use_logits(%logits) : (memref<?x32xf32>) -> ()
  return %logits : memref<?x32xf32>
}

// 64 rows + roundUp(24 rows) + 128 logit rows.
// CHECK-LABEL: func.func @step_scratch
// CHECK-SAME:    (%[[I:.*]]: i64, %[[J:.*]]: i64) -> i64
// CHECK-DAG: %[[R:.*]] = arith.index_cast %[[I]]
// CHECK-DAG: %[[L:.*]] = arith.index_cast %[[J]]
// CHECK: %[[S0:.*]] = arith.muli %[[R]], %c64
// CHECK: %[[T:.*]] = arith.muli %[[R]], %c24
// CHECK: %[[U:.*]] = arith.addi %[[T]], %c63
// CHECK: %[[S1:.*]] = arith.andi %[[U]], %c-64
// CHECK: %[[S01:.*]] = arith.addi %[[S0]], %[[S1]]
// CHECK: %[[S2:.*]] = arith.muli %[[L]], %c128
// CHECK: %[[ALL:.*]] = arith.addi %[[S01]], %[[S2]]
// CHECK: arith.index_cast %[[ALL]] : index to i64
