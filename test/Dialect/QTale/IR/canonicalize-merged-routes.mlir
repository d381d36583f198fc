// Routes with one keep become one, where nothing stands between them.
// RUN: qtale-opt %s --canonicalize | FileCheck %s

// The first's results are the second's rows: gathered once. Rows that skip are
// %x, after both. Pure operations between them are in nobody's way.
// CHECK-LABEL: func @chain(
// CHECK-SAME: %[[X:.*]]: tensor<?x8xf32>, %[[SEQ:.*]]: tensor<?xi32>, %[[CACHE:.*]]: !qtale.kv_cache<1x8xf32>, %[[KEEP:.*]]: tensor<?xi1>, %[[G:.*]]: tensor<8xf32>)
// CHECK-NEXT: %[[G2:.*]] = arith.addf %[[G]], %[[G]]
// CHECK-NEXT: %[[Z:.*]] = qtale.route %[[X]], %[[SEQ]] : tensor<?x8xf32>, tensor<?xi32> if %[[KEEP]] : tensor<?xi1> -> tensor<?x8xf32> {
// CHECK-NEXT: ^bb0(%[[R:.*]]: tensor<?x8xf32>, %[[S:.*]]: tensor<?xi32>):
// CHECK-NEXT: qtale.kv_append %[[CACHE]], %[[R]], %[[R]], %[[S]], %[[S]] :
// CHECK-NEXT: %[[A:.*]] = arith.negf %[[R]]
// CHECK-NEXT: %[[B:.*]] = qtale.attention %[[A]], %[[CACHE]], %[[S]], %[[S]]
// CHECK-NEXT: %[[C:.*]] = qtale.rms_norm %[[B]], %[[G2]]
// CHECK-NEXT: qtale.yield %[[C]] : tensor<?x8xf32>
// CHECK-NEXT: }
// CHECK-NEXT: return %[[Z]]
func.func @chain(%x: tensor<?x8xf32>, %seq: tensor<?xi32>, %cache: !qtale.kv_cache<1x8xf32>, %keep: tensor<?xi1>, %g: tensor<8xf32>) -> tensor<?x8xf32> {
  %y = qtale.route %x, %seq : tensor<?x8xf32>, tensor<?xi32> if %keep : tensor<?xi1> -> tensor<?x8xf32> {
  ^bb0(%r: tensor<?x8xf32>, %s: tensor<?xi32>):
    qtale.kv_append %cache, %r, %r, %s, %s : !qtale.kv_cache<1x8xf32>, tensor<?x8xf32>, tensor<?x8xf32>, tensor<?xi32>, tensor<?xi32>
    %a = arith.negf %r : tensor<?x8xf32>
    qtale.yield %a : tensor<?x8xf32>
  }
  %g2 = arith.addf %g, %g : tensor<8xf32>
  %z = qtale.route %y, %seq : tensor<?x8xf32>, tensor<?xi32> if %keep : tensor<?xi1> -> tensor<?x8xf32> {
  ^bb0(%r: tensor<?x8xf32>, %s: tensor<?xi32>):
    %b = qtale.attention %r, %cache, %s, %s {heads = 1, scale = 1.0 : f32} : tensor<?x8xf32>, !qtale.kv_cache<1x8xf32>, tensor<?xi32>, tensor<?xi32>
    %c = qtale.rms_norm %b, %g2 {epsilon = 1.0e-5 : f32} : tensor<?x8xf32>, tensor<8xf32>
    qtale.yield %c : tensor<?x8xf32>
  }
  return %z : tensor<?x8xf32>
}

// The first's result is read behind both, too: it is %x where rows skip, as is
// the second's.
// CHECK-LABEL: func @read_behind(
// CHECK-SAME: %[[X:.*]]: tensor<?x8xf32>, %[[KEEP:.*]]: tensor<?xi1>)
// CHECK-NEXT: %[[Y:.*]]:2 = qtale.route %[[X]], %[[X]] : tensor<?x8xf32>, tensor<?x8xf32> if %[[KEEP]] : tensor<?xi1> -> tensor<?x8xf32>, tensor<?x8xf32> {
// CHECK-NEXT: ^bb0(%[[R:.*]]: tensor<?x8xf32>, %{{.*}}: tensor<?x8xf32>):
// CHECK-NEXT: %[[A:.*]] = arith.negf %[[R]]
// CHECK-NEXT: %[[B:.*]] = arith.addf %[[A]], %[[A]]
// CHECK-NEXT: qtale.yield %[[A]], %[[B]] :
// CHECK-NEXT: }
// CHECK-NEXT: return %[[Y]]#0, %[[Y]]#1
func.func @read_behind(%x: tensor<?x8xf32>, %keep: tensor<?xi1>) -> (tensor<?x8xf32>, tensor<?x8xf32>) {
  %y = qtale.route %x : tensor<?x8xf32> if %keep : tensor<?xi1> -> tensor<?x8xf32> {
  ^bb0(%r: tensor<?x8xf32>):
    %a = arith.negf %r : tensor<?x8xf32>
    qtale.yield %a : tensor<?x8xf32>
  }
  %z = qtale.route %y : tensor<?x8xf32> if %keep : tensor<?xi1> -> tensor<?x8xf32> {
  ^bb0(%r: tensor<?x8xf32>):
    %b = arith.addf %r, %r : tensor<?x8xf32>
    qtale.yield %b : tensor<?x8xf32>
  }
  return %y, %z : tensor<?x8xf32>, tensor<?x8xf32>
}

