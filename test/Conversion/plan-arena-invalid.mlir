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

// -----

// Where an operation stands says when it runs only within one block.
// expected-error@+1 {{@main must be one block that ends in func.return; use scf.if and scf.for for branches and loops}}
func.func @main(%context: !qtale.context) -> memref<4xf32> {
  cf.br ^next
^next:
  %a = memref.alloc() : memref<4xf32>
  return %a : memref<4xf32>
}

// -----

// A block that is not reached may compute a value from itself.
// expected-error@+1 {{@step must be one block that ends in func.return}}
func.func @step(%context: !qtale.context, %tokens: memref<?xi32>) {
  return
^never:
  %n = arith.minui %n, %n : index
  %a = memref.alloc(%n) : memref<?xf32>
  cf.br ^never
}

// -----

func.func @main(%context: !qtale.context) {
  // expected-error@+1 {{regions of an entry must be one block that runs in order; use scf.if and scf.for}}
  scf.execute_region {
    cf.br ^next
  ^next:
    scf.yield
  }
  return
}

// -----

func.func @main(%context: !qtale.context) {
  // expected-error@+1 {{allocates 'memref<4xvector<4xf32>>'; the arena has integers, floats and indices in row-major order}}
  %a = memref.alloc() : memref<4xvector<4xf32>>
  return
}

// -----

func.func @main(%context: !qtale.context) {
  // expected-error@+1 {{allocates 'memref<4x4xf32, strided<[1, 4]>>'; the arena has integers, floats and indices in row-major order}}
  %a = memref.alloc() : memref<4x4xf32, strided<[1, 4]>>
  return
}
