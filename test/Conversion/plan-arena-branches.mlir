// RUN: qtale-opt %s --split-input-file --qtale-plan-arena --canonicalize | FileCheck %s --implicit-check-not=memref.alloc
//
// Of @main a size may be known only in the branch that needs it: its places go
// on from what is around the branch.

func.func private @use(memref<?xf32>)

// Both branches begin where %a ends. Nothing of them is needed after it, so %d
// begins there, too. The checks stand in the branches, so that a size that has
// no place is no error where its branch is not taken.
// CHECK-LABEL: @own_sizes
// CHECK-SAME:    (%[[CONTEXT:[^:]*]]: !qtale.context, %[[N:[^:]*]]: index, %[[ANY:[^:]*]]: i1)
func.func @own_sizes(%context: !qtale.context, %n: index, %any: i1) {
  %c7 = arith.constant 7 : index
  // CHECK: %[[END:.*]] = arith.andi %{{.*}}, %c-64
  %a = memref.alloc(%n) : memref<?xf32>
  // CHECK: scf.if %[[ANY]]
  scf.if %any {
    // CHECK: %[[M:.*]] = arith.muli %[[N]], %c7
    %m = arith.muli %n, %c7 : index
    // CHECK: cf.assert %{{.*}}, "scratch memory is exhausted"
    // CHECK: %[[B:.*]] = qtale.arena %[[CONTEXT]], %[[END]][%[[M]]] : memref<?xf32>
    %b = memref.alloc(%m) : memref<?xf32>
    func.call @use(%b) : (memref<?xf32>) -> ()
  // CHECK: } else {
  } else {
    // CHECK: cf.assert
    // CHECK: qtale.arena %[[CONTEXT]], %[[END]][%{{.*}}] : memref<?xf32>
    %m = arith.addi %n, %c7 : index
    %b = memref.alloc(%m) : memref<?xf32>
    func.call @use(%b) : (memref<?xf32>) -> ()
  }
  func.call @use(%a) : (memref<?xf32>) -> ()
  // CHECK: qtale.arena %[[CONTEXT]], %[[END]][%c7] : memref<?xf32>
  %d = memref.alloc(%c7) : memref<?xf32>
  func.call @use(%d) : (memref<?xf32>) -> ()
  func.call @use(%a) : (memref<?xf32>) -> ()
  return
}

// -----

func.func private @use(memref<?xf32>)

// %y may be what the inner branch made: %d comes after all of it. The branch
// that made nothing ends where it began.
// CHECK-LABEL: @results
// CHECK-SAME:    (%[[CONTEXT:[^:]*]]: !qtale.context, %[[N:[^:]*]]: index, %[[X:[^:]*]]: memref<?xf32>
func.func @results(%context: !qtale.context, %n: index, %x: memref<?xf32>, %any: i1, %other: i1) {
  // CHECK: %[[Y:.*]]:2 = scf.if %{{.*}} -> (memref<?xf32>, index) {
  %y = scf.if %any -> memref<?xf32> {
    func.call @use(%x) : (memref<?xf32>) -> ()
    // CHECK: %[[Z:.*]]:2 = scf.if %{{.*}} -> (memref<?xf32>, index) {
    %z = scf.if %other -> memref<?xf32> {
      // CHECK: %[[BYTES:.*]] = arith.andi %{{.*}}, %c-64
      // CHECK: %[[B:.*]] = qtale.arena %[[CONTEXT]], %c0[%[[N]]]
      // CHECK: scf.yield %[[B]], %[[BYTES]] : memref<?xf32>, index
      %b = memref.alloc(%n) : memref<?xf32>
      func.call @use(%b) : (memref<?xf32>) -> ()
      scf.yield %b : memref<?xf32>
    } else {
      // CHECK: scf.yield %[[X]], %c0 : memref<?xf32>, index
      scf.yield %x : memref<?xf32>
    }
    // CHECK: scf.yield %[[Z]]#0, %[[Z]]#1
    scf.yield %z : memref<?xf32>
  } else {
    // CHECK: scf.yield %[[X]], %c0 : memref<?xf32>, index
    scf.yield %x : memref<?xf32>
  }
  // CHECK: qtale.arena %[[CONTEXT]], %[[Y]]#1[%[[N]]]
  %d = memref.alloc(%n) : memref<?xf32>
  func.call @use(%d) : (memref<?xf32>) -> ()
  func.call @use(%y) : (memref<?xf32>) -> ()
  return
}

// -----

func.func private @use(memref<?xf32>)

// Turns of a loop follow each other, and each begins where %a ends. What is
// free around the loop serves in it, but for what would make it larger.
// CHECK-LABEL: @turns
func.func @turns(%context: !qtale.context, %n: index) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  // CHECK: %[[END:.*]] = arith.andi %{{.*}}, %c-64
  %a = memref.alloc(%n) : memref<?xf32>
  func.call @use(%a) : (memref<?xf32>) -> ()
  // CHECK: scf.for
  scf.for %i = %c0 to %n step %c1 {
    // CHECK: qtale.arena %{{.*}}, %[[END]][%{{.*}}] : memref<?xf32>
    %b = memref.alloc(%i) : memref<?xf32>
    func.call @use(%b) : (memref<?xf32>) -> ()
    // CHECK: qtale.arena %{{.*}}, %c0[%{{.*}}] : memref<?xf32>
    %d = memref.alloc(%n) : memref<?xf32>
    func.call @use(%d) : (memref<?xf32>) -> ()
    // CHECK: qtale.arena %{{.*}}, %{{[^c].*}}[%{{.*}}] : memref<?x2xf32>
    %e = memref.alloc(%n) : memref<?x2xf32>
    %f = memref.collapse_shape %e [[0, 1]] : memref<?x2xf32> into memref<?xf32>
    func.call @use(%f) : (memref<?xf32>) -> ()
  }
  return
}
