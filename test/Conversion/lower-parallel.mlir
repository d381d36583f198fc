// RUN: qtale-opt %s --pass-pipeline="builtin.module(func.func(qtale-lower-parallel,canonicalize))" | FileCheck %s --implicit-check-not=scf.forall --implicit-check-not=scf.parallel
//
// Threads take chunks of a parallel loop until there are none, then wait for each
// other. A kernel's iteration is a chunk; elementwise loops have about 1024
// elements in one.

func.func private @body(index)
func.func private @element(index, index, index)

// CHECK-LABEL: @forall
// CHECK-SAME:    %[[CONTEXT:.*]]: !qtale.context, %[[N:.*]]: index
// CHECK-NEXT:  scf.while : () -> index {
// CHECK-NEXT:    %[[CHUNK:.*]] = qtale.next_chunk %[[CONTEXT]]
// CHECK-NEXT:    %[[MORE:.*]] = arith.cmpi slt, %[[CHUNK]], %[[N]]
// CHECK-NEXT:    scf.condition(%[[MORE]]) %[[CHUNK]]
// CHECK-NEXT:  } do {
// CHECK-NEXT:  ^bb0(%[[I:.*]]: index):
// CHECK-NEXT:    func.call @body(%[[I]])
// CHECK-NEXT:    scf.yield
// CHECK-NEXT:  }
// CHECK-NEXT:  qtale.barrier %[[CONTEXT]]
// CHECK-NEXT:  return
func.func @forall(%context: !qtale.context, %n: index) {
  scf.forall (%i) in (%n) {
    func.call @body(%i) : (index) -> ()
  }
  return
}

// 5000 elements in chunks of 1024: 5 of them, the last one shorter.
// CHECK-LABEL: @vector
// CHECK-DAG:   %[[C5:.*]] = arith.constant 5 : index
// CHECK-DAG:   %[[C1024:.*]] = arith.constant 1024 : index
// CHECK-DAG:   %[[C5000:.*]] = arith.constant 5000 : index
// CHECK:       arith.cmpi slt, %{{.*}}, %[[C5]]
// CHECK:       ^bb0(%[[CHUNK:.*]]: index):
// CHECK:         %[[FIRST:.*]] = arith.muli %[[CHUNK]], %[[C1024]]
// CHECK:         %[[NEXT:.*]] = arith.addi %[[FIRST]], %[[C1024]]
// CHECK:         %[[LAST:.*]] = arith.minui %[[NEXT]], %[[C5000]]
// CHECK:         scf.for %[[I:.*]] = %[[FIRST]] to %[[LAST]]
// CHECK:           func.call @body(%[[I]])
// CHECK:       qtale.barrier
func.func @vector(%context: !qtale.context) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c5000 = arith.constant 5000 : index
  scf.parallel (%i) = (%c0) to (%c5000) step (%c1) {
    func.call @body(%i) : (index) -> ()
  }
  return
}

// 6 * 7 rows of 512: two rows a chunk, 21 chunks.
// CHECK-LABEL: @rows
// CHECK-DAG:   %[[C21:.*]] = arith.constant 21 : index
// CHECK:       arith.cmpi slt, %{{.*}}, %[[C21]]
// CHECK:         scf.for %[[UNIT:.*]] = %{{.*}} to
// CHECK:           %[[J:.*]] = arith.remui %[[UNIT]], %c7
// CHECK:           %[[I:.*]] = arith.divui %[[UNIT]], %c7
// CHECK:           scf.for %[[K:.*]] = %c0 to %c512
// CHECK:             func.call @element(%[[I]], %[[J]], %[[K]])
func.func @rows(%context: !qtale.context) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c6 = arith.constant 6 : index
  %c7 = arith.constant 7 : index
  %c512 = arith.constant 512 : index
  scf.parallel (%i, %j, %k) = (%c0, %c0, %c0) to (%c6, %c7, %c512) step (%c1, %c1, %c1) {
    func.call @element(%i, %j, %k) : (index, index, index) -> ()
  }
  return
}

// CHECK-LABEL: @inner
// CHECK:       qtale.next_chunk
// CHECK-NOT:   qtale.next_chunk
// CHECK:       scf.for %[[J:.*]] = %c0 to %c4
// CHECK:         func.call @body(%[[J]])
// CHECK:       qtale.barrier
// CHECK-NOT:   qtale.barrier
func.func @inner(%context: !qtale.context, %n: index) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c4 = arith.constant 4 : index
  scf.forall (%i) in (%n) {
    scf.parallel (%j) = (%c0) to (%c4) step (%c1) {
      func.call @body(%j) : (index) -> ()
    }
  }
  return
}

// 40 sums of 100 to 200: what is within counts, 200 a row, so that 5 rows are a chunk.
// CHECK-LABEL: @sums
// CHECK-DAG:   %[[C8:.*]] = arith.constant 8 : index
// CHECK:       arith.cmpi slt, %{{.*}}, %[[C8]]
func.func @sums(%context: !qtale.context) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c2 = arith.constant 2 : index
  %c40 = arith.constant 40 : index
  %c100 = arith.constant 100 : index
  scf.parallel (%i) = (%c0) to (%c40) step (%c1) {
    scf.for %k = %c0 to %c100 step %c1 {
      func.call @body(%k) : (index) -> ()
    }
    scf.for %j = %c1 to %c2 step %c1 {
      scf.for %k = %c100 to %c0 step %c1 {
      }
      scf.for %k = %c0 to %c100 step %c1 {
        scf.for %l = %c0 to %c2 step %c1 {
          func.call @body(%k) : (index) -> ()
        }
      }
    }
  }
  return
}

// 1024 divided by %n, if there is anything to do; %i turns are not known before.
// CHECK-LABEL: @sums_of_some
// CHECK-SAME:    %[[CONTEXT:.*]]: !qtale.context, %[[N:.*]]: index
// CHECK:         %[[SPAN:.*]] = arith.maxsi %[[N]], %c0
// CHECK:         %[[TURNS:.*]] = arith.maxui %[[SPAN]], %c1
// CHECK:         arith.divui %c1024, %[[TURNS]]
func.func @sums_of_some(%context: !qtale.context, %n: index) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c40 = arith.constant 40 : index
  scf.parallel (%i) = (%c0) to (%c40) step (%c1) {
    scf.for %k = %c0 to %n step %c1 {
      scf.for %l = %c0 to %i step %c1 {
        func.call @body(%k) : (index) -> ()
      }
    }
  }
  return
}
