// What of a route, its keep and its router nobody reads goes.
// RUN: qtale-opt %s --canonicalize | FileCheck %s

// A route without effects whose results nobody reads goes, and then its keep and
// its router.
// CHECK-LABEL: func @dead_route(
// CHECK-NEXT: return
func.func @dead_route(%x: tensor<?x8xf32>, %fc: tensor<1x8xf32>, %bias: tensor<1xf32>, %t: tensor<?x5xf32>, %seq: tensor<?xi32>, %cache: !qtale.kv_cache<1x8xf32>) {
  %p = qtale.router linear(%x, %fc, %bias) {epsilon = 1.0e-5 : f32} : tensor<?x8xf32>, tensor<1x8xf32>, tensor<1xf32> -> tensor<?xf32>
  %keep, %left = qtale.keep %p, %t, %seq, %seq, %seq {unit = 3, always = 2}
    : tensor<?xf32>, tensor<?x5xf32>, tensor<?xi32>, tensor<?xi32>, tensor<?xi32> -> tensor<?xi1>, tensor<?xi32>
  %y = qtale.route %x, %seq : tensor<?x8xf32>, tensor<?xi32> if %keep : tensor<?xi1> -> tensor<?x8xf32> {
  ^bb0(%r: tensor<?x8xf32>, %s: tensor<?xi32>):
    %h = qtale.attention %r, %cache, %s, %s {heads = 1, scale = 1.0 : f32} : tensor<?x8xf32>, !qtale.kv_cache<1x8xf32>, tensor<?xi32>, tensor<?xi32>
    qtale.yield %h : tensor<?x8xf32>
  }
  return
}

// Whoever asks which rows ran, or has a budget after them, still wants to know.
// CHECK-LABEL: func @recorded(
// CHECK: %[[P:.*]] = qtale.router
// CHECK: %[[KEEP:.*]], %[[LEFT:.*]] = qtale.keep %[[P]]
// CHECK: qtale.record %[[P]], %[[KEEP]]
// CHECK: return %[[LEFT]]
func.func @recorded(%x: tensor<?x8xf32>, %fc: tensor<1x8xf32>, %bias: tensor<1xf32>, %t: tensor<?x5xf32>, %seq: tensor<?xi32>) -> tensor<?xi32> {
  %p = qtale.router linear(%x, %fc, %bias) {epsilon = 1.0e-5 : f32} : tensor<?x8xf32>, tensor<1x8xf32>, tensor<1xf32> -> tensor<?xf32>
  %keep, %left = qtale.keep %p, %t, %seq, %seq, %seq {unit = 3, always = 2}
    : tensor<?xf32>, tensor<?x5xf32>, tensor<?xi32>, tensor<?xi32>, tensor<?xi32> -> tensor<?xi1>, tensor<?xi32>
  qtale.record %p, %keep {unit = 3} : tensor<?xf32>, tensor<?xi1>
  return %left : tensor<?xi32>
}

// Results go, effects stay, with the inputs that they need.
// CHECK-LABEL: func @only_effects(
// CHECK-SAME: %[[X:.*]]: tensor<?x8xf32>, %[[SEQ:.*]]: tensor<?xi32>, %[[CACHE:[^:]*]]:
// CHECK-NEXT: qtale.route %[[X]], %[[SEQ]] : tensor<?x8xf32>, tensor<?xi32> if %{{.*}} : tensor<?xi1> {
// CHECK-NEXT: ^bb0(%[[R:.*]]: tensor<?x8xf32>, %[[S:.*]]: tensor<?xi32>):
// CHECK-NEXT: qtale.kv_append %[[CACHE]], %[[R]], %[[R]], %[[S]], %[[S]] :
// CHECK-NEXT: qtale.yield
// CHECK-NEXT: }
func.func @only_effects(%x: tensor<?x8xf32>, %seq: tensor<?xi32>, %cache: !qtale.kv_cache<1x8xf32>, %keep: tensor<?xi1>) {
  %y = qtale.route %x, %seq : tensor<?x8xf32>, tensor<?xi32> if %keep : tensor<?xi1> -> tensor<?x8xf32> {
  ^bb0(%r: tensor<?x8xf32>, %s: tensor<?xi32>):
    qtale.kv_append %cache, %r, %r, %s, %s : !qtale.kv_cache<1x8xf32>, tensor<?x8xf32>, tensor<?x8xf32>, tensor<?xi32>, tensor<?xi32>
    %h = arith.negf %r : tensor<?x8xf32>
    qtale.yield %h : tensor<?x8xf32>
  }
  return
}

