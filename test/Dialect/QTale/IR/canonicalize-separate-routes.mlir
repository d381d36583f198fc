// Routes that stay two, each for its own reason.
// RUN: qtale-opt %s --canonicalize | FileCheck %s

// The second's body would follow the record, which comes after the first's.
// CHECK-LABEL: func @effects_between(
// CHECK: qtale.route
// CHECK: qtale.kv_append
// CHECK: qtale.record
// CHECK: qtale.route
// CHECK: qtale.kv_append
func.func @effects_between(%x: tensor<?x8xf32>, %seq: tensor<?xi32>, %cache: !qtale.kv_cache<1x8xf32>, %p: tensor<?xf32>, %keep: tensor<?xi1>) {
  qtale.route if %keep : tensor<?xi1> {
    qtale.kv_append %cache, %x, %x, %seq, %seq : !qtale.kv_cache<1x8xf32>, tensor<?x8xf32>, tensor<?x8xf32>, tensor<?xi32>, tensor<?xi32>
    qtale.yield
  }
  qtale.record %p, %keep {unit = 3} : tensor<?xf32>, tensor<?xi1>
  qtale.route if %keep : tensor<?xi1> {
    qtale.kv_append %cache, %x, %x, %seq, %seq : !qtale.kv_cache<1x8xf32>, tensor<?x8xf32>, tensor<?x8xf32>, tensor<?xi32>, tensor<?xi32>
    qtale.yield
  }
  return
}

// What is read between them is what the first wrote.
// CHECK-LABEL: func @read_of_cache_between(
// CHECK: qtale.route
// CHECK: qtale.attention
// CHECK: qtale.route
func.func @read_of_cache_between(%x: tensor<?x8xf32>, %seq: tensor<?xi32>, %cache: !qtale.kv_cache<1x8xf32>, %keep: tensor<?xi1>) -> tensor<?x8xf32> {
  qtale.route if %keep : tensor<?xi1> {
    qtale.kv_append %cache, %x, %x, %seq, %seq : !qtale.kv_cache<1x8xf32>, tensor<?x8xf32>, tensor<?x8xf32>, tensor<?xi32>, tensor<?xi32>
    qtale.yield
  }
  %h = qtale.attention %x, %cache, %seq, %seq {heads = 1, scale = 1.0 : f32} : tensor<?x8xf32>, !qtale.kv_cache<1x8xf32>, tensor<?xi32>, tensor<?xi32>
  qtale.route if %keep : tensor<?xi1> {
    qtale.kv_append %cache, %x, %x, %seq, %seq : !qtale.kv_cache<1x8xf32>, tensor<?x8xf32>, tensor<?x8xf32>, tensor<?xi32>, tensor<?xi32>
    qtale.yield
  }
  return %h : tensor<?x8xf32>
}

// The sum is of all rows, those that skipped among them.
// CHECK-LABEL: func @user_between(
// CHECK: %[[Y:.*]] = qtale.route
// CHECK: %[[SUM:.*]] = arith.addf %[[Y]], %[[Y]]
// CHECK: qtale.route %[[SUM]]
func.func @user_between(%x: tensor<?x8xf32>, %keep: tensor<?xi1>) -> tensor<?x8xf32> {
  %y = qtale.route %x : tensor<?x8xf32> if %keep : tensor<?xi1> -> tensor<?x8xf32> {
  ^bb0(%r: tensor<?x8xf32>):
    %a = arith.negf %r : tensor<?x8xf32>
    qtale.yield %a : tensor<?x8xf32>
  }
  %sum = arith.addf %y, %y : tensor<?x8xf32>
  %z = qtale.route %sum : tensor<?x8xf32> if %keep : tensor<?xi1> -> tensor<?x8xf32> {
  ^bb0(%r: tensor<?x8xf32>):
    %b = arith.negf %r : tensor<?x8xf32>
    qtale.yield %b : tensor<?x8xf32>
  }
  return %z : tensor<?x8xf32>
}

