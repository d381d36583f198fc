// RUN: qtale-opt %s --pass-pipeline="builtin.module(func.func(qtale-fuse-activations))" | FileCheck %s
//
// An elementwise loop of matmuls moves into them, whatever it computes; whatever
// needs a matmul's own result, or something else, stays.

#id = affine_map<(i, j) -> (i, j)>
#id3 = affine_map<(i, j, k) -> (i, j, k)>
#row = affine_map<(i, j) -> (0, j)>
#one = {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
#two = {indexing_maps = [#id, #id, #id], iterator_types = ["parallel", "parallel"]}

// CHECK-LABEL: @gate
// CHECK-SAME: (%[[X:.*]]: tensor<?x64xf32>, %[[G:.*]]: tensor<9x64xf32>, %[[U:.*]]: tensor<9x64xf32>,
// CHECK-NOT: linalg.generic
// CHECK: %[[Y:.*]] = qtale.fused_matmul %[[X]], %[[U]], %[[G]] : tensor<?x64xf32>, tensor<9x64xf32>, tensor<9x64xf32> -> tensor<?x9xf32> {
// CHECK-NEXT: ^bb0(%[[A:.*]]: f32, %[[B:.*]]: f32):
// CHECK-NEXT: %[[ONE:.*]] = arith.constant 1.000000e+00 : f32
// CHECK-NEXT: %[[N:.*]] = arith.negf %[[B]] : f32
// CHECK-NEXT: %[[E:.*]] = math.exp %[[N]] : f32
// CHECK-NEXT: %[[S:.*]] = arith.addf %[[E]], %[[ONE]] : f32
// CHECK-NEXT: %[[D:.*]] = arith.divf %[[B]], %[[S]] : f32
// CHECK-NEXT: %[[P:.*]] = arith.mulf %[[A]], %[[D]] : f32
// CHECK-NEXT: qtale.yield %[[P]] : f32
// CHECK: return %[[Y]]
func.func @gate(%x: tensor<?x64xf32>, %wg: tensor<9x64xf32>, %wu: tensor<9x64xf32>, %init: tensor<?x9xf32>) -> tensor<?x9xf32> {
  %one = arith.constant 1.0 : f32
  %g = qtale.matmul %x, %wg : tensor<?x64xf32>, tensor<9x64xf32> -> tensor<?x9xf32>
  %u = qtale.matmul %x, %wu : tensor<?x64xf32>, tensor<9x64xf32> -> tensor<?x9xf32>
  %y = linalg.generic #two ins(%u, %g : tensor<?x9xf32>, tensor<?x9xf32>) outs(%init : tensor<?x9xf32>) {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %n = arith.negf %b : f32
    %e = math.exp %n : f32
    %s = arith.addf %one, %e : f32
    %d = arith.divf %b, %s : f32
    %p = arith.mulf %a, %d : f32
    linalg.yield %p : f32
  } -> tensor<?x9xf32>
  return %y : tensor<?x9xf32>
}

// In a route, with biases.
// CHECK-LABEL: @activation_in_route
// CHECK: qtale.route
// CHECK: %[[Y:.*]] = qtale.fused_matmul %{{.*}}, %arg1 bias(%arg2 : tensor<64xf32>) : tensor<?x64xf32>, tensor<64x64xf32> -> tensor<?x64xf32> {
// CHECK-NEXT: ^bb0(%[[A:.*]]: f32):
// CHECK-NEXT: %[[T:.*]] = math.tanh %[[A]] : f32
// CHECK-NEXT: qtale.yield %[[T]] : f32
// CHECK: qtale.yield %[[Y]] : tensor<?x64xf32>
func.func @activation_in_route(%x: tensor<?x64xf32>, %w: tensor<64x64xf32>, %b: tensor<64xf32>, %keep: tensor<?xi1>) -> tensor<?x64xf32> {
  %y = qtale.route %x : tensor<?x64xf32> if %keep : tensor<?xi1> -> tensor<?x64xf32> {
  ^bb0(%rows: tensor<?x64xf32>):
    %m = qtale.matmul %rows, %w bias(%b : tensor<64xf32>) : tensor<?x64xf32>, tensor<64x64xf32> -> tensor<?x64xf32>
    %t = linalg.generic #one ins(%m : tensor<?x64xf32>) outs(%rows : tensor<?x64xf32>) {
    ^bb0(%a: f32, %o: f32):
      %t = math.tanh %a : f32
      linalg.yield %t : f32
    } -> tensor<?x64xf32>
    qtale.yield %t : tensor<?x64xf32>
  }
  return %y : tensor<?x64xf32>
}

