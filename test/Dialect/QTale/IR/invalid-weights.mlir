// RUN: qtale-opt %s --split-input-file --verify-diagnostics
// RUN: %python %S/Inputs/described.py constraints %source/include/qtale/Dialect/QTale/IR %S/invalid-attributes.mlir %S/invalid-recipes.mlir %s %S/invalid-verbs.mlir %S/invalid-matmuls.mlir %S/invalid-attention.mlir %S/invalid-routing.mlir %S/invalid-routes.mlir %S/invalid-rows.mlir %S/invalid-kernels.mlir
//
// What weights and their uses refuse: a test for each numbered constraint. The
// script finds a constraint, of any op or attribute, that no test names.

// expected-error@+1 {{type must be static, but is 'tensor<?x4xf32>'}}
qtale.weight @weight_c1 : tensor<?x4xf32> =
  #qtale.source<file = "w.bin", offset = 0, bytes = 16, type = tensor<1x4xf32>>

// -----

// expected-error@+1 {{is of type 'tensor<4xf16>', but its recipe gives 'tensor<4xf32>'}}
qtale.weight @weight_c2 : tensor<4xf16> =
  #qtale.source<file = "w.bin", offset = 0, bytes = 16, type = tensor<4xf32>>

// -----

// expected-error@+1 {{offset must be a multiple of 64 from 0 on, but is 96}}
qtale.weight @weight_c3 : tensor<4xf32> =
  #qtale.source<file = "w.bin", offset = 0, bytes = 16, type = tensor<4xf32>> {offset = 96}

// -----

// expected-error@+1 {{offset must be a multiple of 64 from 0 on, but is -64}}
qtale.weight @weight_c3_negative : tensor<4xf32> =
  #qtale.source<file = "w.bin", offset = 0, bytes = 16, type = tensor<4xf32>> {offset = -64}

// -----

func.func @param_c1() {
  // expected-error@+1 {{@nothing is no qtale.weight}}
  %w = qtale.param @nothing : tensor<4xf32>
  return
}

// -----

func.func @param_c1_function() {
  // expected-error@+1 {{@param_c1_function is no qtale.weight}}
  %w = qtale.param @param_c1_function : tensor<4xf32>
  return
}

// -----

qtale.weight @w : tensor<4xf32> =
  #qtale.source<file = "w.bin", offset = 0, bytes = 16, type = tensor<4xf32>>
func.func @param_c2() {
  // expected-error@+1 {{@w is of type 'tensor<4xf32>', but the result of 'tensor<4xf16>'}}
  %w = qtale.param @w : tensor<4xf16>
  return
}

// -----

// A level is a nested module: it sees the weights of the one around it.
qtale.weight @w : tensor<4xf32> =
  #qtale.source<file = "w.bin", offset = 0, bytes = 16, type = tensor<4xf32>>
module @level {
  func.func @outer_weight() {
    %w = qtale.param @w : tensor<4xf32>
    return
  }
  func.func @param_c2_outer() {
    // expected-error@+1 {{@w is of type 'tensor<4xf32>', but the result of 'tensor<3xf32>'}}
    %w = qtale.param @w : tensor<3xf32>
    return
  }
}
