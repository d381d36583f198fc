// RUN: qtale-opt %s --pass-pipeline="builtin.module(func.func(qtale-share-work))" | FileCheck %s
//
// What writes memory outside of parallel loops is done by the first thread,
// between barriers, neighbours together; no write overtakes a load that all threads
// repeat.

func.func private @kernel(!qtale.context, memref<4xf32>)

// CHECK-LABEL: @store
// CHECK-NEXT:  %[[C0:.*]] = arith.constant 0 : index
// CHECK-NEXT:  %[[THREAD:.*]] = qtale.thread %[[CONTEXT:.*]]
// CHECK-NEXT:  %[[ZERO:.*]] = arith.constant 0 : index
// CHECK-NEXT:  %[[FIRST:.*]] = arith.cmpi eq, %[[THREAD]], %[[ZERO]]
// CHECK-NEXT:  scf.if %[[FIRST]] {
// CHECK-NEXT:    memref.store
// CHECK-NEXT:  }
// CHECK-NEXT:  qtale.barrier %[[CONTEXT]]
// CHECK-NEXT:  return
func.func @store(%context: !qtale.context, %b: memref<4xf32>, %x: f32) {
  %c0 = arith.constant 0 : index
  memref.store %x, %b[%c0] : memref<4xf32>
  return
}

// A sequential loop that writes is one thread's as a whole.
// CHECK-LABEL: @loop_that_writes
// CHECK:       scf.if
// CHECK-NEXT:    scf.for
// CHECK-NEXT:      memref.load
// CHECK-NEXT:      memref.store
// CHECK:       qtale.barrier
// CHECK-NOT:   qtale.barrier
func.func @loop_that_writes(%context: !qtale.context, %a: memref<4xf32>, %b: memref<4xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c4 = arith.constant 4 : index
  scf.for %i = %c0 to %c4 step %c1 {
    %x = memref.load %a[%i] : memref<4xf32>
    memref.store %x, %b[%i] : memref<4xf32>
  }
  return
}

// Kernels and parallel loops share themselves, and end with a barrier of their
// own (qtale-lower-parallel): none is added.
// CHECK-LABEL: @parallel
// CHECK-NOT:   qtale.barrier
// CHECK-NOT:   scf.if
// CHECK:       return
func.func @parallel(%context: !qtale.context, %b: memref<4xf32>, %x: f32) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c4 = arith.constant 4 : index
  func.call @kernel(%context, %b) : (!qtale.context, memref<4xf32>) -> ()
  scf.parallel (%i) = (%c0) to (%c4) step (%c1) {
    memref.store %x, %b[%i] : memref<4xf32>
  }
  return
}

// CHECK-LABEL: @load_then_write
// CHECK:       memref.load
// CHECK-NEXT:  memref.load
// CHECK-NEXT:  qtale.barrier
// CHECK-NEXT:  call @kernel
// CHECK-NOT:   qtale.barrier
// CHECK:       return
func.func @load_then_write(%context: !qtale.context, %b: memref<4xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %x = memref.load %b[%c0] : memref<4xf32>
  %y = memref.load %b[%c1] : memref<4xf32>
  func.call @kernel(%context, %b) : (!qtale.context, memref<4xf32>) -> ()
  func.call @kernel(%context, %b) : (!qtale.context, memref<4xf32>) -> ()
  return
}

// The load of one turn must not be overtaken by the write of the next.
// CHECK-LABEL: @load_before_next_turn
// CHECK:       scf.for
// CHECK-NEXT:    qtale.barrier
// CHECK-NEXT:    func.call @kernel
// CHECK-NEXT:    memref.load
func.func @load_before_next_turn(%context: !qtale.context, %b: memref<4xf32>, %x: f32) -> f32 {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c4 = arith.constant 4 : index
  %sum = scf.for %i = %c0 to %c4 step %c1 iter_args(%s = %x) -> f32 {
    func.call @kernel(%context, %b) : (!qtale.context, memref<4xf32>) -> ()
    %y = memref.load %b[%c0] : memref<4xf32>
    %t = arith.addf %s, %y : f32
    scf.yield %t : f32
  }
  return %sum : f32
}

