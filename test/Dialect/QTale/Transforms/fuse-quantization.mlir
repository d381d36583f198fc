// RUN: qtale-opt %s --pass-pipeline="builtin.module(func.func(qtale-fuse-quantization))" | FileCheck %s
//
// Int8 activations are made where their floats are, unless somebody else reads
// the floats or a kernel could not write whole blocks.

#rows = #qtale.int_rows<pad = 32>
#wide = #qtale.int_rows<pad = 64>

// CHECK-LABEL: @norms
// CHECK-NOT: quantize_rows
// CHECK: %[[A:.*]] = qtale.rms_norm %arg0, %arg1 {epsilon = {{.*}} : f32} : tensor<?x70xf32>, tensor<70xf32> -> tensor<?x70xf32, #qtale.int_rows<pad = 32>>
// CHECK: %[[B:.*]] = qtale.layer_norm %arg0, %arg1, %arg1 {epsilon = {{.*}} : f32} : tensor<?x70xf32>, tensor<70xf32>, tensor<70xf32> -> tensor<?x70xf32, #qtale.int_rows<pad = 64>>
// CHECK: return %[[A]], %[[B]]
func.func @norms(%x: tensor<?x70xf32>, %g: tensor<70xf32>) -> (tensor<?x70xf32, #rows>, tensor<?x70xf32, #wide>) {
  %n = qtale.rms_norm %x, %g {epsilon = 1.0e-5 : f32} : tensor<?x70xf32>, tensor<70xf32>
  %q = qtale.quantize_rows %n : tensor<?x70xf32> -> tensor<?x70xf32, #rows>
  %m = qtale.layer_norm %x, %g, %g {epsilon = 1.0e-5 : f32} : tensor<?x70xf32>, tensor<70xf32>, tensor<70xf32>
  %r = qtale.quantize_rows %m : tensor<?x70xf32> -> tensor<?x70xf32, #wide>
  return %q, %r : tensor<?x70xf32, #rows>, tensor<?x70xf32, #wide>
}

// CHECK-LABEL: @gate
// CHECK-NOT: quantize_rows
// CHECK: qtale.fused_matmul %arg0, %arg1 : tensor<?x64xf32>, tensor<96x64xf32> -> tensor<?x96xf32, #qtale.int_rows<pad = 32>> {
func.func @gate(%x: tensor<?x64xf32>, %w: tensor<96x64xf32>) -> tensor<?x96xf32, #rows> {
  %y = qtale.fused_matmul %x, %w : tensor<?x64xf32>, tensor<96x64xf32> -> tensor<?x96xf32> {
  ^bb0(%a: f32):
    %t = math.tanh %a : f32
    qtale.yield %t : f32
  }
  %q = qtale.quantize_rows %y : tensor<?x96xf32> -> tensor<?x96xf32, #rows>
  return %q : tensor<?x96xf32, #rows>
}

// CHECK-LABEL: @padded_gate
// CHECK: qtale.quantize_rows
func.func @padded_gate(%x: tensor<?x64xf32>, %w: tensor<96x64xf32>) -> tensor<?x96xf32, #wide> {
  %y = qtale.fused_matmul %x, %w : tensor<?x64xf32>, tensor<96x64xf32> -> tensor<?x96xf32> {
  ^bb0(%a: f32):
    %t = math.tanh %a : f32
    qtale.yield %t : f32
  }
  %q = qtale.quantize_rows %y : tensor<?x96xf32> -> tensor<?x96xf32, #wide>
  return %q : tensor<?x96xf32, #wide>
}

// CHECK-LABEL: @attention
// CHECK: %[[A:.*]] = qtale.attention %arg0, %arg1, {{.*}} -> tensor<?x64xf32, #qtale.int_rows<pad = 32>>
// CHECK: %[[B:.*]] = qtale.attention %arg0, %arg2, {{.*}} : tensor<?x64xf32>, <4x16xf32>, tensor<?xi32>, tensor<?xi32>{{ *$}}
// CHECK: %[[C:.*]] = qtale.quantize_rows %[[B]]
// CHECK: return %[[A]], %[[C]]
func.func @attention(%q: tensor<?x64xf32>, %cache: !qtale.kv_cache<2x32xf32>, %narrow: !qtale.kv_cache<4x16xf32>, %seq: tensor<?xi32>) -> (tensor<?x64xf32, #rows>, tensor<?x64xf32, #rows>) {
  %y = qtale.attention %q, %cache, %seq, %seq {heads = 2, scale = 1.0 : f32} : tensor<?x64xf32>, !qtale.kv_cache<2x32xf32>, tensor<?xi32>, tensor<?xi32>
  %r = qtale.quantize_rows %y : tensor<?x64xf32> -> tensor<?x64xf32, #rows>
  %z = qtale.attention %q, %narrow, %seq, %seq {heads = 4, scale = 1.0 : f32} : tensor<?x64xf32>, !qtale.kv_cache<4x16xf32>, tensor<?xi32>, tensor<?xi32>
  %s = qtale.quantize_rows %z : tensor<?x64xf32> -> tensor<?x64xf32, #rows>
  return %r, %s : tensor<?x64xf32, #rows>, tensor<?x64xf32, #rows>
}

// CHECK-LABEL: @read_by_others
// CHECK: %[[N:.*]] = qtale.rms_norm
// CHECK: qtale.quantize_rows %[[N]]
func.func @read_by_others(%x: tensor<?x64xf32>, %g: tensor<64xf32>) -> (tensor<?x64xf32>, tensor<?x64xf32, #rows>) {
  %n = qtale.rms_norm %x, %g {epsilon = 1.0e-5 : f32} : tensor<?x64xf32>, tensor<64xf32>
  %q = qtale.quantize_rows %n : tensor<?x64xf32> -> tensor<?x64xf32, #rows>
  return %n, %q : tensor<?x64xf32>, tensor<?x64xf32, #rows>
}

// CHECK-LABEL: @other_producers
// CHECK: qtale.quantize_rows %arg0
// CHECK: qtale.quantize_rows %{{[0-9]+}}
func.func @other_producers(%x: tensor<?x64xf32>, %w: tensor<64x64xf32>) -> (tensor<?x64xf32, #rows>, tensor<?x64xf32, #rows>) {
  %q = qtale.quantize_rows %x : tensor<?x64xf32> -> tensor<?x64xf32, #rows>
  %m = qtale.matmul %x, %w : tensor<?x64xf32>, tensor<64x64xf32> -> tensor<?x64xf32>
  %r = qtale.quantize_rows %m : tensor<?x64xf32> -> tensor<?x64xf32, #rows>
  return %q, %r : tensor<?x64xf32, #rows>, tensor<?x64xf32, #rows>
}