// Results cross over: the second passes the first's second result, hence %b, and
// reads the first's first.
// CHECK-LABEL: func @crossed(
// CHECK-SAME: %[[A:.*]]: tensor<?x8xf32>, %[[B:.*]]: tensor<?x8xf32>, %{{.*}}: tensor<?xi1>)
// CHECK-NEXT: %[[Z:.*]] = qtale.route %[[B]], %[[A]] :
// CHECK-NEXT: ^bb0(%[[RB:.*]]: tensor<?x8xf32>, %[[RA:.*]]: tensor<?x8xf32>):
// CHECK-NEXT: %[[SUM:.*]] = arith.addf %[[RA]], %[[RA]]
// CHECK-NEXT: %[[SQUARE:.*]] = arith.mulf %[[RB]], %[[RB]]
// CHECK-NEXT: %[[RATIO:.*]] = arith.divf %[[SUM]], %[[SQUARE]]
// CHECK-NEXT: qtale.yield %[[RATIO]] :
// CHECK-NEXT: }
// CHECK-NEXT: return %[[Z]]
func.func @crossed(%a: tensor<?x8xf32>, %b: tensor<?x8xf32>, %keep: tensor<?xi1>) -> tensor<?x8xf32> {
  %y:2 = qtale.route %a, %b : tensor<?x8xf32>, tensor<?x8xf32> if %keep : tensor<?xi1> -> tensor<?x8xf32>, tensor<?x8xf32> {
  ^bb0(%r: tensor<?x8xf32>, %s: tensor<?x8xf32>):
    %sum = arith.addf %r, %r : tensor<?x8xf32>
    %square = arith.mulf %s, %s : tensor<?x8xf32>
    qtale.yield %sum, %square : tensor<?x8xf32>, tensor<?x8xf32>
  }
  %z = qtale.route %y#1, %y#0 : tensor<?x8xf32>, tensor<?x8xf32> if %keep : tensor<?xi1> -> tensor<?x8xf32> {
  ^bb0(%r: tensor<?x8xf32>, %s: tensor<?x8xf32>):
    %ratio = arith.divf %s, %r : tensor<?x8xf32>
    qtale.yield %ratio : tensor<?x8xf32>
  }
  return %z : tensor<?x8xf32>
}

// The second's rows are its own: those of %b. It passes the value that the
// first reads and changes.
// CHECK-LABEL: func @of_the_same(
// CHECK-SAME: %[[A:.*]]: tensor<?x8xf32>, %[[B:.*]]: tensor<?x8xf32>, %{{.*}}: tensor<?xi1>)
// CHECK-NEXT: %[[Y:.*]]:2 = qtale.route %[[A]], %[[A]], %[[B]] :
// CHECK-NEXT: ^bb0(%[[RA:.*]]: tensor<?x8xf32>, %{{.*}}: tensor<?x8xf32>, %[[RB:.*]]: tensor<?x8xf32>):
// CHECK-NEXT: %[[N:.*]] = arith.negf %[[RA]]
// CHECK-NEXT: %[[SUM:.*]] = arith.addf %[[RA]], %[[RB]]
// CHECK-NEXT: qtale.yield %[[N]], %[[SUM]] :
// CHECK-NEXT: }
// CHECK-NEXT: return %[[Y]]#0, %[[Y]]#1
func.func @of_the_same(%a: tensor<?x8xf32>, %b: tensor<?x8xf32>, %keep: tensor<?xi1>) -> (tensor<?x8xf32>, tensor<?x8xf32>) {
  %y = qtale.route %a : tensor<?x8xf32> if %keep : tensor<?xi1> -> tensor<?x8xf32> {
  ^bb0(%r: tensor<?x8xf32>):
    %n = arith.negf %r : tensor<?x8xf32>
    qtale.yield %n : tensor<?x8xf32>
  }
  %z = qtale.route %a, %b : tensor<?x8xf32>, tensor<?x8xf32> if %keep : tensor<?xi1> -> tensor<?x8xf32> {
  ^bb0(%r: tensor<?x8xf32>, %s: tensor<?x8xf32>):
    %sum = arith.addf %r, %s : tensor<?x8xf32>
    qtale.yield %sum : tensor<?x8xf32>
  }
  return %y, %z : tensor<?x8xf32>, tensor<?x8xf32>
}

