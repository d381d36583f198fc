// RUN: qtale-opt %s --split-input-file --verify-diagnostics
//
// What several matmuls in one refuse: a test for each numbered constraint. Those
// of one matmul are in invalid-verbs.mlir.

func.func @fused_matmul_c1(%x: tensor<?x64xf32>, %w: tensor<9x64xf32>) {
  // expected-error@+1 {{result 'tensor<?x8xf32>' does not fit input 'tensor<?x64xf32>' and weight 'tensor<9x64xf32>'}}
  %y = qtale.fused_matmul %x, %w : tensor<?x64xf32>, tensor<9x64xf32> -> tensor<?x8xf32> {
  ^bb0(%a: f32):
    qtale.yield %a : f32
  }
  return
}

// -----

func.func @fused_matmul_c1_types(%x: tensor<?x64xf32>, %w: tensor<9x64xf32>, %v: tensor<9x64xf16>) {
  // expected-error@+1 {{weights must be of one type, but are 'tensor<9x64xf32>' and 'tensor<9x64xf16>'}}
  %y = qtale.fused_matmul %x, %w, %v : tensor<?x64xf32>, tensor<9x64xf32>, tensor<9x64xf16> -> tensor<?x9xf32> {
  ^bb0(%a: f32, %b: f32):
    qtale.yield %a : f32
  }
  return
}

// -----

func.func @fused_matmul_c1_none(%x: tensor<?x64xf32>) {
  // expected-error@+1 {{needs a weight}}
  %y = "qtale.fused_matmul"(%x) <{operandSegmentSizes = array<i32: 1, 0, 0>}> ({
    %a = arith.constant 1.0 : f32
    qtale.yield %a : f32
  }) : (tensor<?x64xf32>) -> tensor<?x9xf32>
  return
}

// -----

func.func @fused_matmul_c2(%x: tensor<?x64xf32>, %w: tensor<9x64xf32>, %b: tensor<9xf32>) {
  // expected-error@+1 {{needs no bias or one for each of 2 weights, but has 1}}
  %y = qtale.fused_matmul %x, %w, %w bias(%b : tensor<9xf32>) : tensor<?x64xf32>, tensor<9x64xf32>, tensor<9x64xf32> -> tensor<?x9xf32> {
  ^bb0(%a: f32, %c: f32):
    qtale.yield %a : f32
  }
  return
}

// -----

func.func @fused_matmul_c2_values(%x: tensor<?x64xf32>, %w: tensor<9x64xf32>, %b: tensor<8xf32>) {
  // expected-error@+1 {{bias must have 9 values, but is 'tensor<8xf32>'}}
  %y = qtale.fused_matmul %x, %w bias(%b : tensor<8xf32>) : tensor<?x64xf32>, tensor<9x64xf32> -> tensor<?x9xf32> {
  ^bb0(%a: f32):
    qtale.yield %a : f32
  }
  return
}

// -----

func.func @fused_matmul_c3(%x: tensor<?x64xf32, #qtale.int_rows<pad = 32>>, %w: tensor<9x64xf32>) {
  // expected-error@+1 {{int8 activations padded to 32 need an integer weight of that group}}
  %y = qtale.fused_matmul %x, %w : tensor<?x64xf32, #qtale.int_rows<pad = 32>>, tensor<9x64xf32> -> tensor<?x9xf32> {
  ^bb0(%a: f32):
    qtale.yield %a : f32
  }
  return
}

// -----

func.func @fused_matmul_c4(%x: tensor<?x64xf32>, %w: tensor<9x64xf32>) {
  // expected-error@+1 {{its region must take an f32 for each of 2 weights and yield one}}
  %y = qtale.fused_matmul %x, %w, %w : tensor<?x64xf32>, tensor<9x64xf32>, tensor<9x64xf32> -> tensor<?x9xf32> {
  ^bb0(%a: f32):
    qtale.yield %a : f32
  }
  return
}

// -----

func.func @fused_matmul_c4_yield(%x: tensor<?x64xf32>, %w: tensor<9x64xf32>) {
  // expected-error@+1 {{its region must take an f32 for each of 1 weights and yield one}}
  %y = qtale.fused_matmul %x, %w : tensor<?x64xf32>, tensor<9x64xf32> -> tensor<?x9xf32> {
  ^bb0(%a: f32):
    qtale.yield %a, %a : f32, f32
  }
  return
}

// -----

func.func @fused_matmul_c4_operations(%x: tensor<?x64xf32>, %w: tensor<9x64xf32>) {
  // expected-error@+1 {{its region must be elementwise arithmetic}}
  %y = qtale.fused_matmul %x, %w : tensor<?x64xf32>, tensor<9x64xf32> -> tensor<?x9xf32> {
  ^bb0(%a: f32):
    // expected-note@+1 {{it contains math.powf}}
    %p = math.powf %a, %a : f32
    qtale.yield %p : f32
  }
  return
}

// -----

func.func @fused_matmul_c5(%x: tensor<?x64xf32>, %w: tensor<40x64xf32>) {
  // expected-error@+1 {{an int8 result must have a multiple of 32 columns, but is 'tensor<?x40xf32, #qtale.int_rows<pad = 32>>'}}
  %y = qtale.fused_matmul %x, %w : tensor<?x64xf32>, tensor<40x64xf32> -> tensor<?x40xf32, #qtale.int_rows<pad = 32>> {
  ^bb0(%a: f32):
    qtale.yield %a : f32
  }
  return
}

// -----

