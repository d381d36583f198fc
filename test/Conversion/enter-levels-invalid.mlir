// RUN: qtale-opt %s --qtale-enter-levels="levels=x86-64-v3" --split-input-file --verify-diagnostics
// RUN: not qtale-opt %s --qtale-enter-levels="levels=z80" --split-input-file 2>&1 | FileCheck %s
//
// Entries that the runtime could not call, and a level that does not exist.

// CHECK: error: there is no CPU level 'z80'

// expected-error@+1 {{has neither @main nor @step}}
module {
  func.func @other() {
    return
  }
}

// -----

// expected-error@+1 {{argument 0 of @main must be a ranked tensor with qtale.name and qtale.dtype}}
func.func @main(%x: tensor<4xf32> {qtale.name = "x"}) {
  return
}

// -----

// expected-error@+1 {{argument 0 of @main must be a ranked tensor with qtale.name and qtale.dtype}}
func.func @main(%x: tensor<*xf32> {qtale.name = "x", qtale.dtype = "float32"}) {
  return
}

// -----

// expected-error@+1 {{result 0 of @main must be a ranked tensor with qtale.name and qtale.dtype}}
func.func @main(%x: tensor<4xf32> {qtale.name = "x", qtale.dtype = "float32"}) -> tensor<4xf32> {
  return %x : tensor<4xf32>
}

// -----

// expected-error@+1 {{@step must take tokens, sequences, positions and rows as tensor<?xi32>, then caches, and return tensor<?xVxf32>, but is '(tensor<?xi32>) -> tensor<?x8xf32>'}}
func.func @step(%tokens: tensor<?xi32>) -> tensor<?x8xf32> {
  %c1 = arith.constant 1 : index
  %y = tensor.empty(%c1) : tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}

// -----

func.func @main() {
  return
}