// Routes without results, in a route: the inner two become one, the outer stays
// around them, and what the outer captures is whole.
// CHECK-LABEL: func @nested(
// CHECK-SAME: %[[X:.*]]: tensor<?x8xf32>, %[[SEQ:.*]]: tensor<?xi32>, %[[CACHE:.*]]: !qtale.kv_cache<1x8xf32>, %[[KEEP:.*]]: tensor<?xi1>)
// CHECK-NEXT: qtale.route %[[X]], %[[SEQ]], %[[KEEP]] : {{.*}} if %[[KEEP]]
// CHECK-NEXT: ^bb0(%[[R:.*]]: tensor<?x8xf32>, %[[S:.*]]: tensor<?xi32>, %[[K:.*]]: tensor<?xi1>):
// CHECK-NEXT: qtale.route %[[R]], %[[S]] : tensor<?x8xf32>, tensor<?xi32> if %[[K]] : tensor<?xi1> {
// CHECK-NEXT: ^bb0(%[[RR:.*]]: tensor<?x8xf32>, %[[SS:.*]]: tensor<?xi32>):
// CHECK-NEXT: qtale.kv_append %[[CACHE]], %[[RR]], %[[RR]], %[[SS]], %[[SS]]
// CHECK-NEXT: qtale.kv_append %[[CACHE]], %[[X]], %[[X]], %[[SEQ]], %[[SEQ]]
// CHECK-NEXT: qtale.yield
// CHECK-NEXT: }
// CHECK-NEXT: qtale.yield
// CHECK-NEXT: }
// CHECK-NEXT: return
func.func @nested(%x: tensor<?x8xf32>, %seq: tensor<?xi32>, %cache: !qtale.kv_cache<1x8xf32>, %keep: tensor<?xi1>) {
  qtale.route %x, %seq, %keep : tensor<?x8xf32>, tensor<?xi32>, tensor<?xi1> if %keep : tensor<?xi1> {
  ^bb0(%r: tensor<?x8xf32>, %s: tensor<?xi32>, %k: tensor<?xi1>):
    qtale.route %r, %s : tensor<?x8xf32>, tensor<?xi32> if %k : tensor<?xi1> {
    ^bb0(%rr: tensor<?x8xf32>, %ss: tensor<?xi32>):
      qtale.kv_append %cache, %rr, %rr, %ss, %ss : !qtale.kv_cache<1x8xf32>, tensor<?x8xf32>, tensor<?x8xf32>, tensor<?xi32>, tensor<?xi32>
      qtale.yield
    }
    qtale.route if %k : tensor<?xi1> {
      qtale.kv_append %cache, %x, %x, %seq, %seq : !qtale.kv_cache<1x8xf32>, tensor<?x8xf32>, tensor<?x8xf32>, tensor<?xi32>, tensor<?xi32>
      qtale.yield
    }
    qtale.yield
  }
  return
}

// Regions that know how many rows they get are cast to, not believed.
// CHECK-LABEL: func @static_rows(
// CHECK: qtale.route
// CHECK-NEXT: ^bb0(%[[R:.*]]: tensor<?x8xf32>):
// CHECK-NEXT: %[[R3:.*]] = tensor.cast %[[R]] : tensor<?x8xf32> to tensor<3x8xf32>
// CHECK-NEXT: %[[A:.*]] = arith.negf %[[R3]] : tensor<3x8xf32>
// CHECK-NEXT: %[[ANY:.*]] = tensor.cast %[[A]] : tensor<3x8xf32> to tensor<?x8xf32>
// CHECK-NEXT: %[[A2:.*]] = tensor.cast %[[ANY]] : tensor<?x8xf32> to tensor<2x8xf32>
// CHECK-NEXT: arith.addf %[[A2]], %[[A2]]
func.func @static_rows(%x: tensor<4x8xf32>, %keep: tensor<4xi1>) -> tensor<4x8xf32> {
  %y = qtale.route %x : tensor<4x8xf32> if %keep : tensor<4xi1> -> tensor<4x8xf32> {
  ^bb0(%r: tensor<3x8xf32>):
    %a = arith.negf %r : tensor<3x8xf32>
    qtale.yield %a : tensor<3x8xf32>
  }
  %z = qtale.route %y : tensor<4x8xf32> if %keep : tensor<4xi1> -> tensor<4x8xf32> {
  ^bb0(%r: tensor<2x8xf32>):
    %b = arith.addf %r, %r : tensor<2x8xf32>
    qtale.yield %b : tensor<2x8xf32>
  }
  return %z : tensor<4x8xf32>
}