// The second's body captures all rows of the first's result.
// CHECK-LABEL: func @captured(
// CHECK: %[[Y:.*]] = qtale.route
// CHECK: qtale.route
// CHECK: qtale.kv_append %{{.*}}, %[[Y]], %[[Y]],
func.func @captured(%x: tensor<?x8xf32>, %seq: tensor<?xi32>, %cache: !qtale.kv_cache<1x8xf32>, %keep: tensor<?xi1>) {
  %y = qtale.route %x : tensor<?x8xf32> if %keep : tensor<?xi1> -> tensor<?x8xf32> {
  ^bb0(%r: tensor<?x8xf32>):
    %a = arith.negf %r : tensor<?x8xf32>
    qtale.yield %a : tensor<?x8xf32>
  }
  qtale.route if %keep : tensor<?xi1> {
    qtale.kv_append %cache, %y, %y, %seq, %seq : !qtale.kv_cache<1x8xf32>, tensor<?x8xf32>, tensor<?x8xf32>, tensor<?xi32>, tensor<?xi32>
    qtale.yield
  }
  return
}

// Other flags, other rows.
// CHECK-LABEL: func @two_keeps(
// CHECK: %[[Y:.*]] = qtale.route %{{.*}} if %[[KEEP:.*]] : tensor<?xi1> ->
// CHECK: qtale.route %[[Y]] : tensor<?x8xf32> if %{{.*}} : tensor<?xi1> ->
func.func @two_keeps(%x: tensor<?x8xf32>, %keep: tensor<?xi1>, %other: tensor<?xi1>) -> tensor<?x8xf32> {
  %y = qtale.route %x : tensor<?x8xf32> if %keep : tensor<?xi1> -> tensor<?x8xf32> {
  ^bb0(%r: tensor<?x8xf32>):
    %a = arith.negf %r : tensor<?x8xf32>
    qtale.yield %a : tensor<?x8xf32>
  }
  %z = qtale.route %y : tensor<?x8xf32> if %other : tensor<?xi1> -> tensor<?x8xf32> {
  ^bb0(%r: tensor<?x8xf32>):
    %b = arith.negf %r : tensor<?x8xf32>
    qtale.yield %b : tensor<?x8xf32>
  }
  return %z : tensor<?x8xf32>
}

// Rows that skip the first are changed by it: the second, and then the third,
// get others than the first did.
// CHECK-LABEL: func @other_regions(
// CHECK-SAME: %[[X:.*]]: tensor<?x8xf32>,
// CHECK: %[[Y:.*]] = qtale.route %[[X]]
// CHECK: } else {
// CHECK: %[[Z:.*]] = qtale.route %[[Y]]
// CHECK: %[[W:.*]] = qtale.route %[[Z]]
// CHECK: } else {
// CHECK: return %[[W]]
func.func @other_regions(%x: tensor<?x8xf32>, %keep: tensor<?xi1>) -> tensor<?x8xf32> {
  %y = qtale.route %x : tensor<?x8xf32> if %keep : tensor<?xi1> -> tensor<?x8xf32> {
  ^bb0(%r: tensor<?x8xf32>):
    %a = arith.negf %r : tensor<?x8xf32>
    qtale.yield %a : tensor<?x8xf32>
  } else {
  ^bb0(%r: tensor<?x8xf32>):
    %a = arith.addf %r, %r : tensor<?x8xf32>
    qtale.yield %a : tensor<?x8xf32>
  }
  %z = qtale.route %y : tensor<?x8xf32> if %keep : tensor<?xi1> -> tensor<?x8xf32> {
  ^bb0(%r: tensor<?x8xf32>):
    %b = arith.mulf %r, %r : tensor<?x8xf32>
    qtale.yield %b : tensor<?x8xf32>
  }
  %w = qtale.route %z : tensor<?x8xf32> if %keep : tensor<?xi1> -> tensor<?x8xf32> {
  ^bb0(%r: tensor<?x8xf32>):
    %c = arith.negf %r : tensor<?x8xf32>
    qtale.yield %c : tensor<?x8xf32>
  } else {
  ^bb0(%r: tensor<?x8xf32>):
    %c = arith.addf %r, %r : tensor<?x8xf32>
    qtale.yield %c : tensor<?x8xf32>
  }
  return %w : tensor<?x8xf32>
}
