// RUN: qtale-opt %s --pass-pipeline="builtin.module(func.func(qtale-fuse-epilogues))" | FileCheck %s --implicit-check-not=bias --implicit-check-not=residual
//
// What looks like an epilogue and is none: no matmul gets one.

#id = affine_map<(i, j) -> (i, j)>
#columns = affine_map<(i, j) -> (j)>
#rows = affine_map<(i, j) -> (i)>
#row = affine_map<(i, j) -> (0, j)>
#flipped = affine_map<(i, j) -> (j, i)>
#same = {indexing_maps = [#id, #id, #id], iterator_types = ["parallel", "parallel"]}

// The product is needed by itself too.
// CHECK-LABEL: @two_uses
// CHECK: linalg.generic
func.func @two_uses(%x: tensor<?x64xf32>, %w: tensor<9x64xf32>, %r: tensor<?x9xf32>) -> (tensor<?x9xf32>, tensor<?x9xf32>) {
  %m = qtale.matmul %x, %w : tensor<?x64xf32>, tensor<9x64xf32> -> tensor<?x9xf32>
  %y = linalg.generic #same ins(%m, %r : tensor<?x9xf32>, tensor<?x9xf32>) outs(%r : tensor<?x9xf32>) {
  ^bb0(%a: f32, %c: f32, %o: f32):
    %s = arith.addf %a, %c : f32
    linalg.yield %s : f32
  } -> tensor<?x9xf32>
  return %m, %y : tensor<?x9xf32>, tensor<?x9xf32>
}

// CHECK-LABEL: @doubled
// CHECK: linalg.generic
func.func @doubled(%x: tensor<?x64xf32>, %w: tensor<9x64xf32>, %init: tensor<?x9xf32>) -> tensor<?x9xf32> {
  %m = qtale.matmul %x, %w : tensor<?x64xf32>, tensor<9x64xf32> -> tensor<?x9xf32>
  %y = linalg.generic #same ins(%m, %m : tensor<?x9xf32>, tensor<?x9xf32>) outs(%init : tensor<?x9xf32>) {
  ^bb0(%a: f32, %c: f32, %o: f32):
    %s = arith.addf %a, %c : f32
    linalg.yield %s : f32
  } -> tensor<?x9xf32>
  return %y : tensor<?x9xf32>
}

// A value for each row is no bias.
// CHECK-LABEL: @over_rows
// CHECK: linalg.generic
func.func @over_rows(%x: tensor<9x64xf32>, %w: tensor<9x64xf32>, %b: tensor<9xf32>, %init: tensor<9x9xf32>) -> tensor<9x9xf32> {
  %m = qtale.matmul %x, %w : tensor<9x64xf32>, tensor<9x64xf32> -> tensor<9x9xf32>
  %y = linalg.generic {indexing_maps = [#id, #rows, #id], iterator_types = ["parallel", "parallel"]}
      ins(%m, %b : tensor<9x9xf32>, tensor<9xf32>) outs(%init : tensor<9x9xf32>) {
  ^bb0(%a: f32, %c: f32, %o: f32):
    %s = arith.addf %a, %c : f32
    linalg.yield %s : f32
  } -> tensor<9x9xf32>
  return %y : tensor<9x9xf32>
}

// CHECK-LABEL: @transposed
// CHECK: linalg.generic
func.func @transposed(%x: tensor<9x64xf32>, %w: tensor<9x64xf32>, %r: tensor<9x9xf32>) -> tensor<9x9xf32> {
  %m = qtale.matmul %x, %w : tensor<9x64xf32>, tensor<9x64xf32> -> tensor<9x9xf32>
  %y = linalg.generic {indexing_maps = [#id, #flipped, #id], iterator_types = ["parallel", "parallel"]}
      ins(%m, %r : tensor<9x9xf32>, tensor<9x9xf32>) outs(%r : tensor<9x9xf32>) {
  ^bb0(%a: f32, %c: f32, %o: f32):
    %s = arith.addf %a, %c : f32
    linalg.yield %s : f32
  } -> tensor<9x9xf32>
  return %y : tensor<9x9xf32>
}

// As many values as outputs are known to be needed.
// CHECK-LABEL: @unknown_length
// CHECK: linalg.generic
func.func @unknown_length(%x: tensor<?x64xf32>, %w: tensor<9x64xf32>, %b: tensor<?xf32>, %init: tensor<?x9xf32>) -> tensor<?x9xf32> {
  %m = qtale.matmul %x, %w : tensor<?x64xf32>, tensor<9x64xf32> -> tensor<?x9xf32>
  %y = linalg.generic {indexing_maps = [#id, #columns, #id], iterator_types = ["parallel", "parallel"]}
      ins(%m, %b : tensor<?x9xf32>, tensor<?xf32>) outs(%init : tensor<?x9xf32>) {
  ^bb0(%a: f32, %c: f32, %o: f32):
    %s = arith.addf %a, %c : f32
    linalg.yield %s : f32
  } -> tensor<?x9xf32>
  return %y : tensor<?x9xf32>
}

// CHECK-LABEL: @other_arithmetic
// CHECK: linalg.generic
func.func @other_arithmetic(%x: tensor<?x64xf32>, %w: tensor<9x64xf32>, %r: tensor<?x9xf32>) -> tensor<?x9xf32> {
  %m = qtale.matmul %x, %w : tensor<?x64xf32>, tensor<9x64xf32> -> tensor<?x9xf32>
  %y = linalg.generic #same ins(%m, %r : tensor<?x9xf32>, tensor<?x9xf32>) outs(%r : tensor<?x9xf32>) {
  ^bb0(%a: f32, %c: f32, %o: f32):
    %s = arith.subf %a, %c : f32
    linalg.yield %s : f32
  } -> tensor<?x9xf32>
  return %y : tensor<?x9xf32>
}

// The sum goes on into what stood there.
// CHECK-LABEL: @accumulated
// CHECK: linalg.generic
func.func @accumulated(%x: tensor<?x64xf32>, %w: tensor<9x64xf32>, %r: tensor<?x9xf32>) -> tensor<?x9xf32> {
  %m = qtale.matmul %x, %w : tensor<?x64xf32>, tensor<9x64xf32> -> tensor<?x9xf32>
  %y = linalg.generic #same ins(%m, %r : tensor<?x9xf32>, tensor<?x9xf32>) outs(%r : tensor<?x9xf32>) {
  ^bb0(%a: f32, %c: f32, %o: f32):
    %s = arith.addf %a, %o : f32
    linalg.yield %s : f32
  } -> tensor<?x9xf32>
  return %y : tensor<?x9xf32>
}
