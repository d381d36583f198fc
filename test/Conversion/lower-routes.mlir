// RUN: qtale-opt %s --pass-pipeline='builtin.module(func.func(qtale-lower-routes))' --split-input-file | FileCheck %s --implicit-check-not=qtale.route
//
// What a route holds is computed within a branch, on the gathered rows, and
// nowhere else; its results go back to their rows.

// CHECK-LABEL: func.func @kept(
// CHECK-SAME:    %[[X:[^:]*]]: tensor<?x8xf32>, %[[SEQ:[^:]*]]: tensor<?xi32>, %[[UNUSED:[^:]*]]: tensor<?xi32>, %[[KEEP:[^:]*]]: tensor<?xi1>, %[[G:[^:]*]]: tensor<8xf32>, %[[CACHE:.*]]: !qtale.kv_cache
func.func @kept(%x: tensor<?x8xf32>, %seq: tensor<?xi32>, %unused: tensor<?xi32>, %keep: tensor<?xi1>, %g: tensor<8xf32>, %cache: !qtale.kv_cache<1x8xf32, ragged>) -> tensor<?x8xf32> {
  // Nothing of the body stands before the branch.
  // CHECK-NOT: qtale.rms_norm
  // CHECK-NOT: qtale.kv_append
  // CHECK: %[[ROWS:.*]], %[[COUNT:.*]] = qtale.compact %[[KEEP]] : tensor<?xi1> -> tensor<?xi32>, tensor<1xi32>
  // CHECK: %[[N32:.*]] = tensor.extract %[[COUNT]]
  // CHECK: %[[N0:.*]] = arith.index_cast %[[N32]]
  // CHECK: %[[ALL:.*]] = tensor.dim %[[KEEP]]
  // CHECK: %[[N:.*]] = arith.minui %[[N0]], %[[ALL]]
  // CHECK: %[[ANY:.*]] = arith.cmpi ugt, %[[N]], %
  // CHECK-NOT: qtale.rms_norm
  // CHECK-NOT: qtale.kv_append
  // CHECK: %[[Y:.*]] = scf.if %[[ANY]] -> (tensor<?x8xf32>) {
  // CHECK:   %[[OWN:.*]] = tensor.extract_slice %[[ROWS]][0] [%[[N]]] [1]
  // CHECK:   %[[R:.*]] = qtale.gather_rows %[[X]], %[[OWN]] : tensor<?x8xf32>, tensor<?xi32> -> tensor<?x8xf32>
  // CHECK:   %[[S:.*]] = qtale.gather_rows %[[SEQ]], %[[OWN]] : tensor<?xi32>, tensor<?xi32> -> tensor<?xi32>
  // What no region reads is not gathered.
  // CHECK-NOT: qtale.gather_rows
  // CHECK:   %[[H:.*]] = qtale.rms_norm %[[R]], %[[G]]
  // CHECK:   qtale.kv_append %[[CACHE]], %[[H]], %[[H]], %[[S]], %[[S]]
  // CHECK:   %[[BACK:.*]] = qtale.scatter_rows %[[H]], %[[OWN]], %[[X]]
  // CHECK:   scf.yield %[[BACK]]
  // CHECK: } else {
  // CHECK-NEXT:   scf.yield %[[X]]
  // CHECK-NEXT: }
  // Nor behind it.
  // CHECK-NOT: qtale.
  // CHECK: return %[[Y]]
  %y = qtale.route %x, %seq, %unused : tensor<?x8xf32>, tensor<?xi32>, tensor<?xi32> if %keep : tensor<?xi1> -> tensor<?x8xf32> {
  ^bb0(%rows: tensor<?x8xf32>, %s: tensor<?xi32>, %u: tensor<?xi32>):
    %h = qtale.rms_norm %rows, %g {epsilon = 1.0e-5 : f32} : tensor<?x8xf32>, tensor<8xf32>
    qtale.kv_append %cache, %h, %h, %s, %s : !qtale.kv_cache<1x8xf32, ragged>, tensor<?x8xf32>, tensor<?x8xf32>, tensor<?xi32>, tensor<?xi32>
    qtale.yield %h : tensor<?x8xf32>
  }
  return %y : tensor<?x8xf32>
}

// -----