// A barrier in one branch says nothing of the other.
// CHECK-LABEL: @load_before_branch
// CHECK:       memref.load
// CHECK-NEXT:  scf.if
// CHECK-NEXT:    qtale.barrier
// CHECK-NEXT:    func.call @kernel
// CHECK:       qtale.barrier
// CHECK-NEXT:  call @kernel
func.func @load_before_branch(%context: !qtale.context, %b: memref<4xf32>, %condition: i1) -> f32 {
  %c0 = arith.constant 0 : index
  %x = memref.load %b[%c0] : memref<4xf32>
  scf.if %condition {
    func.call @kernel(%context, %b) : (!qtale.context, memref<4xf32>) -> ()
  }
  func.call @kernel(%context, %b) : (!qtale.context, memref<4xf32>) -> ()
  return %x : f32
}

// Kernels are entered by all threads; nothing in them is one thread's.
// CHECK-LABEL: @private_kernel
// CHECK-NOT:   scf.if
func.func private @private_kernel(%context: !qtale.context, %b: memref<4xf32>, %x: f32) {
  %c0 = arith.constant 0 : index
  memref.store %x, %b[%c0] : memref<4xf32>
  return
}

// All threads need the branch's result: they enter it, and the first writes.
// CHECK-LABEL: @branch_with_result
// CHECK:       %[[FLAG:.*]] = memref.load
// CHECK:       scf.if %[[FLAG]] -> (memref<4xf32>) {
// CHECK:         qtale.barrier
// CHECK:         scf.if %{{.*}} {
// CHECK-NEXT:      memref.store
// CHECK-NEXT:    }
// CHECK-NEXT:    qtale.barrier
// CHECK-NEXT:    scf.yield
// CHECK:       } else {
// CHECK-NEXT:    scf.yield
func.func @branch_with_result(%context: !qtale.context, %c: memref<i1>, %a: memref<4xf32>, %b: memref<4xf32>, %x: f32) -> memref<4xf32> {
  %c0 = arith.constant 0 : index
  %flag = memref.load %c[] : memref<i1>
  %y = scf.if %flag -> memref<4xf32> {
    memref.store %x, %a[%c0] : memref<4xf32>
    scf.yield %a : memref<4xf32>
  } else {
    scf.yield %b : memref<4xf32>
  }
  return %y : memref<4xf32>
}

// All threads return where one must.
// CHECK-LABEL: @branch_that_asserts
// CHECK:       scf.if
// CHECK-NEXT:    cf.assert
// CHECK:         scf.if
// CHECK-NEXT:      memref.store
func.func @branch_that_asserts(%context: !qtale.context, %flag: i1, %ok: i1, %a: memref<4xf32>, %x: f32) {
  %c0 = arith.constant 0 : index
  scf.if %flag {
    cf.assert %ok, "in range"
    memref.store %x, %a[%c0] : memref<4xf32>
  }
  return
}

// One block for both, with the load that only the second needs.
// CHECK-LABEL: @neighbours
// CHECK:       cf.assert
// CHECK:       scf.if
// CHECK-NEXT:    memref.store
// CHECK-NEXT:    %[[X:.*]] = memref.load
// CHECK-NEXT:    %[[Y:.*]] = arith.addf %[[X]], %[[X]]
// CHECK-NEXT:    memref.store %[[Y]]
// CHECK-NEXT:    scf.for
// CHECK:       qtale.barrier
// CHECK-NOT:   qtale.barrier
// CHECK:       return
func.func @neighbours(%context: !qtale.context, %a: memref<4xf32>, %b: memref<4xf32>, %x: f32, %ok: i1) {
  %c0 = arith.constant 0 : index
  memref.store %x, %a[%c0] : memref<4xf32>
  cf.assert %ok, "what no load decides"
  %c1 = arith.constant 1 : index
  %c4 = arith.constant 4 : index
  %y = memref.load %a[%c0] : memref<4xf32>
  %z = arith.addf %y, %y : f32
  memref.store %z, %b[%c0] : memref<4xf32>
  scf.for %i = %c0 to %c4 step %c1 {
    memref.store %x, %b[%i] : memref<4xf32>
  }
  return
}

