// RUN: qtale-opt %s --mlir-print-op-generic | qtale-opt | qtale-opt | FileCheck %s
//
// The examples of several matmuls in one (see examples.mlir).

// CHECK-LABEL: @fused_matmul
func.func @fused_matmul(%x: tensor<?x64xf32>, %gate: tensor<172x64xf32>, %up: tensor<172x64xf32>, %b: tensor<172xf32>) {
  // CHECK: qtale.fused_matmul %[[X:.*]], %[[GATE:.*]], %[[UP:.*]] : tensor<?x64xf32>, tensor<172x64xf32>, tensor<172x64xf32> -> tensor<?x172xf32> {
  // CHECK-NEXT: ^bb0(%[[G:.*]]: f32, %[[U:.*]]: f32):
  // CHECK-NEXT: %[[T:.*]] = math.tanh %[[G]] : f32
  // CHECK-NEXT: %[[P:.*]] = arith.mulf %[[T]], %[[U]] : f32
  // CHECK-NEXT: qtale.yield %[[P]] : f32
  %y = qtale.fused_matmul %x, %gate, %up : tensor<?x64xf32>, tensor<172x64xf32>, tensor<172x64xf32> -> tensor<?x172xf32> {
  ^bb0(%g: f32, %u: f32):
    %t = math.tanh %g : f32
    %p = arith.mulf %t, %u : f32
    qtale.yield %p : f32
  }
  // CHECK: qtale.fused_matmul %[[X]], %[[GATE]] bias(%{{.*}} : tensor<172xf32>) : tensor<?x64xf32>, tensor<172x64xf32> -> tensor<?x172xf32> {
  %z = qtale.fused_matmul %x, %gate bias(%b : tensor<172xf32>) : tensor<?x64xf32>, tensor<172x64xf32> -> tensor<?x172xf32> {
  ^bb0(%g: f32):
    %zero = arith.constant 0.0 : f32
    %r = arith.maximumf %g, %zero : f32
    qtale.yield %r : f32
  }
  return
}

// CHECK-LABEL: @joint_matmul
func.func @joint_matmul(%x: tensor<?x64xf32>, %wq: tensor<64x64xf32>, %wk: tensor<32x64xf32>, %bq: tensor<64xf32>, %bk: tensor<32xf32>) {
  // CHECK: qtale.joint_matmul %[[X:.*]], %[[Q:.*]], %[[K:.*]] : tensor<?x64xf32>, tensor<64x64xf32>, tensor<32x64xf32> -> tensor<?x64xf32>, tensor<?x32xf32>
  %q, %k = qtale.joint_matmul %x, %wq, %wk : tensor<?x64xf32>, tensor<64x64xf32>, tensor<32x64xf32> -> tensor<?x64xf32>, tensor<?x32xf32>
  // CHECK: qtale.joint_matmul %[[X]], %[[Q]], %[[K]] bias(%{{.*}}, %{{.*}} : tensor<64xf32>, tensor<32xf32>) :
  %r, %l = qtale.joint_matmul %x, %wq, %wk bias(%bq, %bk : tensor<64xf32>, tensor<32xf32>) : tensor<?x64xf32>, tensor<64x64xf32>, tensor<32x64xf32> -> tensor<?x64xf32>, tensor<?x32xf32>
  return
}

// CHECK-LABEL: @byte_matmul
func.func @byte_matmul(%x: tensor<?x64xi8>, %w: tensor<172x64xi8>, %u: tensor<9x64xui8>, %zx: tensor<1xi32>, %zr: tensor<?xi32>, %zu: tensor<9xi32>) {
  // CHECK: qtale.byte_matmul %[[X:.*]], %{{.*}} input_zero(%{{.*}} : tensor<1xi32>) {unsigned_input} : tensor<?x64xi8>, tensor<172x64xi8> -> tensor<?x172xi32>
  %y = qtale.byte_matmul %x, %w input_zero(%zx : tensor<1xi32>) {unsigned_input} : tensor<?x64xi8>, tensor<172x64xi8> -> tensor<?x172xi32>
  // CHECK: qtale.byte_matmul %[[X]], %{{.*}} input_zero(%{{.*}} : tensor<?xi32>) weight_zero(%{{.*}} : tensor<9xi32>) : tensor<?x64xi8>, tensor<9x64xui8> -> tensor<?x9xi32>
  %z = qtale.byte_matmul %x, %u input_zero(%zr : tensor<?xi32>) weight_zero(%zu : tensor<9xi32>) : tensor<?x64xi8>, tensor<9x64xui8> -> tensor<?x9xi32>
  return
}
