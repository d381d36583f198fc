// RUN: qtale-opt %s --split-input-file --qtale-plan-arena --canonicalize --cse | FileCheck %s --implicit-check-not=memref.alloc --implicit-check-not=memref.dealloc
//
// Buffers that are not needed at the same time share a place, if their dynamic
// sizes are equal; the step's bytes become a function of its rows, and what it
// needs is checked once.

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
  // CHECK: %[[LOGIT_ROWS:.*]] = memref.dim %[[WANTED]], %[[C0]]
  // CHECK: %[[END0:.*]] = arith.muli %[[ROWS]], %[[C64]] : index
  // CHECK: %[[BYTES:.*]] = arith.muli %[[ROWS]], %[[C24]]
  // CHECK: %[[UP:.*]] = arith.addi %[[BYTES]], %[[C63]]
  // CHECK: %[[ALIGNED:.*]] = arith.andi %[[UP]], %[[MASK]]
  // CHECK: %[[END1:.*]] = arith.addi %[[END0]], %[[ALIGNED]]
  // CHECK: %[[LAST:.*]] = arith.muli %[[LOGIT_ROWS]], %[[C128]]
  // CHECK: %[[END2:.*]] = arith.addi %[[END1]], %[[LAST]]
  // CHECK: %[[LIMIT:.*]] = qtale.arena_limit %[[CONTEXT]]
  // CHECK: %[[FITS:.*]] = arith.cmpi ule, %[[END2]], %[[LIMIT]]
  // CHECK: cf.assert %[[FITS]], "scratch memory is exhausted" {qtale.code = 8 : i32}
  // CHECK: %[[A:.*]] = qtale.arena %[[CONTEXT]], %[[C0]][%[[ROWS]]] : memref<?x16xf32>
  %a = memref.alloc(%rows) : memref<?x16xf32>
  func.call @use_wide(%a) : (memref<?x16xf32>) -> ()
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

// -----

// What stands in branches has places too, for all rows that could take them:
// %q outlives the branch and keeps its place; %p of the second branch takes
// that of %p of the first. So 64 + 64 bytes a row are enough.
func.func private @use_wide(memref<?x16xf32>)
// CHECK-LABEL: func.func @step
// CHECK-SAME:    %[[CONTEXT:[^:]*]]: !qtale.context
func.func @step(%context: !qtale.context, %tokens: memref<?xi32>, %sequences: memref<?xi32>, %positions: memref<?xi32>, %wanted: memref<?xi32>, %count: memref<1xi32>, %other: i1) {
  %c0 = arith.constant 0 : index
  %rows = memref.dim %tokens, %c0 : memref<?xi32>
  %kept32 = memref.load %count[%c0] : memref<1xi32>
  %kept = arith.index_cast %kept32 : i32 to index
  %n = arith.minui %kept, %rows : index
  %any = arith.cmpi ugt, %n, %c0 : index
  // CHECK-DAG: %[[N:.*]] = arith.minui
  // CHECK-DAG: %[[PLACE:.*]] = arith.muli %{{.*}}, %c64
  // CHECK: qtale.arena %[[CONTEXT]], %c0{{.*}}[%{{.*}}] : memref<?x16xf32>
  %q = memref.alloc(%rows) : memref<?x16xf32>
  // CHECK: scf.if
  scf.if %any {
    // CHECK: qtale.arena %[[CONTEXT]], %[[PLACE]][%[[N]]] : memref<?x16xf32>
    %p = memref.alloc(%n) : memref<?x16xf32>
    func.call @use_wide(%p) : (memref<?x16xf32>) -> ()
  }
  // CHECK: scf.if
  scf.if %other {
    // CHECK: qtale.arena %[[CONTEXT]], %[[PLACE]][%[[N]]] : memref<?x16xf32>
    %p = memref.alloc(%n) : memref<?x16xf32>
    func.call @use_wide(%p) : (memref<?x16xf32>) -> ()
    func.call @use_wide(%q) : (memref<?x16xf32>) -> ()
  }
  return
}
// CHECK-LABEL: func.func @step_scratch
// CHECK: %[[S:.*]] = arith.muli %{{.*}}, %c64
// CHECK: %[[BOTH:.*]] = arith.addi %[[S]], %[[S]]
// CHECK: arith.index_cast %[[BOTH]] : index to i64
