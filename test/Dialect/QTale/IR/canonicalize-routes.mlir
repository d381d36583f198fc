// Routes whose flags are known, that nobody needs, or that carry too much.
// RUN: qtale-opt %s --canonicalize | FileCheck %s

// All rows run: the body stands alone, and the other region goes.
// CHECK-LABEL: func @all_kept(
// CHECK-SAME: %[[X:.*]]: tensor<?x8xf32>, %{{.*}}: index) -> tensor<?x8xf32> {
// CHECK-NEXT: %[[Y:.*]] = arith.negf %[[X]] : tensor<?x8xf32>
// CHECK-NEXT: return %[[Y]]
func.func @all_kept(%x: tensor<?x8xf32>, %rows: index) -> tensor<?x8xf32> {
  %true = arith.constant true
  %keep = tensor.splat %true[%rows] : tensor<?xi1>
  %y = qtale.route %x : tensor<?x8xf32> if %keep : tensor<?xi1> -> tensor<?x8xf32> {
  ^bb0(%r: tensor<?x8xf32>):
    %h = arith.negf %r : tensor<?x8xf32>
    qtale.yield %h : tensor<?x8xf32>
  } else {
  ^bb0(%r: tensor<?x8xf32>):
    %h = arith.addf %r, %r : tensor<?x8xf32>
    qtale.yield %h : tensor<?x8xf32>
  }
  return %y : tensor<?x8xf32>
}

// Where the number of rows is known, the regions need not know it.
// CHECK-LABEL: func @all_of_four(
// CHECK-SAME: %[[X:.*]]: tensor<4x8xf32>)
// CHECK-NEXT: %[[ROWS:.*]] = tensor.cast %[[X]] : tensor<4x8xf32> to tensor<?x8xf32>
// CHECK-NEXT: %[[H:.*]] = arith.negf %[[ROWS]] : tensor<?x8xf32>
// CHECK-NEXT: %[[Y:.*]] = tensor.cast %[[H]] : tensor<?x8xf32> to tensor<4x8xf32>
// CHECK-NEXT: return %[[Y]]
func.func @all_of_four(%x: tensor<4x8xf32>) -> tensor<4x8xf32> {
  %keep = arith.constant dense<true> : tensor<4xi1>
  %y = qtale.route %x : tensor<4x8xf32> if %keep : tensor<4xi1> -> tensor<4x8xf32> {
  ^bb0(%r: tensor<?x8xf32>):
    %h = arith.negf %r : tensor<?x8xf32>
    qtale.yield %h : tensor<?x8xf32>
  }
  return %y : tensor<4x8xf32>
}

// A region that claims three rows of four is never right, but no crash.
// CHECK-LABEL: func @three_of_four(
// CHECK-NOT: qtale.route
// CHECK: arith.negf %{{.*}} : tensor<3x8xf32>
func.func @three_of_four(%x: tensor<4x8xf32>) -> tensor<4x8xf32> {
  %keep = arith.constant dense<true> : tensor<4xi1>
  %y = qtale.route %x : tensor<4x8xf32> if %keep : tensor<4xi1> -> tensor<4x8xf32> {
  ^bb0(%r: tensor<3x8xf32>):
    %h = arith.negf %r : tensor<3x8xf32>
    qtale.yield %h : tensor<3x8xf32>
  }
  return %y : tensor<4x8xf32>
}

// Some rows run, or there are none: nothing is known.
// CHECK-LABEL: func @some_kept(
// CHECK-COUNT-2: qtale.route
func.func @some_kept(%x: tensor<2x8xf32>, %none: tensor<0x8xf32>) -> (tensor<2x8xf32>, tensor<0x8xf32>) {
  %keep = arith.constant dense<[true, false]> : tensor<2xi1>
  %y = qtale.route %x : tensor<2x8xf32> if %keep : tensor<2xi1> -> tensor<2x8xf32> {
  ^bb0(%r: tensor<?x8xf32>):
    %h = arith.negf %r : tensor<?x8xf32>
    qtale.yield %h : tensor<?x8xf32>
  }
  %no_flags = arith.constant dense<> : tensor<0xi1>
  %z = qtale.route %none : tensor<0x8xf32> if %no_flags : tensor<0xi1> -> tensor<0x8xf32> {
  ^bb0(%r: tensor<?x8xf32>):
    %h = arith.negf %r : tensor<?x8xf32>
    qtale.yield %h : tensor<?x8xf32>
  }
  return %y, %z : tensor<2x8xf32>, tensor<0x8xf32>
}

