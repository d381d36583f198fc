// RUN: qtale-opt %s --pass-pipeline="builtin.module(func.func(qtale-carry-reductions))" | FileCheck %s
//
// Reductions of parallel loops stay in registers; where anything else in the loop may
// be the sum's element, they stay in memory.

// CHECK-LABEL: @sum
// CHECK:       %[[SUM:.*]] = memref.alloc
// CHECK:       scf.parallel (%[[I:.*]]) =
// CHECK-NEXT:    %[[FIRST:.*]] = memref.load %[[SUM]][%[[I]]]
// CHECK-NEXT:    %[[LAST:.*]] = scf.for %[[K:.*]] = {{.*}} iter_args(%[[BEFORE:.*]] = %[[FIRST]])
// CHECK-NEXT:      %[[X:.*]] = memref.load %{{.*}}[%[[I]], %[[K]]]
// CHECK-NEXT:      %[[NEXT:.*]] = arith.addf %[[BEFORE]], %[[X]]
// CHECK-NEXT:      scf.yield %[[NEXT]]
// CHECK:         memref.store %[[LAST]], %[[SUM]][%[[I]]]
func.func @sum(%x: memref<?x?xf32>, %n: index, %m: index) -> memref<?xf32> {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %sum = memref.alloc(%n) : memref<?xf32>
  scf.parallel (%i) = (%c0) to (%n) step (%c1) {
    scf.for %k = %c0 to %m step %c1 {
      %before = memref.load %sum[%i] : memref<?xf32>
      %a = memref.load %x[%i, %k] : memref<?x?xf32>
      %next = arith.addf %before, %a : f32
      memref.store %next, %sum[%i] : memref<?xf32>
    }
  }
  return %sum : memref<?xf32>
}

// Two at once, over two loops: each carries both.
// CHECK-LABEL: @extremes
// CHECK:       scf.parallel
// CHECK-NEXT:    memref.load
// CHECK-NEXT:    memref.load
// CHECK-NEXT:    scf.for {{.*}} iter_args(%{{.*}} = %{{.*}}, %{{.*}} = %{{.*}})
// CHECK-NEXT:      scf.for {{.*}} iter_args(%{{.*}} = %{{.*}}, %{{.*}} = %{{.*}})
// CHECK-NOT:       memref.store
// CHECK:           scf.yield
// CHECK:         scf.yield
// CHECK:         memref.store
// CHECK-NEXT:    memref.store
func.func @extremes(%x: memref<8x4x?xf32>, %n: index) -> (memref<8xf32>, memref<8xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c4 = arith.constant 4 : index
  %c8 = arith.constant 8 : index
  %low = memref.alloc() : memref<8xf32>
  %high = memref.alloc() : memref<8xf32>
  scf.parallel (%i) = (%c0) to (%c8) step (%c1) {
    scf.for %j = %c0 to %c4 step %c1 {
      scf.for %k = %c0 to %n step %c1 {
        %a = memref.load %x[%i, %j, %k] : memref<8x4x?xf32>
        %l = memref.load %low[%i] : memref<8xf32>
        %h = memref.load %high[%i] : memref<8xf32>
        %less = arith.minimumf %a, %l : f32
        %more = arith.maximumf %a, %h : f32
        memref.store %less, %low[%i] : memref<8xf32>
        memref.store %more, %high[%i] : memref<8xf32>
      }
    }
  }
  return %low, %high : memref<8xf32>, memref<8xf32>
}

// An argument may be what another argument is.
// CHECK-LABEL: @into_an_argument
// CHECK-NOT:   iter_args
func.func @into_an_argument(%x: memref<4xf32>, %sum: memref<4xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c4 = arith.constant 4 : index
  scf.parallel (%i) = (%c0) to (%c4) step (%c1) {
    scf.for %k = %c0 to %c4 step %c1 {
      %before = memref.load %sum[%i] : memref<4xf32>
      %a = memref.load %x[%k] : memref<4xf32>
      %next = arith.addf %before, %a : f32
      memref.store %next, %sum[%i] : memref<4xf32>
    }
  }
  return
}

// The sums are read elsewhere, too: directly, or through a view.
// CHECK-LABEL: @read_within
// CHECK-NOT:   iter_args
func.func @read_within(%n: index) -> (memref<4xf32>, memref<4xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c4 = arith.constant 4 : index
  %direct = memref.alloc() : memref<4xf32>
  %viewed = memref.alloc() : memref<4xf32>
  %view = memref.cast %viewed : memref<4xf32> to memref<?xf32>
  scf.parallel (%i) = (%c0) to (%c4) step (%c1) {
    scf.for %k = %c0 to %n step %c1 {
      %before = memref.load %direct[%i] : memref<4xf32>
      %a = memref.load %direct[%k] : memref<4xf32>
      %next = arith.addf %before, %a : f32
      memref.store %next, %direct[%i] : memref<4xf32>
    }
    scf.for %k = %c0 to %n step %c1 {
      %before = memref.load %viewed[%i] : memref<4xf32>
      %a = memref.load %view[%k] : memref<?xf32>
      %next = arith.addf %before, %a : f32
      memref.store %next, %viewed[%i] : memref<4xf32>
    }
  }
  return %direct, %viewed : memref<4xf32>, memref<4xf32>
}

// The element moves with the loop, or is stored only sometimes.
// CHECK-LABEL: @other_elements
// CHECK-NOT:   iter_args
func.func @other_elements(%x: memref<4xf32>, %n: index, %some: i1) -> memref<4xf32> {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c4 = arith.constant 4 : index
  %sum = memref.alloc() : memref<4xf32>
  scf.parallel (%i) = (%c0) to (%c4) step (%c1) {
    scf.for %k = %c0 to %n step %c1 {
      %before = memref.load %sum[%k] : memref<4xf32>
      memref.store %before, %sum[%k] : memref<4xf32>
    }
    scf.for %k = %c0 to %n step %c1 {
      %before = memref.load %sum[%i] : memref<4xf32>
      scf.if %some {
        memref.store %before, %sum[%i] : memref<4xf32>
      }
    }
  }
  return %sum : memref<4xf32>
}

// Not in a parallel loop: one thread does it as a whole (share-work.mlir).
// CHECK-LABEL: @of_one_thread
// CHECK-NOT:   iter_args
func.func @of_one_thread(%x: memref<4xf32>) -> memref<f32> {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c4 = arith.constant 4 : index
  %sum = memref.alloc() : memref<f32>
  scf.for %k = %c0 to %c4 step %c1 {
    %before = memref.load %sum[] : memref<f32>
    %a = memref.load %x[%k] : memref<4xf32>
    %next = arith.addf %before, %a : f32
    memref.store %next, %sum[] : memref<f32>
  }
  return %sum : memref<f32>
}
