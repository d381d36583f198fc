// RUN: qtale-opt %s --qtale-plan-arena --split-input-file --verify-diagnostics
//
// Allocations that have no place.

// Turns would need two places, one for what they read and one for what they
// make.
func.func @main(%context: !qtale.context, %n: index, %x: memref<?xf32>) -> memref<?xf32> {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %last = scf.for %i = %c0 to %n step %c1 iter_args(%before = %x) -> memref<?xf32> {
    // expected-error@+1 {{allocates 'memref<?xf32>' in a turn of a loop, and is needed after it}}
    %a = memref.alloc(%i) : memref<?xf32>
    scf.yield %a : memref<?xf32>
  }
  return %last : memref<?xf32>
}

// -----

// Its turns happen at once.
func.func @main(%context: !qtale.context, %n: index) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  scf.parallel (%i) = (%c0) to (%n) step (%c1) {
    // expected-error@+1 {{allocates 'memref<?xf32>' inside 'scf.parallel', which has no place in the arena}}
    %a = memref.alloc(%i) : memref<?xf32>
  }
  return
}

// -----

func.func @step(%context: !qtale.context, %tokens: memref<?xi32>, %n: index) {
  // expected-error@+1 {{a buffer's size is not given by the number of rows}}
  %a = memref.alloc(%n) : memref<?xf32>
  return
}

// -----

// 2^47 bytes are as many as there are addresses.
func.func @main(%context: !qtale.context, %n: index) {
  %most = memref.alloc(%n) : memref<?x4194304x8388608xf32>
  %none = memref.alloc() : memref<4611686018427387904x0x4xf32>
  // expected-error@+1 {{makes 'tensor<?x4194304x8388609xf32>', which no memory holds; make its dimensions smaller}}
  %a = memref.alloc(%n) : memref<?x4194304x8388609xf32>
  return
}

// -----

func.func @main(%n: index) {
  // expected-error@+1 {{allocates 'memref<?xf32>' in a function that takes no context, which has the arena}}
  %a = memref.alloc(%n) : memref<?xf32>
  return
}
