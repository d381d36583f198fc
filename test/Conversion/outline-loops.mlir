// RUN: qtale-opt %s --qtale-outline-loops --split-input-file | FileCheck %s
//
// Equal parallel loops of entries become calls of one function. It gets what a
// loop takes from outside; constants and views are made again in it.

// Two layers: other buffers, another row of %kept.
// CHECK-LABEL: func.func @main
// CHECK-SAME:    %[[CONTEXT:.*]]: !qtale.context, %[[A:.*]]: memref<?x8xf32>, %[[B:.*]]: memref<?x8xf32>, %[[KEPT:.*]]: memref<2x?xf32>, %[[N:.*]]: index, %[[C:.*]]: i1
// CHECK-NEXT:  %[[C0:.*]] = arith.constant 0 : index
// CHECK-NEXT:  %[[X:.*]] = qtale.arena %[[CONTEXT]], %[[C0]][%[[N]]] : memref<?xf32>
// CHECK-NEXT:  %[[LAYER_0:.*]] = arith.constant 0 : index
// CHECK-NEXT:  call @loop(%[[CONTEXT]], %[[N]], %[[A]], %[[X]], %[[KEPT]], %[[LAYER_0]])
// CHECK-NEXT:  scf.if %[[C]] {
// CHECK-NEXT:    %[[LAYER_1:.*]] = arith.constant 1 : index
// CHECK-NEXT:    func.call @loop(%[[CONTEXT]], %[[N]], %[[B]], %[[X]], %[[KEPT]], %[[LAYER_1]])
// CHECK-NEXT:  }
// CHECK-NEXT:  return
func.func @main(%context: !qtale.context, %a: memref<?x8xf32>, %b: memref<?x8xf32>, %kept: memref<2x?xf32>, %n: index, %c: i1) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c3 = arith.constant 3 : index
  %x = qtale.arena %context, %c0[%n] : memref<?xf32>
  %view = memref.cast %x : memref<?xf32> to memref<?xf32, strided<[1], offset: ?>>
  scf.parallel (%i) = (%c0) to (%n) step (%c1) {
    %f = memref.load %a[%i, %c3] : memref<?x8xf32>
    memref.store %f, %view[%i] : memref<?xf32, strided<[1], offset: ?>>
    memref.store %f, %kept[%c0, %i] : memref<2x?xf32>
  }
  scf.if %c {
    scf.parallel (%i) = (%c0) to (%n) step (%c1) {
      %f = memref.load %b[%i, %c3] : memref<?x8xf32>
      memref.store %f, %view[%i] : memref<?xf32, strided<[1], offset: ?>>
      memref.store %f, %kept[%c1, %i] : memref<2x?xf32>
    }
  }
  return
}

// Loops of another entry may be the same. A loop of one iteration stays one:
// its barrier follows from it.
// CHECK-LABEL: func.func @step
// CHECK-SAME:    %[[CONTEXT:.*]]: !qtale.context, %[[N:.*]]: index, %[[A:.*]]: memref<?x8xf32>
// CHECK-NOT:   scf.parallel
// CHECK:       call @loop(%[[CONTEXT]], %[[N]], %[[A]],
// CHECK:       call @loop_0(%[[CONTEXT]], %[[A]])
// CHECK:       return
func.func @step(%context: !qtale.context, %n: index, %a: memref<?x8xf32>, %kept: memref<2x?xf32>, %x: memref<?xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c3 = arith.constant 3 : index
  %view = memref.cast %x : memref<?xf32> to memref<?xf32, strided<[1], offset: ?>>
  scf.parallel (%i) = (%c0) to (%n) step (%c1) {
    %f = memref.load %a[%i, %c3] : memref<?x8xf32>
    memref.store %f, %view[%i] : memref<?xf32, strided<[1], offset: ?>>
    memref.store %f, %kept[%c0, %i] : memref<2x?xf32>
  }
  %zero = arith.constant 0.0 : f32
  scf.parallel (%i) = (%c0) to (%c1) step (%c1) {
    scf.parallel (%j) = (%c0) to (%c3) step (%c1) {
      memref.store %zero, %a[%i, %j] : memref<?x8xf32>
    }
  }
  return
}

