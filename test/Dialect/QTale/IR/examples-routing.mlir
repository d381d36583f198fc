// RUN: qtale-opt %s --mlir-print-op-generic | qtale-opt | qtale-opt | FileCheck %s
//
// The examples of routing: examples.mlir compares them with the descriptions.

// CHECK-LABEL: @routing
func.func @routing(%x: tensor<?x64xf32>, %fc1: tensor<32x64xf32>, %b1: tensor<32xf32>, %norm: tensor<32xf32>, %fc2: tensor<2x32xf32>, %b2: tensor<2xf32>, %g: tensor<64xf32>,
                   %thresholds: tensor<?x5xf32>, %budgets: tensor<?xi32>, %seq: tensor<?xi32>, %pos: tensor<?xi32>) {
  // CHECK: %[[P:.*]] = qtale.router mlp2(%[[X:.*]], %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}}) {epsilon = 9.99999974E-6 : f32} : tensor<?x64xf32>, tensor<32x64xf32>, tensor<32xf32>, tensor<32xf32>, tensor<2x32xf32>, tensor<2xf32> -> tensor<?xf32>
  %p = qtale.router mlp2(%x, %fc1, %b1, %norm, %fc2, %b2) {epsilon = 1.0e-5 : f32}
    : tensor<?x64xf32>, tensor<32x64xf32>, tensor<32xf32>, tensor<32xf32>, tensor<2x32xf32>, tensor<2xf32> -> tensor<?xf32>
  // CHECK: %[[KEEP:.*]], %{{.*}} = qtale.keep %[[P]], %{{.*}}, %{{.*}}, %[[SEQ:.*]], %{{.*}} {always = 2 : i64, unit = 3 : i64} : tensor<?xf32>, tensor<?x5xf32>, tensor<?xi32>, tensor<?xi32>, tensor<?xi32> -> tensor<?xi1>, tensor<?xi32>
  %keep, %left = qtale.keep %p, %thresholds, %budgets, %seq, %pos {unit = 3, always = 2}
    : tensor<?xf32>, tensor<?x5xf32>, tensor<?xi32>, tensor<?xi32>, tensor<?xi32> -> tensor<?xi1>, tensor<?xi32>
  // CHECK: qtale.record %[[P]], %[[KEEP]] {unit = 3 : i64} : tensor<?xf32>, tensor<?xi1>
  qtale.record %p, %keep {unit = 3} : tensor<?xf32>, tensor<?xi1>
  // CHECK: qtale.route %[[X]], %[[SEQ]] : tensor<?x64xf32>, tensor<?xi32> if %[[KEEP]] : tensor<?xi1> -> tensor<?x64xf32> {
  // CHECK-NEXT: ^bb0(%[[ROWS:.*]]: tensor<?x64xf32>, %{{.*}}: tensor<?xi32>):
  // CHECK-NEXT: %[[H:.*]] = qtale.rms_norm %[[ROWS]],
  // CHECK-NEXT: qtale.yield %[[H]] : tensor<?x64xf32>
  // CHECK-NEXT: }
  %y = qtale.route %x, %seq : tensor<?x64xf32>, tensor<?xi32> if %keep : tensor<?xi1> -> tensor<?x64xf32> {
  ^bb0(%rows: tensor<?x64xf32>, %s: tensor<?xi32>):
    %h = qtale.rms_norm %rows, %g {epsilon = 1.0e-5 : f32} : tensor<?x64xf32>, tensor<64xf32>
    qtale.yield %h : tensor<?x64xf32>
  }
  return
}

// CHECK-LABEL: @routers
func.func @routers(%x: tensor<?x64xf32>, %fc: tensor<1x64xf32>, %bias: tensor<1xf32>, %norm: tensor<64xf32>, %down: tensor<16x64xf32>, %up: tensor<1x16xf32>) {
  // CHECK: qtale.router linear(
  %p = qtale.router linear(%x, %fc, %bias) {epsilon = 1.0e-5 : f32} : tensor<?x64xf32>, tensor<1x64xf32>, tensor<1xf32> -> tensor<?xf32>
  // CHECK: qtale.router gate(
  %q = qtale.router gate(%x, %norm, %down, %up) {epsilon = 1.0e-5 : f32} : tensor<?x64xf32>, tensor<64xf32>, tensor<16x64xf32>, tensor<1x16xf32> -> tensor<?xf32>
  return
}

// Nothing comes in or goes out; another region for the rows that skip.
// CHECK-LABEL: @else
func.func @else(%keep: tensor<?xi1>) {
  // CHECK: qtale.route if %{{.*}} : tensor<?xi1> {
  // CHECK-NEXT: qtale.yield
  // CHECK-NEXT: } else {
  // CHECK-NEXT: qtale.yield
  // CHECK-NEXT: }
  qtale.route if %keep : tensor<?xi1> {
    qtale.yield
  } else {
    qtale.yield
  }
  return
}

// CHECK-LABEL: @slots
func.func @slots(%cache: !qtale.kv_cache<4x8xf32, ragged>, %keep: tensor<?xi1>, %seq: tensor<?xi32>, %pos: tensor<?xi32>) {
  // CHECK: qtale.kv_reserve %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}} : <4x8xf32, ragged>, tensor<?xi1>, tensor<?xi32>, tensor<?xi32> -> tensor<?xi32>
  %slots = qtale.kv_reserve %cache, %keep, %seq, %pos
    : !qtale.kv_cache<4x8xf32, ragged>, tensor<?xi1>, tensor<?xi32>, tensor<?xi32> -> tensor<?xi32>
  return
}

// CHECK-LABEL: @copies
func.func @copies(%cache: !qtale.kv_cache<4x8xf32>, %below: !qtale.kv_cache<4x8xf32>, %keep: tensor<?xi1>, %seq: tensor<?xi32>, %pos: tensor<?xi32>) {
  // CHECK: qtale.kv_copy %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}} : <4x8xf32>, <4x8xf32>, tensor<?xi1>, tensor<?xi32>, tensor<?xi32>
  qtale.kv_copy %cache, %below, %keep, %seq, %pos
    : !qtale.kv_cache<4x8xf32>, !qtale.kv_cache<4x8xf32>, tensor<?xi1>, tensor<?xi32>, tensor<?xi32>
  return
}

// CHECK-LABEL: @rows
func.func @rows(%x: tensor<?x64xf32>, %keep: tensor<?xi1>) {
  // CHECK: %[[ROWS:.*]], %{{.*}} = qtale.compact %[[KEEP:.*]] : tensor<?xi1> -> tensor<?xi32>, tensor<1xi32>
  %rows, %count = qtale.compact %keep : tensor<?xi1> -> tensor<?xi32>, tensor<1xi32>
  // CHECK: qtale.compact %[[KEEP]] {skipped} : tensor<?xi1> -> tensor<?xi32>, tensor<1xi32>
  %others, %rest = qtale.compact %keep {skipped} : tensor<?xi1> -> tensor<?xi32>, tensor<1xi32>
  // CHECK: %[[Y:.*]] = qtale.gather_rows %[[X:.*]], %[[ROWS]] : tensor<?x64xf32>, tensor<?xi32> -> tensor<?x64xf32>
  %values = qtale.gather_rows %x, %rows : tensor<?x64xf32>, tensor<?xi32> -> tensor<?x64xf32>
  // CHECK: qtale.scatter_rows %[[Y]], %[[ROWS]], %[[X]] : tensor<?x64xf32>, tensor<?xi32>, tensor<?x64xf32>
  %y = qtale.scatter_rows %values, %rows, %x : tensor<?x64xf32>, tensor<?xi32>, tensor<?x64xf32>
  return
}