// The skipped rows, in a branch of their own; both make one result.
// CHECK-LABEL: func.func @skipped(
// CHECK-SAME:    %[[X:[^:]*]]: tensor<?x8xf32>, %[[KEEP:[^:]*]]: tensor<?xi1>
func.func @skipped(%x: tensor<?x8xf32>, %keep: tensor<?xi1>, %g: tensor<8xf32>, %e: tensor<8xf32>) -> tensor<?x8xf32> {
  // CHECK: qtale.compact %[[KEEP]] : tensor
  // CHECK: %[[K:.*]] = scf.if
  // CHECK:   qtale.rms_norm %{{.*}}, %{{.*}} {epsilon = 9.99999974E-6 : f32}
  // CHECK:   qtale.scatter_rows %{{.*}}, %{{.*}}, %[[X]]
  // CHECK: %[[OTHERS:.*]], %{{.*}} = qtale.compact %[[KEEP]] {skipped}
  // CHECK: %[[Y:.*]] = scf.if
  // CHECK:   %[[OWN:.*]] = tensor.extract_slice %[[OTHERS]]
  // The second region reads what its rows were before the first.
  // CHECK:   %[[R:.*]] = qtale.gather_rows %[[X]], %[[OWN]]
  // CHECK:   %[[H:.*]] = qtale.rms_norm %[[R]], %{{.*}} {epsilon = 1.000000e+00 : f32}
  // CHECK:   qtale.scatter_rows %[[H]], %[[OWN]], %[[K]]
  // CHECK: } else {
  // CHECK-NEXT: scf.yield %[[K]]
  // CHECK: return %[[Y]]
  %y = qtale.route %x : tensor<?x8xf32> if %keep : tensor<?xi1> -> tensor<?x8xf32> {
  ^bb0(%rows: tensor<?x8xf32>):
    %h = qtale.rms_norm %rows, %g {epsilon = 1.0e-5 : f32} : tensor<?x8xf32>, tensor<8xf32>
    qtale.yield %h : tensor<?x8xf32>
  } else {
  ^bb0(%rows: tensor<?x8xf32>):
    %h = qtale.rms_norm %rows, %e {epsilon = 1.0 : f32} : tensor<?x8xf32>, tensor<8xf32>
    qtale.yield %h : tensor<?x8xf32>
  }
  return %y : tensor<?x8xf32>
}

// -----

// Without results the branch has no other side.
// CHECK-LABEL: func.func @effects(
func.func @effects(%x: tensor<?x8xf32>, %seq: tensor<?xi32>, %keep: tensor<?xi1>, %cache: !qtale.kv_cache<1x8xf32, ragged>) {
  // CHECK: scf.if
  // CHECK:   qtale.kv_append
  // CHECK-NOT: qtale.scatter_rows
  // CHECK-NOT: } else {
  // CHECK: return
  qtale.route %x, %seq : tensor<?x8xf32>, tensor<?xi32> if %keep : tensor<?xi1> {
  ^bb0(%rows: tensor<?x8xf32>, %s: tensor<?xi32>):
    qtale.kv_append %cache, %rows, %rows, %s, %s : !qtale.kv_cache<1x8xf32, ragged>, tensor<?x8xf32>, tensor<?x8xf32>, tensor<?xi32>, tensor<?xi32>
    qtale.yield
  }
  return
}

// -----

// Decisions are recorded for every row, whatever becomes of the route.
// CHECK-LABEL: func.func @recorded(
func.func @recorded(%x: tensor<?x8xf32>, %p: tensor<?xf32>, %t: tensor<?x5xf32>, %i: tensor<?xi32>) -> (tensor<?xi1>, tensor<?xi32>) {
  // CHECK: %[[KEEP:.*]], %{{.*}} = qtale.keep %[[P:[^,]*]],
  // CHECK-NEXT: qtale.record %[[P]], %[[KEEP]] {unit = 3 : i64}
  %keep, %left = qtale.keep %p, %t, %i, %i, %i {unit = 3, always = 2} : tensor<?xf32>, tensor<?x5xf32>, tensor<?xi32>, tensor<?xi32>, tensor<?xi32> -> tensor<?xi1>, tensor<?xi32>
  return %keep, %left : tensor<?xi1>, tensor<?xi32>
}