// Kernels are functions already.
// CHECK-LABEL: func.func private @kernel
// CHECK:       scf.forall
func.func private @kernel(%context: !qtale.context, %a: memref<4xf32>, %x: f32) {
  scf.forall (%i) in (4) {
    memref.store %x, %a[%i] : memref<4xf32>
  }
  return
}

// An index that is the same for all is a constant again.
// CHECK-LABEL: func.func private @loop(
// CHECK-SAME:    %[[CONTEXT:.*]]: !qtale.context, %[[N:.*]]: index, %[[A:.*]]: memref<?x8xf32>, %[[X:.*]]: memref<?xf32>, %[[KEPT:.*]]: memref<2x?xf32>, %[[LAYER:.*]]: index)
// CHECK-SAME:    attributes {no_inline}
// CHECK-DAG:   %[[C3:.*]] = arith.constant 3 : index
// CHECK-DAG:   %[[VIEW:.*]] = memref.cast %[[X]]
// CHECK:       scf.parallel (%[[I:.*]]) = (%{{.*}}) to (%[[N]])
// CHECK-NEXT:    %[[F:.*]] = memref.load %[[A]][%[[I]], %[[C3]]]
// CHECK-NEXT:    memref.store %[[F]], %[[VIEW]][%[[I]]]
// CHECK-NEXT:    memref.store %[[F]], %[[KEPT]][%[[LAYER]], %[[I]]]

// CHECK-LABEL: func.func private @loop_0(
// CHECK-DAG:   %[[C0:.*]] = arith.constant 0 : index
// CHECK-DAG:   %[[C1:.*]] = arith.constant 1 : index
// CHECK:       scf.parallel (%{{.*}}) = (%[[C0]]) to (%[[C1]])
// CHECK-NEXT:    scf.parallel

// -----

// Numbers of a model don't make a function of their own.
// CHECK-LABEL: func.func @main
// CHECK:       %[[HALF:.*]] = arith.constant 5.0
// CHECK:       call @loop(%{{[^,]*}}, %{{[^,]*}}, %[[HALF]])
// CHECK:       %[[TWO:.*]] = arith.constant 2.0
// CHECK:       call @loop(%{{[^,]*}}, %{{[^,]*}}, %[[TWO]])
// A bound does, since loops of a known length vectorise better.
// CHECK:       call @loop_0(%{{[^,]*}}, %{{[^,]*}})
// CHECK-LABEL: func.func private @loop(
// CHECK-SAME:    %{{[^,]*}}: !qtale.context, %{{[^,]*}}: memref<8xf32>, %[[BY:.*]]: f32)
// CHECK:         arith.mulf %{{.*}}, %[[BY]]
func.func @main(%context: !qtale.context, %a: memref<8xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c4 = arith.constant 4 : index
  %c8 = arith.constant 8 : index
  %half = arith.constant 0.5 : f32
  %two = arith.constant 2.0 : f32
  scf.parallel (%i) = (%c0) to (%c8) step (%c1) {
    %x = memref.load %a[%i] : memref<8xf32>
    %y = arith.mulf %x, %half : f32
    memref.store %y, %a[%i] : memref<8xf32>
  }
  scf.parallel (%i) = (%c0) to (%c8) step (%c1) {
    %x = memref.load %a[%i] : memref<8xf32>
    %y = arith.mulf %x, %two : f32
    memref.store %y, %a[%i] : memref<8xf32>
  }
  scf.parallel (%i) = (%c0) to (%c4) step (%c1) {
    %x = memref.load %a[%i] : memref<8xf32>
    %y = arith.mulf %x, %two : f32
    memref.store %y, %a[%i] : memref<8xf32>
  }
  return
}

// -----

// A loop of kernels' kind, whose terminator has an empty region.
// CHECK-LABEL: func.func @slices
// CHECK-NEXT:  call @loop(
// CHECK:       func.func private @loop(
// CHECK:         scf.forall
func.func @slices(%context: !qtale.context, %a: memref<?xf32>, %n: index, %x: f32) {
  scf.forall (%i) in (%n) {
    memref.store %x, %a[%i] : memref<?xf32>
  }
  return
}
