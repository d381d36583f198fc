// RUN: qtale-opt %s --pass-pipeline="builtin.module(func.func(qtale-carry-reductions))" | FileCheck %s
//
// A block that is not reached may have a view of itself.
// CHECK-LABEL: @unreached
// CHECK:       memref.store
func.func @unreached(%n: index, %f: f32) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  return
^never:
  %v = memref.cast %v : memref<?xf32> to memref<?xf32>
  scf.parallel (%i) = (%c0) to (%n) step (%c1) {
    scf.for %k = %c0 to %n step %c1 {
      memref.store %f, %v[%i] : memref<?xf32>
    }
  }
  cf.br ^never
}