// No row runs: results are the first inputs, and effects of the body go.
// CHECK-LABEL: func @none_kept(
// CHECK-SAME: %[[X:.*]]: tensor<?x8xf32>, %[[SEQ:.*]]: tensor<?xi32>, %{{.*}}: !qtale.kv_cache<1x8xf32>)
// CHECK-NEXT: return %[[X]], %[[SEQ]]
func.func @none_kept(%x: tensor<?x8xf32>, %seq: tensor<?xi32>, %cache: !qtale.kv_cache<1x8xf32>) -> (tensor<?x8xf32>, tensor<?xi32>) {
  %flags = arith.constant dense<false> : tensor<4xi1>
  %keep = tensor.cast %flags : tensor<4xi1> to tensor<?xi1>
  %y:2 = qtale.route %x, %seq, %x : tensor<?x8xf32>, tensor<?xi32>, tensor<?x8xf32> if %keep : tensor<?xi1> -> tensor<?x8xf32>, tensor<?xi32> {
  ^bb0(%r: tensor<?x8xf32>, %s: tensor<?xi32>, %k: tensor<?x8xf32>):
    qtale.kv_append %cache, %k, %k, %s, %s : !qtale.kv_cache<1x8xf32>, tensor<?x8xf32>, tensor<?x8xf32>, tensor<?xi32>, tensor<?xi32>
    %h = arith.negf %r : tensor<?x8xf32>
    %t = arith.addi %s, %s : tensor<?xi32>
    qtale.yield %h, %t : tensor<?x8xf32>, tensor<?xi32>
  }
  return %y#0, %y#1 : tensor<?x8xf32>, tensor<?xi32>
}

// No row runs, and there is something else for them.
// CHECK-LABEL: func @all_skipped(
// CHECK-SAME: %[[X:.*]]: tensor<?x8xf32>, %{{.*}}: index)
// CHECK-NEXT: %[[Y:.*]] = arith.addf %[[X]], %[[X]] : tensor<?x8xf32>
// CHECK-NEXT: return %[[Y]]
func.func @all_skipped(%x: tensor<?x8xf32>, %rows: index) -> tensor<?x8xf32> {
  %false = arith.constant false
  %keep = tensor.splat %false[%rows] : tensor<?xi1>
  %y = qtale.route %x : tensor<?x8xf32> if %keep : tensor<?xi1> -> tensor<?x8xf32> {
  ^bb0(%r: tensor<?x8xf32>):
    %h = arith.negf %r : tensor<?x8xf32>
    qtale.yield %h : tensor<?x8xf32>
  } else {
  ^bb0(%r: tensor<?x8xf32>):
    %h = arith.addf %r, %r : tensor<?x8xf32>
    qtale.yield %h : tensor<?x8xf32>
  }
  return %y : tensor<?x8xf32>
}

// Nothing comes out: only effects are left of a body.
// CHECK-LABEL: func @effects_of_all(
// CHECK-NEXT: qtale.kv_append
// CHECK-NEXT: return
func.func @effects_of_all(%x: tensor<?x8xf32>, %seq: tensor<?xi32>, %cache: !qtale.kv_cache<1x8xf32>, %rows: index) {
  %true = arith.constant true
  %keep = tensor.splat %true[%rows] : tensor<?xi1>
  qtale.route if %keep : tensor<?xi1> {
    qtale.kv_append %cache, %x, %x, %seq, %seq : !qtale.kv_cache<1x8xf32>, tensor<?x8xf32>, tensor<?x8xf32>, tensor<?xi32>, tensor<?xi32>
    qtale.yield
  }
  return
}

// No slot is asked for where no row is kept; nothing is copied where all are.
// CHECK-LABEL: func @slots(
// CHECK-SAME: %[[CACHE:.*]]: !qtale.kv_cache<1x8xf32, ragged>,
// CHECK-DAG: %[[ALL:.*]] = arith.constant dense<true>
// CHECK-DAG: %[[NONE:.*]] = arith.constant dense<false>
// CHECK: %[[SLOTS:.*]] = qtale.kv_reserve %[[CACHE]], %[[NONE]],
// CHECK-NEXT: qtale.kv_reserve %[[CACHE]], %[[ALL]],
// CHECK-NEXT: qtale.kv_copy %[[BELOW:.*]], %[[BELOW]], %[[NONE]],
// CHECK-NEXT: return %[[SLOTS]]
func.func @slots(%cache: !qtale.kv_cache<1x8xf32, ragged>, %below: !qtale.kv_cache<1x8xf32>, %seq: tensor<4xi32>) -> tensor<4xi32> {
  %all = arith.constant dense<true> : tensor<4xi1>
  %none = arith.constant dense<false> : tensor<4xi1>
  %unread = qtale.kv_reserve %cache, %none, %seq, %seq : !qtale.kv_cache<1x8xf32, ragged>, tensor<4xi1>, tensor<4xi32>, tensor<4xi32> -> tensor<4xi32>
  %slots = qtale.kv_reserve %cache, %none, %seq, %seq : !qtale.kv_cache<1x8xf32, ragged>, tensor<4xi1>, tensor<4xi32>, tensor<4xi32> -> tensor<4xi32>
  %kept = qtale.kv_reserve %cache, %all, %seq, %seq : !qtale.kv_cache<1x8xf32, ragged>, tensor<4xi1>, tensor<4xi32>, tensor<4xi32> -> tensor<4xi32>
  qtale.kv_copy %below, %below, %all, %seq, %seq : !qtale.kv_cache<1x8xf32>, !qtale.kv_cache<1x8xf32>, tensor<4xi1>, tensor<4xi32>, tensor<4xi32>
  qtale.kv_copy %below, %below, %none, %seq, %seq : !qtale.kv_cache<1x8xf32>, !qtale.kv_cache<1x8xf32>, tensor<4xi1>, tensor<4xi32>, tensor<4xi32>
  return %slots : tensor<4xi32>
}
