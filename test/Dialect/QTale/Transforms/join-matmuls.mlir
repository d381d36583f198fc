// RUN: qtale-opt %s --pass-pipeline="builtin.module(func.func(qtale-join-matmuls))" | FileCheck %s
//
// Matmuls of one input become one operation; what can't be there in time, or has
// another format, stays.

#w = #qtale.source<file = "w", offset = 0, bytes = 4096, type = tensor<16x64xf32>>
qtale.weight @q : tensor<16x64xf32> = #w
qtale.weight @k : tensor<16x64xf32> = #w
qtale.weight @v : tensor<16x64xf32> = #w

// The last weights are named below the first matmul: they move up.
// CHECK-LABEL: @qkv
// CHECK: %[[Q:.*]] = qtale.param @q
// CHECK: %[[K:.*]] = qtale.param @k
// CHECK: %[[V:.*]] = qtale.param @v
// CHECK: %[[Y:.*]]:3 = qtale.joint_matmul %arg0, %[[Q]], %[[K]], %[[V]] : tensor<?x64xf32>, tensor<16x64xf32>, tensor<16x64xf32>, tensor<16x64xf32> -> tensor<?x16xf32>, tensor<?x16xf32>, tensor<?x16xf32>
// CHECK-NOT: qtale.matmul
// CHECK: return %[[Y]]#0, %[[Y]]#1, %[[Y]]#2
func.func @qkv(%x: tensor<?x64xf32>) -> (tensor<?x16xf32>, tensor<?x16xf32>, tensor<?x16xf32>) {
  %wq = qtale.param @q : tensor<16x64xf32>
  %q = qtale.matmul %x, %wq : tensor<?x64xf32>, tensor<16x64xf32> -> tensor<?x16xf32>
  %wk = qtale.param @k : tensor<16x64xf32>
  %k = qtale.matmul %x, %wk : tensor<?x64xf32>, tensor<16x64xf32> -> tensor<?x16xf32>
  %wv = qtale.param @v : tensor<16x64xf32>
  %v = qtale.matmul %x, %wv : tensor<?x64xf32>, tensor<16x64xf32> -> tensor<?x16xf32>
  return %q, %k, %v : tensor<?x16xf32>, tensor<?x16xf32>, tensor<?x16xf32>
}

// Widths may differ; with biases, all have one.
// CHECK-LABEL: @biases
// CHECK: %[[Y:.*]]:2 = qtale.joint_matmul %arg0, %arg1, %arg2 bias(%arg3, %arg4 : tensor<16xf32>, tensor<9xf32>) :
// CHECK: %[[Z:.*]] = qtale.matmul %arg0, %arg2 : tensor<?x64xf32>, tensor<9x64xf32> -> tensor<?x9xf32>
// CHECK: return %[[Y]]#0, %[[Y]]#1, %[[Z]]
func.func @biases(%x: tensor<?x64xf32>, %w: tensor<16x64xf32>, %v: tensor<9x64xf32>, %b: tensor<16xf32>, %c: tensor<9xf32>) -> (tensor<?x16xf32>, tensor<?x9xf32>, tensor<?x9xf32>) {
  %y = qtale.matmul %x, %w bias(%b : tensor<16xf32>) : tensor<?x64xf32>, tensor<16x64xf32> -> tensor<?x16xf32>
  %z = qtale.matmul %x, %v bias(%c : tensor<9xf32>) : tensor<?x64xf32>, tensor<9x64xf32> -> tensor<?x9xf32>
  %u = qtale.matmul %x, %v : tensor<?x64xf32>, tensor<9x64xf32> -> tensor<?x9xf32>
  return %y, %z, %u : tensor<?x16xf32>, tensor<?x9xf32>, tensor<?x9xf32>
}

// Inside a route as outside, but never across its edge.
// CHECK-LABEL: @in_route
// CHECK: qtale.matmul %arg0, %arg1
// CHECK: qtale.route
// CHECK: qtale.joint_matmul %{{.*}}, %arg1, %arg2 :
func.func @in_route(%x: tensor<?x64xf32>, %w: tensor<64x64xf32>, %v: tensor<64x64xf32>, %keep: tensor<?xi1>) -> (tensor<?x64xf32>, tensor<?x64xf32>, tensor<?x64xf32>) {
  %o = qtale.matmul %x, %w : tensor<?x64xf32>, tensor<64x64xf32> -> tensor<?x64xf32>
  %r:2 = qtale.route %x, %o : tensor<?x64xf32>, tensor<?x64xf32> if %keep : tensor<?xi1> -> tensor<?x64xf32>, tensor<?x64xf32> {
  ^bb0(%rows: tensor<?x64xf32>, %also: tensor<?x64xf32>):
    %y = qtale.matmul %rows, %w : tensor<?x64xf32>, tensor<64x64xf32> -> tensor<?x64xf32>
    %z = qtale.matmul %rows, %v : tensor<?x64xf32>, tensor<64x64xf32> -> tensor<?x64xf32>
    qtale.yield %y, %z : tensor<?x64xf32>, tensor<?x64xf32>
  }
  return %o, %r#0, %r#1 : tensor<?x64xf32>, tensor<?x64xf32>, tensor<?x64xf32>
}

