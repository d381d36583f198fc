// RUN: qtale-opt %s --pass-pipeline="builtin.module(func.func(qtale-fuse-epilogues,canonicalize))" --split-input-file | FileCheck %s
//
// An addition of a matmul's only use becomes its bias or residual; whatever does
// not have its exact form stays.

#id = affine_map<(i, j) -> (i, j)>
#columns = affine_map<(i, j) -> (j)>
#rows = affine_map<(i, j) -> (i)>
#row = affine_map<(i, j) -> (0, j)>
#flipped = affine_map<(i, j) -> (j, i)>
#bias = {indexing_maps = [#id, #columns, #id], iterator_types = ["parallel", "parallel"]}
#residual = {indexing_maps = [#id, #id, #id], iterator_types = ["parallel", "parallel"]}

// CHECK-LABEL: @bias
// CHECK-NOT: linalg.generic
// CHECK: %[[Y:.*]] = qtale.matmul %{{.*}}, %{{.*}} bias(%arg2 : tensor<9xf32>) : tensor<?x64xf32>, tensor<9x64xf32> -> tensor<?x9xf32>
// CHECK-NEXT: return %[[Y]]
func.func @bias(%x: tensor<?x64xf32>, %w: tensor<9x64xf32>, %b: tensor<9xf32>, %init: tensor<?x9xf32>) -> tensor<?x9xf32> {
  %m = qtale.matmul %x, %w : tensor<?x64xf32>, tensor<9x64xf32> -> tensor<?x9xf32>
  %y = linalg.generic #bias ins(%m, %b : tensor<?x9xf32>, tensor<9xf32>) outs(%init : tensor<?x9xf32>) {
  ^bb0(%a: f32, %c: f32, %o: f32):
    %s = arith.addf %a, %c : f32
    linalg.yield %s : f32
  } -> tensor<?x9xf32>
  return %y : tensor<?x9xf32>
}

// Both sides may be the matmul's, and the body may add in either order.
// CHECK-LABEL: @both
// CHECK-NOT: linalg.generic
// CHECK: qtale.matmul %{{.*}}, %{{.*}} bias(%arg2 : tensor<9xf32>) residual(%arg3 : tensor<?x9xf32>) : tensor<?x64xf32>, tensor<9x64xf32> -> tensor<?x9xf32>
func.func @both(%x: tensor<?x64xf32>, %w: tensor<9x64xf32>, %b: tensor<9xf32>, %r: tensor<?x9xf32>) -> tensor<?x9xf32> {
  %m = qtale.matmul %x, %w : tensor<?x64xf32>, tensor<9x64xf32> -> tensor<?x9xf32>
  %y = linalg.generic {indexing_maps = [#columns, #id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%b, %m : tensor<9xf32>, tensor<?x9xf32>) outs(%r : tensor<?x9xf32>) {
  ^bb0(%a: f32, %c: f32, %o: f32):
    %s = arith.addf %c, %a : f32
    linalg.yield %s : f32
  } -> tensor<?x9xf32>
  %z = linalg.generic #residual ins(%r, %y : tensor<?x9xf32>, tensor<?x9xf32>) outs(%r : tensor<?x9xf32>) {
  ^bb0(%a: f32, %c: f32, %o: f32):
    %s = arith.addf %a, %c : f32
    linalg.yield %s : f32
  } -> tensor<?x9xf32>
  return %z : tensor<?x9xf32>
}

// The other summand is a matmul as well: one takes the other as its residual.
// CHECK-LABEL: @two_matmuls
// CHECK: %[[B:.*]] = qtale.matmul %arg0, %arg2 : tensor<?x64xf32>, tensor<9x64xf32> -> tensor<?x9xf32>
// CHECK: qtale.matmul %arg0, %arg1 residual(%[[B]] : tensor<?x9xf32>) :
// CHECK-NEXT: return
func.func @two_matmuls(%x: tensor<?x64xf32>, %w: tensor<9x64xf32>, %v: tensor<9x64xf32>, %init: tensor<?x9xf32>) -> tensor<?x9xf32> {
  %m = qtale.matmul %x, %w : tensor<?x64xf32>, tensor<9x64xf32> -> tensor<?x9xf32>
  %n = qtale.matmul %x, %v : tensor<?x64xf32>, tensor<9x64xf32> -> tensor<?x9xf32>
  %y = linalg.generic #residual ins(%m, %n : tensor<?x9xf32>, tensor<?x9xf32>) outs(%init : tensor<?x9xf32>) {
  ^bb0(%a: f32, %c: f32, %o: f32):
    %s = arith.addf %a, %c : f32
    linalg.yield %s : f32
  } -> tensor<?x9xf32>
  return %y : tensor<?x9xf32>
}

// -----

// In exact arithmetic the order of additions would not matter; here a bias comes
// before a residual, so one that follows stays.
#id = affine_map<(i, j) -> (i, j)>
#columns = affine_map<(i, j) -> (j)>

// CHECK-LABEL: @bias_after_residual
// CHECK: %[[Y:.*]] = qtale.matmul %{{.*}}, %{{.*}} residual(%{{.*}})
// CHECK: linalg.generic {{.*}} ins(%[[Y]], %{{.*}} : tensor<?x9xf32>, tensor<9xf32>)
func.func @bias_after_residual(%x: tensor<?x64xf32>, %w: tensor<9x64xf32>, %b: tensor<9xf32>, %r: tensor<?x9xf32>) -> tensor<?x9xf32> {
  %m = qtale.matmul %x, %w residual(%r : tensor<?x9xf32>) : tensor<?x64xf32>, tensor<9x64xf32> -> tensor<?x9xf32>
  %y = linalg.generic {indexing_maps = [#id, #columns, #id], iterator_types = ["parallel", "parallel"]}
      ins(%m, %b : tensor<?x9xf32>, tensor<9xf32>) outs(%r : tensor<?x9xf32>) {
  ^bb0(%a: f32, %c: f32, %o: f32):
    %s = arith.addf %a, %c : f32
    linalg.yield %s : f32
  } -> tensor<?x9xf32>
  return %y : tensor<?x9xf32>
}
