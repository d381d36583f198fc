// RUN: qtale-opt %s --split-input-file --verify-diagnostics
//
// What lookups, matmuls and norms refuse: a test for each numbered constraint.

func.func @embedding_c1(%ids: tensor<3xi32>, %table: tensor<9x8xf32>) {
  // expected-error@+1 {{result 'tensor<2x8xf32>' does not fit ids 'tensor<3xi32>' and table 'tensor<9x8xf32>'}}
  %x = qtale.embedding %ids, %table : tensor<3xi32>, tensor<9x8xf32> -> tensor<2x8xf32>
  return
}

// -----

func.func @embedding_c1_columns(%ids: tensor<?xi32>, %table: tensor<9x8xf32>) {
  // expected-error@+1 {{result 'tensor<?x7xf32>' does not fit ids 'tensor<?xi32>' and table 'tensor<9x8xf32>'}}
  %x = qtale.embedding %ids, %table : tensor<?xi32>, tensor<9x8xf32> -> tensor<?x7xf32>
  return
}

// -----

func.func @quantize_rows_c1(%x: tensor<?x64xf32>) {
  // expected-error@+1 {{result must be 'tensor<?x64xf32>' with encoding #qtale.int_rows, but is 'tensor<?x64xf32>'}}
  %q = qtale.quantize_rows %x : tensor<?x64xf32> -> tensor<?x64xf32>
  return
}

// -----

func.func @quantize_rows_c1_shape(%x: tensor<?x40xf32>) {
  // expected-error@+1 {{result must be 'tensor<?x40xf32>' with encoding #qtale.int_rows, but is 'tensor<?x64xf32, #qtale.int_rows<pad = 32>>'}}
  %q = qtale.quantize_rows %x : tensor<?x40xf32> -> tensor<?x64xf32, #qtale.int_rows<pad = 32>>
  return
}

// -----

func.func @quantize_rows_c1_twice(%x: tensor<?x64xf32, #qtale.int_rows<pad = 32>>) {
  // expected-error@+1 {{result must be}}
  %q = qtale.quantize_rows %x : tensor<?x64xf32, #qtale.int_rows<pad = 32>> -> tensor<?x64xf32, #qtale.int_rows<pad = 32>>
  return
}

// -----

func.func @matmul_c1(%x: tensor<?x64xf32>, %w: tensor<9x32xf32>) {
  // expected-error@+1 {{result 'tensor<?x9xf32>' does not fit input 'tensor<?x64xf32>' and weight 'tensor<9x32xf32>'}}
  %y = qtale.matmul %x, %w : tensor<?x64xf32>, tensor<9x32xf32> -> tensor<?x9xf32>
  return
}

// -----

func.func @matmul_c1_outputs(%x: tensor<?x64xf32>, %w: tensor<9x64xf32>) {
  // expected-error@+1 {{result 'tensor<?x8xf32>' does not fit input 'tensor<?x64xf32>' and weight 'tensor<9x64xf32>'}}
  %y = qtale.matmul %x, %w : tensor<?x64xf32>, tensor<9x64xf32> -> tensor<?x8xf32>
  return
}

// -----

func.func @matmul_c1_rows(%x: tensor<2x64xf32>, %w: tensor<9x64xf32>) {
  // expected-error@+1 {{result 'tensor<3x9xf32>' does not fit input}}
  %y = qtale.matmul %x, %w : tensor<2x64xf32>, tensor<9x64xf32> -> tensor<3x9xf32>
  return
}

// -----

func.func @matmul_c2(%x: tensor<?x64xf32>, %w: tensor<9x64xf32>, %b: tensor<8xf32>) {
  // expected-error@+1 {{bias must have 9 values, but is 'tensor<8xf32>'}}
  %y = qtale.matmul %x, %w bias(%b : tensor<8xf32>) : tensor<?x64xf32>, tensor<9x64xf32> -> tensor<?x9xf32>
  return
}

// -----

func.func @matmul_c2_residual(%x: tensor<?x64xf32>, %w: tensor<9x64xf32>, %r: tensor<1x9xf32>) {
  // expected-error@+1 {{residual must be 'tensor<?x9xf32>', but is 'tensor<1x9xf32>'}}
  %y = qtale.matmul %x, %w residual(%r : tensor<1x9xf32>) : tensor<?x64xf32>, tensor<9x64xf32> -> tensor<?x9xf32>
  return
}

// -----

func.func @matmul_c3(%x: tensor<?x64xf32, #qtale.int_rows<pad = 32>>, %w: tensor<9x64xf32>) {
  // expected-error@+1 {{int8 activations padded to 32 need an integer weight of that group, but have 'tensor<9x64xf32>'}}
  %y = qtale.matmul %x, %w : tensor<?x64xf32, #qtale.int_rows<pad = 32>>, tensor<9x64xf32> -> tensor<?x9xf32>
  return
}

// -----

#w = #qtale.packed<#qtale.int<bits = 4, group = 64>>
func.func @matmul_c3_group(%x: tensor<?x64xf32, #qtale.int_rows<pad = 32>>, %w: tensor<9x64xf32, #w>) {
  // expected-error@+1 {{int8 activations padded to 32 need an integer weight of that group, but have 'tensor<9x64xf32, #qtale.packed<#qtale.int<bits = 4, group = 64>>>'}}
  %y = qtale.matmul %x, %w : tensor<?x64xf32, #qtale.int_rows<pad = 32>>, tensor<9x64xf32, #w> -> tensor<?x9xf32>
  return
}

// -----

func.func @rms_norm_c1(%x: tensor<?x64xf32>, %g: tensor<63xf32>) {
  // expected-error@+1 {{scale and bias must have 64 values, but one is 'tensor<63xf32>'}}
  %y = qtale.rms_norm %x, %g {epsilon = 1.0e-5 : f32} : tensor<?x64xf32>, tensor<63xf32>
  return
}

// -----

func.func @rms_norm_c2(%x: tensor<?x64xf32>, %g: tensor<64xf32>) {
  // expected-error@+1 {{result must be 'tensor<?x64xf32>' or its #qtale.int_rows, but is 'tensor<?x96xf32, #qtale.int_rows<pad = 32>>'}}
  %y = qtale.rms_norm %x, %g {epsilon = 1.0e-5 : f32} : tensor<?x64xf32>, tensor<64xf32> -> tensor<?x96xf32, #qtale.int_rows<pad = 32>>
  return
}

// -----

func.func @layer_norm_c2(%x: tensor<?x64xf32>, %g: tensor<64xf32>) {
  // expected-error@+1 {{result must be 'tensor<?x64xf32>' or its #qtale.int_rows, but is 'tensor<?x64xf32, #qtale.int<bits = 4, group = 32>>'}}
  %y = qtale.layer_norm %x, %g {epsilon = 1.0e-5 : f32} : tensor<?x64xf32>, tensor<64xf32> -> tensor<?x64xf32, #qtale.int<bits = 4, group = 32>>
  return
}

// -----

func.func @layer_norm_c1(%x: tensor<?x64xf32>, %g: tensor<64xf32>, %b: tensor<1xf32>) {
  // expected-error@+1 {{scale and bias must have 64 values, but one is 'tensor<1xf32>'}}
  %y = qtale.layer_norm %x, %g, %b {epsilon = 1.0e-5 : f32} : tensor<?x64xf32>, tensor<64xf32>, tensor<1xf32>
  return
}
