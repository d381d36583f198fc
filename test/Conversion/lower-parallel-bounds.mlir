// RUN: qtale-opt %s --pass-pipeline="builtin.module(func.func(qtale-lower-parallel,canonicalize))" | FileCheck %s --implicit-check-not=scf.forall --implicit-check-not=scf.parallel
//
// Loops of all dimensions and bounds.

func.func private @body()
func.func private @element(index, index)

// 4, 6, … 14 times 3, 4, … 9: 6 rows of 7.
// CHECK-LABEL: @matrix
// CHECK-DAG:   %[[C2:.*]] = arith.constant 2 : index
// CHECK-DAG:   %[[C3:.*]] = arith.constant 3 : index
// CHECK-DAG:   %[[C4:.*]] = arith.constant 4 : index
// CHECK-DAG:   %[[C7:.*]] = arith.constant 7 : index
// CHECK-DAG:   %[[C42:.*]] = arith.constant 42 : index
// CHECK:       arith.cmpi slt, %{{.*}}, %[[C42]]
// CHECK:       ^bb0(%[[CHUNK:.*]]: index):
// CHECK-NEXT:    %[[COLUMN:.*]] = arith.remui %[[CHUNK]], %[[C7]]
// CHECK-NEXT:    %[[ROW:.*]] = arith.divui %[[CHUNK]], %[[C7]]
// CHECK-NEXT:    %[[J:.*]] = arith.addi %[[COLUMN]], %[[C3]]
// CHECK-NEXT:    %[[STEPS:.*]] = arith.muli %[[ROW]], %[[C2]]
// CHECK-NEXT:    %[[I:.*]] = arith.addi %[[STEPS]], %[[C4]]
// CHECK-NEXT:    func.call @element(%[[I]], %[[J]])
// CHECK:       qtale.barrier
func.func @matrix(%context: !qtale.context) {
  scf.forall (%i, %j) = (4, 3) to (15, 10) step (2, 1) {
    func.call @element(%i, %j) : (index, index) -> ()
  }
  return
}

// No dimension: once.
// CHECK-LABEL: @once
// CHECK:       %[[C1:.*]] = arith.constant 1 : index
// CHECK:       arith.cmpi slt, %{{.*}}, %[[C1]]
// CHECK:         func.call @body()
func.func @once(%context: !qtale.context) {
  scf.forall () in () {
    func.call @body() : () -> ()
  }
  return
}

// From 8 to 4 there is nothing.
// CHECK-LABEL: @backward
// CHECK:       %[[C0:.*]] = arith.constant 0 : index
// CHECK:       arith.cmpi slt, %{{.*}}, %[[C0]]
func.func @backward(%context: !qtale.context) {
  %c1 = arith.constant 1 : index
  %c4 = arith.constant 4 : index
  %c8 = arith.constant 8 : index
  scf.parallel (%i) = (%c8) to (%c4) step (%c1) {
    func.call @body() : () -> ()
  }
  return
}

// How often a loop over 32 bits turns is not known before; the one in it is.
// CHECK-LABEL: @narrow
// CHECK:       %[[C10:.*]] = arith.constant 10 : index
// CHECK:       arith.cmpi slt, %{{.*}}, %[[C10]]
func.func @narrow(%context: !qtale.context, %n: i32) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c20 = arith.constant 20 : index
  %c512 = arith.constant 512 : index
  %one = arith.constant 1 : i32
  scf.parallel (%i) = (%c0) to (%c20) step (%c1) {
    scf.for %k = %one to %n step %one : i32 {
      scf.for %l = %c0 to %c512 step %c1 {
        func.call @body() : () -> ()
      }
    }
  }
  return
}