// As @main has it: rows are batch by sequence.
// CHECK-LABEL: @reshaped
// CHECK: %[[Y:.*]] = qtale.fused_matmul %arg0, %arg1, %arg2 :
// CHECK: %[[Z:.*]] = tensor.expand_shape %[[Y]] {{\[\[}}0, 1], [2]] output_shape [%arg4, %arg5, 9] : tensor<?x9xf32> into tensor<?x?x9xf32>
// CHECK: return %[[Z]]
func.func @reshaped(%x: tensor<?x64xf32>, %wg: tensor<9x64xf32>, %wu: tensor<9x64xf32>, %init: tensor<?x?x9xf32>, %b: index, %s: index) -> tensor<?x?x9xf32> {
  %g = qtale.matmul %x, %wg : tensor<?x64xf32>, tensor<9x64xf32> -> tensor<?x9xf32>
  %u = qtale.matmul %x, %wu : tensor<?x64xf32>, tensor<9x64xf32> -> tensor<?x9xf32>
  %g3 = tensor.expand_shape %g [[0, 1], [2]] output_shape [%b, %s, 9] : tensor<?x9xf32> into tensor<?x?x9xf32>
  %u3 = tensor.expand_shape %u [[0, 1], [2]] output_shape [%b, %s, 9] : tensor<?x9xf32> into tensor<?x?x9xf32>
  %y = linalg.generic {indexing_maps = [#id3, #id3, #id3], iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%g3, %u3 : tensor<?x?x9xf32>, tensor<?x?x9xf32>) outs(%init : tensor<?x?x9xf32>) {
  ^bb0(%a: f32, %c: f32, %o: f32):
    %p = arith.mulf %a, %c : f32
    linalg.yield %p : f32
  } -> tensor<?x?x9xf32>
  return %y : tensor<?x?x9xf32>
}

// CHECK-LABEL: @read_by_others
// CHECK: qtale.matmul
// CHECK: linalg.generic
func.func @read_by_others(%x: tensor<?x64xf32>, %w: tensor<9x64xf32>, %init: tensor<?x9xf32>) -> (tensor<?x9xf32>, tensor<?x9xf32>) {
  %m = qtale.matmul %x, %w : tensor<?x64xf32>, tensor<9x64xf32> -> tensor<?x9xf32>
  %y = linalg.generic #one ins(%m : tensor<?x9xf32>) outs(%init : tensor<?x9xf32>) {
  ^bb0(%a: f32, %o: f32):
    %t = math.tanh %a : f32
    linalg.yield %t : f32
  } -> tensor<?x9xf32>
  return %m, %y : tensor<?x9xf32>, tensor<?x9xf32>
}

// CHECK-LABEL: @other_operands
// CHECK: qtale.matmul
// CHECK: linalg.generic
func.func @other_operands(%x: tensor<?x64xf32>, %w: tensor<9x64xf32>, %p: tensor<?x9xf32>) -> tensor<?x9xf32> {
  %m = qtale.matmul %x, %w : tensor<?x64xf32>, tensor<9x64xf32> -> tensor<?x9xf32>
  %y = linalg.generic #two ins(%m, %p : tensor<?x9xf32>, tensor<?x9xf32>) outs(%p : tensor<?x9xf32>) {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %t = arith.mulf %a, %b : f32
    linalg.yield %t : f32
  } -> tensor<?x9xf32>
  return %y : tensor<?x9xf32>
}

// CHECK-LABEL: @other_inputs
// CHECK-COUNT-2: qtale.matmul
// CHECK: linalg.generic
func.func @other_inputs(%x: tensor<?x64xf32>, %z: tensor<?x64xf32>, %w: tensor<9x64xf32>, %init: tensor<?x9xf32>) -> tensor<?x9xf32> {
  %m = qtale.matmul %x, %w : tensor<?x64xf32>, tensor<9x64xf32> -> tensor<?x9xf32>
  %n = qtale.matmul %z, %w : tensor<?x64xf32>, tensor<9x64xf32> -> tensor<?x9xf32>
  %y = linalg.generic #two ins(%m, %n : tensor<?x9xf32>, tensor<?x9xf32>) outs(%init : tensor<?x9xf32>) {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %t = arith.mulf %a, %b : f32
    linalg.yield %t : f32
  } -> tensor<?x9xf32>
  return %y : tensor<?x9xf32>
}

// A loop that knows where it is, or takes a number that is no constant.
// CHECK-LABEL: @not_a_function
// CHECK: qtale.matmul
// CHECK: linalg.generic
// CHECK: qtale.matmul
// CHECK: linalg.generic
func.func @not_a_function(%x: tensor<?x64xf32>, %w: tensor<9x64xf32>, %init: tensor<?x9xf32>, %c: f32) -> (tensor<?x9xf32>, tensor<?x9xf32>) {
  %m = qtale.matmul %x, %w : tensor<?x64xf32>, tensor<9x64xf32> -> tensor<?x9xf32>
  %y = linalg.generic #one ins(%m : tensor<?x9xf32>) outs(%init : tensor<?x9xf32>) {
  ^bb0(%a: f32, %o: f32):
    %i = linalg.index 1 : index
    %k = arith.index_cast %i : index to i32
    %f = arith.sitofp %k : i32 to f32
    %t = arith.mulf %a, %f : f32
    linalg.yield %t : f32
  } -> tensor<?x9xf32>
  %n = qtale.matmul %x, %w : tensor<?x64xf32>, tensor<9x64xf32> -> tensor<?x9xf32>
  %z = linalg.generic #one ins(%n : tensor<?x9xf32>) outs(%init : tensor<?x9xf32>) {
  ^bb0(%a: f32, %o: f32):
    %t = arith.mulf %a, %c : f32
    linalg.yield %t : f32
  } -> tensor<?x9xf32>
  return %y, %z : tensor<?x9xf32>, tensor<?x9xf32>
}