// The first result goes; the second still passes %b where rows skip. %a stays,
// once, behind it, since the body reads it.
// CHECK-LABEL: func @results_stay_over_inputs(
// CHECK-SAME: %[[A:.*]]: tensor<?x8xf32>, %[[B:.*]]: tensor<?x8xf32>, %{{.*}}: tensor<?xi32>, %[[KEEP:.*]]: tensor<?xi1>)
// CHECK-NEXT: %[[Y:.*]] = qtale.route %[[B]], %[[A]] : tensor<?x8xf32>, tensor<?x8xf32> if %[[KEEP]] : tensor<?xi1> -> tensor<?x8xf32> {
// CHECK-NEXT: ^bb0(%{{.*}}: tensor<?x8xf32>, %[[R:.*]]: tensor<?x8xf32>):
// CHECK-NEXT: %[[H:.*]] = arith.addf %[[R]], %[[R]] : tensor<?x8xf32>
// CHECK-NEXT: qtale.yield %[[H]] : tensor<?x8xf32>
// CHECK: return %[[Y]]
func.func @results_stay_over_inputs(%a: tensor<?x8xf32>, %b: tensor<?x8xf32>, %c: tensor<?xi32>, %keep: tensor<?xi1>) -> tensor<?x8xf32> {
  %y:2 = qtale.route %a, %b, %c, %a : tensor<?x8xf32>, tensor<?x8xf32>, tensor<?xi32>, tensor<?x8xf32> if %keep : tensor<?xi1> -> tensor<?x8xf32>, tensor<?x8xf32> {
  ^bb0(%r: tensor<?x8xf32>, %t: tensor<?x8xf32>, %s: tensor<?xi32>, %again: tensor<?x8xf32>):
    %h = arith.addf %r, %again : tensor<?x8xf32>
    %d = arith.divf %r, %again : tensor<?x8xf32>
    qtale.yield %d, %h : tensor<?x8xf32>, tensor<?x8xf32>
  }
  return %y#1 : tensor<?x8xf32>
}

// With another region, inputs pass for nothing: what one region reads stays for
// both, and a result that is read needs no input of its own.
// CHECK-LABEL: func @both_regions(
// CHECK-SAME: %{{.*}}: tensor<?xi32>, %[[A:.*]]: tensor<?x8xf32>, %[[B:.*]]: tensor<?x8xf32>, %[[KEEP:.*]]: tensor<?xi1>)
// CHECK-NEXT: %[[Y:.*]] = qtale.route %[[A]], %[[B]] : tensor<?x8xf32>, tensor<?x8xf32> if %[[KEEP]] : tensor<?xi1> -> tensor<?x8xf32> {
// CHECK-NEXT: ^bb0(%[[R:.*]]: tensor<?x8xf32>, %{{.*}}: tensor<?x8xf32>):
// CHECK-NEXT: %[[H:.*]] = arith.negf %[[R]] : tensor<?x8xf32>
// CHECK-NEXT: qtale.yield %[[H]] : tensor<?x8xf32>
// CHECK-NEXT: } else {
// CHECK-NEXT: ^bb0(%{{.*}}: tensor<?x8xf32>, %[[T:.*]]: tensor<?x8xf32>):
// CHECK-NEXT: qtale.yield %[[T]] : tensor<?x8xf32>
// CHECK-NEXT: }
// CHECK-NEXT: return %[[Y]]
func.func @both_regions(%c: tensor<?xi32>, %a: tensor<?x8xf32>, %b: tensor<?x8xf32>, %keep: tensor<?xi1>) -> tensor<?x8xf32> {
  %y:2 = qtale.route %c, %a, %b : tensor<?xi32>, tensor<?x8xf32>, tensor<?x8xf32> if %keep : tensor<?xi1> -> tensor<?x8xf32>, tensor<?xi32> {
  ^bb0(%s: tensor<?xi32>, %r: tensor<?x8xf32>, %t: tensor<?x8xf32>):
    %h = arith.negf %r : tensor<?x8xf32>
    qtale.yield %h, %s : tensor<?x8xf32>, tensor<?xi32>
  } else {
  ^bb0(%s: tensor<?xi32>, %r: tensor<?x8xf32>, %t: tensor<?x8xf32>):
    %u = arith.addi %s, %s : tensor<?xi32>
    qtale.yield %t, %u : tensor<?x8xf32>, tensor<?xi32>
  }
  return %y#0 : tensor<?x8xf32>
}

// All is read: results, inputs that pass, even one value that passes twice.
// CHECK-LABEL: func @all_used(
// CHECK: qtale.route %[[X:.*]], %[[X]] : tensor<?x8xf32>, tensor<?x8xf32> if
func.func @all_used(%x: tensor<?x8xf32>, %keep: tensor<?xi1>) -> (tensor<?x8xf32>, tensor<?x8xf32>) {
  %y:2 = qtale.route %x, %x : tensor<?x8xf32>, tensor<?x8xf32> if %keep : tensor<?xi1> -> tensor<?x8xf32>, tensor<?x8xf32> {
  ^bb0(%r: tensor<?x8xf32>, %t: tensor<?x8xf32>):
    %h = arith.negf %r : tensor<?x8xf32>
    %i = arith.addf %h, %t : tensor<?x8xf32>
    qtale.yield %h, %i : tensor<?x8xf32>, tensor<?x8xf32>
  }
  return %y#0, %y#1 : tensor<?x8xf32>, tensor<?x8xf32>
}