// All threads need the value: they load it between barriers.
// CHECK-LABEL: @neighbours_of_a_result
// CHECK:       scf.if
// CHECK-NEXT:    memref.store
// CHECK-NEXT:  }
// CHECK-NEXT:  qtale.barrier
// CHECK-NEXT:  memref.load
// CHECK-NEXT:  qtale.barrier
// CHECK:       scf.if
// CHECK:       qtale.barrier
func.func @neighbours_of_a_result(%context: !qtale.context, %a: memref<4xf32>, %b: memref<4xf32>, %x: f32) -> f32 {
  %c0 = arith.constant 0 : index
  memref.store %x, %a[%c0] : memref<4xf32>
  %y = memref.load %a[%c0] : memref<4xf32>
  memref.store %y, %b[%c0] : memref<4xf32>
  return %y : f32
}

// All threads stop where what was written says so.
// CHECK-LABEL: @neighbours_of_an_assert
// CHECK:       scf.if
// CHECK:       qtale.barrier
// CHECK-NEXT:  %[[OK:.*]] = memref.load
// CHECK-NEXT:  cf.assert %[[OK]]
// CHECK-NEXT:  qtale.barrier
// CHECK:       scf.if
// CHECK:       qtale.barrier
func.func @neighbours_of_an_assert(%context: !qtale.context, %a: memref<i1>, %flag: i1) {
  memref.store %flag, %a[] : memref<i1>
  %ok = memref.load %a[] : memref<i1>
  cf.assert %ok, "as written"
  memref.store %flag, %a[] : memref<i1>
  return
}

// What a kernel between them reads is written before it.
// CHECK-LABEL: @around_a_kernel
// CHECK:       scf.if
// CHECK:       qtale.barrier
// CHECK-NEXT:  call @kernel
// CHECK:       scf.if
// CHECK:       qtale.barrier
func.func @around_a_kernel(%context: !qtale.context, %a: memref<4xf32>, %x: f32) {
  %c0 = arith.constant 0 : index
  memref.store %x, %a[%c0] : memref<4xf32>
  func.call @kernel(%context, %a) : (!qtale.context, memref<4xf32>) -> ()
  memref.store %x, %a[%c0] : memref<4xf32>
  return
}

// What only a write needs of others' work is read by its thread alone.
// CHECK-LABEL: @load_of_one_write
// CHECK:       call @kernel
// CHECK-NOT:   qtale.barrier
// CHECK:       scf.if
// CHECK-NEXT:    memref.load
// CHECK-NEXT:    arith.addf
// CHECK-NEXT:    memref.store
// CHECK-NEXT:  }
// CHECK-NEXT:  qtale.barrier
// CHECK-NOT:   qtale.barrier
func.func @load_of_one_write(%context: !qtale.context, %a: memref<4xf32>, %b: memref<4xf32>, %x: f32) {
  %c0 = arith.constant 0 : index
  func.call @kernel(%context, %a) : (!qtale.context, memref<4xf32>) -> ()
  %before = memref.load %a[%c0] : memref<4xf32>
  %after = arith.addf %before, %x : f32
  memref.store %after, %b[%c0] : memref<4xf32>
  return
}

// Others need it, too: they read it first.
// CHECK-LABEL: @load_of_a_write_and_others
// CHECK:       call @kernel
// CHECK-NEXT:  memref.load
// CHECK-NEXT:  qtale.barrier
// CHECK:       scf.if
// CHECK-NEXT:    memref.store
// CHECK-NEXT:  }
// CHECK-NEXT:  qtale.barrier
func.func @load_of_a_write_and_others(%context: !qtale.context, %a: memref<4xf32>, %b: memref<4xf32>) -> f32 {
  %c0 = arith.constant 0 : index
  func.call @kernel(%context, %a) : (!qtale.context, memref<4xf32>) -> ()
  %x = memref.load %a[%c0] : memref<4xf32>
  memref.store %x, %b[%c0] : memref<4xf32>
  return %x : f32
}
