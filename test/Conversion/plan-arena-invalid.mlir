// RUN: qtale-opt %s --qtale-plan-arena --split-input-file --verify-diagnostics
//
// Allocations that have no place.

func.func @main(%context: !qtale.context, %n: index) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  scf.for %i = %c0 to %n step %c1 {
    // expected-error@+1 {{allocates 'memref<?xf32>' inside a loop or branch, which has no place in the arena}}
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

// Of @main sizes are not known before they are computed.
func.func @main(%context: !qtale.context, %n: index, %any: i1) {
  scf.if %any {
    // expected-error@+1 {{allocates 'memref<?xf32>' inside a loop or branch, which has no place in the arena}}
    %a = memref.alloc(%n) : memref<?xf32>
  }
  return
}
