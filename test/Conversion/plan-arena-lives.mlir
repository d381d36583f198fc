// RUN: qtale-opt %s --qtale-plan-arena --canonicalize | FileCheck %s
//
// A buffer is needed as long as any view of it, also one made in a loop or
// branch; then its place is free.

func.func private @use(memref<16xf32>)
func.func private @use_view(memref<8xf32, strided<[1], offset: ?>>)

// The view is read after %b was made: no sharing. %c comes after both.
// CHECK-LABEL: @view
// CHECK: qtale.arena %{{.*}}, %c0[] : memref<16xf32>
// CHECK: qtale.arena %{{.*}}, %c64[] : memref<16xf32>
// CHECK: qtale.arena %{{.*}}, %c0[] : memref<16xf32>
func.func @view(%context: !qtale.context, %i: index) {
  %a = memref.alloc() : memref<16xf32>
  func.call @use(%a) : (memref<16xf32>) -> ()
  %v = memref.subview %a[%i] [8] [1] : memref<16xf32> to memref<8xf32, strided<[1], offset: ?>>
  %b = memref.alloc() : memref<16xf32>
  func.call @use(%b) : (memref<16xf32>) -> ()
  func.call @use_view(%v) : (memref<8xf32, strided<[1], offset: ?>>) -> ()
  %c = memref.alloc() : memref<16xf32>
  func.call @use(%c) : (memref<16xf32>) -> ()
  return
}

// The branch's result may be either.
// CHECK-LABEL: @branch
// CHECK: qtale.arena %{{.*}}, %c0[] : memref<16xf32>
// CHECK: qtale.arena %{{.*}}, %c64[] : memref<16xf32>
// CHECK: qtale.arena %{{.*}}, %c128[] : memref<16xf32>
func.func @branch(%context: !qtale.context, %condition: i1) {
  %a = memref.alloc() : memref<16xf32>
  %b = memref.alloc() : memref<16xf32>
  func.call @use(%a) : (memref<16xf32>) -> ()
  func.call @use(%b) : (memref<16xf32>) -> ()
  %either = scf.if %condition -> memref<16xf32> {
    scf.yield %a : memref<16xf32>
  } else {
    scf.yield %b : memref<16xf32>
  }
  %c = memref.alloc() : memref<16xf32>
  func.call @use(%c) : (memref<16xf32>) -> ()
  func.call @use(%either) : (memref<16xf32>) -> ()
  return
}

// What a loop reads lives until its end: its next turn reads it again.
// CHECK-LABEL: @loop
// CHECK: qtale.arena %{{.*}}, %c0[] : memref<16xf32>
// CHECK: qtale.arena %{{.*}}, %c64[] : memref<16xf32>
func.func @loop(%context: !qtale.context, %n: index) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %a = memref.alloc() : memref<16xf32>
  %b = memref.alloc() : memref<16xf32>
  scf.for %i = %c0 to %n step %c1 {
    func.call @use(%a) : (memref<16xf32>) -> ()
    func.call @use(%b) : (memref<16xf32>) -> ()
  }
  return
}

// A result lives to the end.
// CHECK-LABEL: @returned
// CHECK: %[[A:.*]] = qtale.arena %{{.*}}, %c0[] : memref<16xf32>
// CHECK: qtale.arena %{{.*}}, %c64[] : memref<16xf32>
// CHECK: return %[[A]]
func.func @returned(%context: !qtale.context) -> memref<16xf32> {
  %a = memref.alloc() : memref<16xf32>
  func.call @use(%a) : (memref<16xf32>) -> ()
  %b = memref.alloc() : memref<16xf32>
  func.call @use(%b) : (memref<16xf32>) -> ()
  return %a : memref<16xf32>
}