// CHECK-LABEL: @apart
// CHECK-NOT: joint_matmul
// CHECK: return
func.func @apart(%x: tensor<?x64xf32>, %w: tensor<16x64xf32>, %h: tensor<16x64xf16>, %b: tensor<16xf32>) -> (tensor<?x16xf32>, tensor<?x16xf32>, tensor<?x16xf32>, tensor<?x16xf32>) {
  %y = qtale.matmul %x, %w : tensor<?x64xf32>, tensor<16x64xf32> -> tensor<?x16xf32>
  // Another format; a residual; a bias that is computed in between.
  %z = qtale.matmul %x, %h : tensor<?x64xf32>, tensor<16x64xf16> -> tensor<?x16xf32>
  %u = qtale.matmul %x, %w residual(%y : tensor<?x16xf32>) : tensor<?x64xf32>, tensor<16x64xf32> -> tensor<?x16xf32>
  %c = qtale.matmul %x, %w bias(%b : tensor<16xf32>) : tensor<?x64xf32>, tensor<16x64xf32> -> tensor<?x16xf32>
  return %y, %z, %u, %c : tensor<?x16xf32>, tensor<?x16xf32>, tensor<?x16xf32>, tensor<?x16xf32>
}

// A bias that is computed from the first product comes too late.
// CHECK-LABEL: @too_late
// CHECK-NOT: joint_matmul
// CHECK: return
func.func @too_late(%x: tensor<1x64xf32>, %w: tensor<16x64xf32>, %b: tensor<16xf32>) -> tensor<1x16xf32> {
  %y = qtale.matmul %x, %w bias(%b : tensor<16xf32>) : tensor<1x64xf32>, tensor<16x64xf32> -> tensor<1x16xf32>
  %c = tensor.collapse_shape %y [[0, 1]] : tensor<1x16xf32> into tensor<16xf32>
  %z = qtale.matmul %x, %w bias(%c : tensor<16xf32>) : tensor<1x64xf32>, tensor<16x64xf32> -> tensor<1x16xf32>
  return %z : tensor<1x16xf32>
}

// No more than a kernel may choose among; the rest are joined again.
// CHECK-LABEL: @many
// CHECK: :16 = qtale.joint_matmul
// CHECK: :2 = qtale.joint_matmul
// CHECK-NOT: qtale.matmul
func.func @many(%x: tensor<?x64xf32>) -> (tensor<?x16xf32>, tensor<?x16xf32>, tensor<?x16xf32>, tensor<?x16xf32>, tensor<?x16xf32>, tensor<?x16xf32>, tensor<?x16xf32>, tensor<?x16xf32>, tensor<?x16xf32>, tensor<?x16xf32>, tensor<?x16xf32>, tensor<?x16xf32>, tensor<?x16xf32>, tensor<?x16xf32>, tensor<?x16xf32>, tensor<?x16xf32>, tensor<?x16xf32>, tensor<?x16xf32>) {
  %w = qtale.param @q : tensor<16x64xf32>
  %y0 = qtale.matmul %x, %w : tensor<?x64xf32>, tensor<16x64xf32> -> tensor<?x16xf32>
  %y1 = qtale.matmul %x, %w : tensor<?x64xf32>, tensor<16x64xf32> -> tensor<?x16xf32>
  %y2 = qtale.matmul %x, %w : tensor<?x64xf32>, tensor<16x64xf32> -> tensor<?x16xf32>
  %y3 = qtale.matmul %x, %w : tensor<?x64xf32>, tensor<16x64xf32> -> tensor<?x16xf32>
  %y4 = qtale.matmul %x, %w : tensor<?x64xf32>, tensor<16x64xf32> -> tensor<?x16xf32>
  %y5 = qtale.matmul %x, %w : tensor<?x64xf32>, tensor<16x64xf32> -> tensor<?x16xf32>
  %y6 = qtale.matmul %x, %w : tensor<?x64xf32>, tensor<16x64xf32> -> tensor<?x16xf32>
  %y7 = qtale.matmul %x, %w : tensor<?x64xf32>, tensor<16x64xf32> -> tensor<?x16xf32>
  %y8 = qtale.matmul %x, %w : tensor<?x64xf32>, tensor<16x64xf32> -> tensor<?x16xf32>
  %y9 = qtale.matmul %x, %w : tensor<?x64xf32>, tensor<16x64xf32> -> tensor<?x16xf32>
  %y10 = qtale.matmul %x, %w : tensor<?x64xf32>, tensor<16x64xf32> -> tensor<?x16xf32>
  %y11 = qtale.matmul %x, %w : tensor<?x64xf32>, tensor<16x64xf32> -> tensor<?x16xf32>
  %y12 = qtale.matmul %x, %w : tensor<?x64xf32>, tensor<16x64xf32> -> tensor<?x16xf32>
  %y13 = qtale.matmul %x, %w : tensor<?x64xf32>, tensor<16x64xf32> -> tensor<?x16xf32>
  %y14 = qtale.matmul %x, %w : tensor<?x64xf32>, tensor<16x64xf32> -> tensor<?x16xf32>
  %y15 = qtale.matmul %x, %w : tensor<?x64xf32>, tensor<16x64xf32> -> tensor<?x16xf32>
  %y16 = qtale.matmul %x, %w : tensor<?x64xf32>, tensor<16x64xf32> -> tensor<?x16xf32>
  %y17 = qtale.matmul %x, %w : tensor<?x64xf32>, tensor<16x64xf32> -> tensor<?x16xf32>
  return %y0, %y1, %y2, %y3, %y4, %y5, %y6, %y7, %y8, %y9, %y10, %y11, %y12, %y13, %y14, %y15, %y16, %y17 : tensor<?x16xf32>, tensor<?x16xf32>, tensor<?x16xf32>, tensor<?x16xf32>, tensor<?x16xf32>, tensor<?x16xf32>, tensor<?x16xf32>, tensor<?x16xf32>, tensor<?x16xf32>, tensor<?x16xf32>, tensor<?x16xf32>, tensor<?x16xf32>, tensor<?x16xf32>, tensor<?x16xf32>, tensor<?x16xf32>, tensor<?x16xf32>, tensor<?x16xf32>, tensor<?x16xf32>
}