func.func @joint_matmul_c1(%x: tensor<?x64xf32>, %w: tensor<9x64xf32>) {
  // expected-error@+1 {{needs a weight for each result, but has 2 for 1}}
  %y = qtale.joint_matmul %x, %w, %w : tensor<?x64xf32>, tensor<9x64xf32>, tensor<9x64xf32> -> tensor<?x9xf32>
  return
}

// -----

func.func @joint_matmul_c1_shapes(%x: tensor<?x64xf32>, %w: tensor<9x64xf32>, %v: tensor<7x64xf32>) {
  // expected-error@+1 {{result 'tensor<?x9xf32>' does not fit input 'tensor<?x64xf32>' and weight 'tensor<7x64xf32>'}}
  %y, %z = qtale.joint_matmul %x, %w, %v : tensor<?x64xf32>, tensor<9x64xf32>, tensor<7x64xf32> -> tensor<?x9xf32>, tensor<?x9xf32>
  return
}

// -----

func.func @joint_matmul_c1_encoding(%x: tensor<?x64xf32>, %w: tensor<32x64xf32>) {
  // expected-error@+1 {{result 'tensor<?x32xf32, #qtale.int_rows<pad = 32>>' does not fit input}}
  %y = qtale.joint_matmul %x, %w : tensor<?x64xf32>, tensor<32x64xf32> -> tensor<?x32xf32, #qtale.int_rows<pad = 32>>
  return
}

// -----

func.func @joint_matmul_c2(%x: tensor<?x64xf32>, %w: tensor<9x64xf32>, %v: tensor<7x64xf32>, %b: tensor<9xf32>) {
  // expected-error@+1 {{bias must have 7 values, but is 'tensor<9xf32>'}}
  %y, %z = qtale.joint_matmul %x, %w, %v bias(%b, %b : tensor<9xf32>, tensor<9xf32>) : tensor<?x64xf32>, tensor<9x64xf32>, tensor<7x64xf32> -> tensor<?x9xf32>, tensor<?x7xf32>
  return
}

// -----

#w = #qtale.int<bits = 4, group = 32>
#v = #qtale.int<bits = 4, group = 64>
func.func @joint_matmul_c3(%x: tensor<?x64xf32, #qtale.int_rows<pad = 32>>, %w: tensor<9x64xf32, #w>, %v: tensor<9x64xf32, #v>) {
  // expected-error@+1 {{int8 activations padded to 32 need an integer weight of that group}}
  %y, %z = qtale.joint_matmul %x, %w, %v : tensor<?x64xf32, #qtale.int_rows<pad = 32>>, tensor<9x64xf32, #w>, tensor<9x64xf32, #v> -> tensor<?x9xf32>, tensor<?x9xf32>
  return
}

// -----

func.func @byte_matmul_c1(%x: tensor<?x64xi8>, %w: tensor<9x60xi8>) {
  // expected-error@+1 {{result 'tensor<?x9xi32>' does not fit input 'tensor<?x64xi8>' and weight 'tensor<9x60xi8>'}}
  %y = qtale.byte_matmul %x, %w : tensor<?x64xi8>, tensor<9x60xi8> -> tensor<?x9xi32>
  return
}

// -----

func.func @byte_matmul_c2(%x: tensor<3x64xi8>, %w: tensor<9x64xi8>, %z: tensor<4xi32>) {
  // expected-error@+1 {{input_zero must be one number or one for each row, but is 'tensor<4xi32>' for 'tensor<3x64xi8>'}}
  %y = qtale.byte_matmul %x, %w input_zero(%z : tensor<4xi32>) : tensor<3x64xi8>, tensor<9x64xi8> -> tensor<3x9xi32>
  return
}

// -----

func.func @byte_matmul_c2_weight(%x: tensor<3x64xi8>, %w: tensor<9x64xui8>, %z: tensor<3xi32>) {
  // expected-error@+1 {{weight_zero must be one number or one for each row, but is 'tensor<3xi32>' for 'tensor<9x64xui8>'}}
  %y = qtale.byte_matmul %x, %w weight_zero(%z : tensor<3xi32>) : tensor<3x64xi8>, tensor<9x64xui8> -> tensor<3x9xi32>
  return
}

// -----

func.func @joint_matmul_c4(%x: tensor<?x8xf32>, %w: tensor<4x8xf32>) {
  // expected-error@+1 {{joins at most 16 weights}}
  %y:17 = qtale.joint_matmul %x, %w, %w, %w, %w, %w, %w, %w, %w, %w, %w, %w, %w, %w, %w, %w, %w, %w : tensor<?x8xf32>, tensor<4x8xf32>, tensor<4x8xf32>, tensor<4x8xf32>, tensor<4x8xf32>, tensor<4x8xf32>, tensor<4x8xf32>, tensor<4x8xf32>, tensor<4x8xf32>, tensor<4x8xf32>, tensor<4x8xf32>, tensor<4x8xf32>, tensor<4x8xf32>, tensor<4x8xf32>, tensor<4x8xf32>, tensor<4x8xf32>, tensor<4x8xf32>, tensor<4x8xf32> -> tensor<?x4xf32>, tensor<?x4xf32>, tensor<?x4xf32>, tensor<?x4xf32>, tensor<?x4xf32>, tensor<?x4xf32>, tensor<?x4xf32>, tensor<?x4xf32>, tensor<?x4xf32>, tensor<?x4xf32>, tensor<?x4xf32>, tensor<?x4xf32>, tensor<?x4xf32>, tensor<?x4xf32>, tensor<?x4xf32>, tensor<?x4xf32>, tensor<?x4xf32>
  return
}
