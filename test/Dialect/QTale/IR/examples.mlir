// RUN: qtale-opt %s --mlir-print-op-generic | qtale-opt | qtale-opt | FileCheck %s
// RUN: %python %S/Inputs/described.py examples %source/include/qtale/Dialect/QTale/IR %s %S/examples-matmuls.mlir %S/examples-routing.mlir
//
// The example in each op's description parses, verifies and prints as it stands
// there. The script finds an op without one here, and one that reads otherwise.

// CHECK: qtale.weight @head : tensor<512x64xf32> = #qtale.source<file = "model.onnx.data", offset = 0, bytes = 131072, type = tensor<512x64xf32>>
qtale.weight @head : tensor<512x64xf32> =
  #qtale.source<file = "model.onnx.data", offset = 0, bytes = 131072, type = tensor<512x64xf32>>

// CHECK-LABEL: @param
func.func @param() {
  // CHECK: qtale.param @head : tensor<512x64xf32>
  %w = qtale.param @head : tensor<512x64xf32>
  return
}

// CHECK-LABEL: @tables
func.func @tables(%ids: tensor<?xi32>, %table: tensor<512x64xf32>, %rows: tensor<?xi32>) {
  // CHECK: %[[X:.*]] = qtale.embedding %{{.*}}, %{{.*}} : tensor<?xi32>, tensor<512x64xf32> -> tensor<?x64xf32>
  %x = qtale.embedding %ids, %table : tensor<?xi32>, tensor<512x64xf32> -> tensor<?x64xf32>
  // CHECK: qtale.gather_rows %[[X]], %{{.*}} : tensor<?x64xf32>, tensor<?xi32> -> tensor<?x64xf32>
  %y = qtale.gather_rows %x, %rows : tensor<?x64xf32>, tensor<?xi32> -> tensor<?x64xf32>
  // CHECK: qtale.quantize_rows %[[X]] : tensor<?x64xf32> -> tensor<?x64xf32, #qtale.int_rows<pad = 32>>
  %q = qtale.quantize_rows %x : tensor<?x64xf32> -> tensor<?x64xf32, #qtale.int_rows<pad = 32>>
  return
}

// CHECK-LABEL: @matmul
func.func @matmul(%x: tensor<?x64xf32>, %w: tensor<172x64xf32>, %b: tensor<172xf32>, %r: tensor<?x172xf32>) {
  // CHECK: qtale.matmul %[[X:.*]], %[[W:.*]] residual(%[[R:.*]] : tensor<?x172xf32>) : tensor<?x64xf32>, tensor<172x64xf32> -> tensor<?x172xf32>
  %y = qtale.matmul %x, %w residual(%r : tensor<?x172xf32>) : tensor<?x64xf32>, tensor<172x64xf32> -> tensor<?x172xf32>
  // CHECK: qtale.matmul %[[X]], %[[W]] bias(%[[B:.*]] : tensor<172xf32>) residual(%[[R]] : tensor<?x172xf32>) :
  %z = qtale.matmul %x, %w bias(%b : tensor<172xf32>) residual(%r : tensor<?x172xf32>) : tensor<?x64xf32>, tensor<172x64xf32> -> tensor<?x172xf32>
  return
}

// CHECK-LABEL: @norms
func.func @norms(%x: tensor<?x64xf32>, %g: tensor<64xf32>, %b: tensor<64xf32>) {
  // CHECK: %[[Y:.*]] = qtale.rms_norm %{{.*}}, %{{.*}} {epsilon = 9.99999974E-6 : f32} : tensor<?x64xf32>, tensor<64xf32>
  %y = qtale.rms_norm %x, %g {epsilon = 1.0e-5 : f32} : tensor<?x64xf32>, tensor<64xf32>
  // CHECK: qtale.layer_norm %[[Y]], %{{.*}} {epsilon = 9.99999974E-6 : f32} : tensor<?x64xf32>, tensor<64xf32>
  %z = qtale.layer_norm %y, %g {epsilon = 1.0e-5 : f32} : tensor<?x64xf32>, tensor<64xf32>
  // CHECK: qtale.rms_norm %[[Y]], %{{.*}} {epsilon = 9.99999974E-6 : f32} : tensor<?x64xf32>, tensor<64xf32> -> tensor<?x64xf32, #qtale.int_rows<pad = 32>>
  %q = qtale.rms_norm %y, %g {epsilon = 1.0e-5 : f32} : tensor<?x64xf32>, tensor<64xf32> -> tensor<?x64xf32, #qtale.int_rows<pad = 32>>
  return
}

// CHECK-LABEL: @layer_norm
func.func @layer_norm(%x: tensor<?x64xf32>, %g: tensor<64xf32>, %b: tensor<64xf32>) {
  // CHECK: qtale.layer_norm %{{.*}}, %{{.*}}, %{{.*}} {epsilon = 9.99999974E-6 : f32} : tensor<?x64xf32>, tensor<64xf32>, tensor<64xf32>
  %y = qtale.layer_norm %x, %g, %b {epsilon = 1.0e-5 : f32} : tensor<?x64xf32>, tensor<64xf32>, tensor<64xf32>
  return
}

// CHECK-LABEL: @attention
func.func @attention(%x: tensor<?x64xf32>, %cos: tensor<512x4xf32>, %sin: tensor<512x4xf32>, %k: tensor<?x32xf32>, %v: tensor<?x32xf32>,
                     %cache: !qtale.kv_cache<4x8xf32>, %seq: tensor<?xi32>, %pos: tensor<?xi32>) {
  // CHECK: %[[Q:.*]] = qtale.rope %{{.*}}, %{{.*}}, %{{.*}}, %[[POS:.*]] {heads = 8 : i64, interleaved} : tensor<?x64xf32>, tensor<512x4xf32>, tensor<512x4xf32>, tensor<?xi32>
  %q = qtale.rope %x, %cos, %sin, %pos {heads = 8, interleaved}
    : tensor<?x64xf32>, tensor<512x4xf32>, tensor<512x4xf32>, tensor<?xi32>
  // CHECK: qtale.kv_append %[[CACHE:.*]], %{{.*}}, %{{.*}}, %[[SEQ:.*]], %[[POS]] : <4x8xf32>, tensor<?x32xf32>, tensor<?x32xf32>, tensor<?xi32>, tensor<?xi32>
  qtale.kv_append %cache, %k, %v, %seq, %pos
    : !qtale.kv_cache<4x8xf32>, tensor<?x32xf32>, tensor<?x32xf32>, tensor<?xi32>, tensor<?xi32>
  // CHECK: qtale.attention %[[Q]], %[[CACHE]], %[[SEQ]], %[[POS]] {heads = 8 : i64, scale = 0.353553385 : f32} : tensor<?x64xf32>, <4x8xf32>, tensor<?xi32>, tensor<?xi32>
  %y = qtale.attention %q, %cache, %seq, %pos {heads = 8, scale = 0.35355339 : f32}
    : tensor<?x64xf32>, !qtale.kv_cache<4x8xf32>, tensor<?xi32>, tensor<?xi32>
  return
}

func.func private @rms_norm_64(!qtale.context, memref<?x64xf32>, memref<?x64xf32>)

// CHECK-LABEL: @launch
func.func @launch(%context: !qtale.context, %x: tensor<?x64xf32>, %init: tensor<?x64xf32>) {
  // CHECK: qtale.launch @rms_norm_64(%[[CONTEXT:.*]] : !qtale.context) ins(%{{.*}} : tensor<?x64xf32>) outs(%{{.*}} : tensor<?x64xf32>) -> tensor<?x64xf32>
  %y = qtale.launch @rms_norm_64(%context : !qtale.context) ins(%x : tensor<?x64xf32>) outs(%init : tensor<?x64xf32>) -> tensor<?x64xf32>
  return
}

// CHECK-LABEL: @buffers
func.func @buffers(%context: !qtale.context, %cache: index, %sequence: index, %block: index, %unit: index, %offset: index, %rows: index) {
  // CHECK: qtale.weight_address %{{.*}}, 4096 : memref<18432xi8>
  %w = qtale.weight_address %context, 4096 : memref<18432xi8>
  // CHECK: qtale.kv_block %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}} : memref<4x8x16xf32>, memref<4x16x8xf32>
  %k, %v = qtale.kv_block %context, %cache, %sequence, %block : memref<4x8x16xf32>, memref<4x16x8xf32>
  // CHECK: qtale.unit_record %{{.*}}, %{{.*}} : memref<?xi8>, memref<?xf32>
  %kept, %p = qtale.unit_record %context, %unit : memref<?xi8>, memref<?xf32>
  // CHECK: qtale.arena %{{.*}}, %{{.*}}[%{{.*}}] : memref<?x64xf32>
  %b = qtale.arena %context, %offset[%rows] : memref<?x64xf32>
  // CHECK: qtale.arena_limit %{{.*}}
  %limit = qtale.arena_limit %context
  return
}

// CHECK-LABEL: @reserve
func.func @reserve(%context: !qtale.context, %cache: index, %keep: memref<?xi1>, %seq: memref<?xi32>, %pos: memref<?xi32>, %slots: memref<?xi32>) -> i32 {
  // CHECK: qtale.reserve_slots %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}} : memref<?xi1>, memref<?xi32>, memref<?xi32>, memref<?xi32>
  %code = qtale.reserve_slots %context, %cache, %keep, %seq, %pos, %slots
    : memref<?xi1>, memref<?xi32>, memref<?xi32>, memref<?xi32>
  return %code : i32
}

// CHECK-LABEL: @entry
func.func @entry(%context: !qtale.context, %arguments: !llvm.ptr, %rows: index) {
  // CHECK: %[[X:.*]] = qtale.load_argument %[[ARGUMENTS:.*]], 0 : !llvm.ptr, memref<?xf32>
  %x = qtale.load_argument %arguments, 0 : !llvm.ptr, memref<?xf32>
  // CHECK: qtale.store_result %[[ARGUMENTS]], 1, %[[X]] : !llvm.ptr, memref<?xf32>
  qtale.store_result %arguments, 1, %x : !llvm.ptr, memref<?xf32>
  // CHECK: qtale.thread %{{.*}}
  %thread = qtale.thread %context
  // CHECK: qtale.threads %{{.*}}
  %threads = qtale.threads %context
  // CHECK: qtale.next_chunk %{{.*}}
  %chunk = qtale.next_chunk %context
  // CHECK: qtale.barrier %{{.*}}
  qtale.barrier %context
  // CHECK: qtale.mark %{{.*}}, 12, %{{.*}}
  qtale.mark %context, 12, %rows
  return
}

// CHECK-LABEL: @dot
func.func @dot(%w: vector<64xi8>, %x: i32, %acc: vector<16xi32>) {
  // CHECK: qtale.dot %{{.*}}, %{{.*}}, %{{.*}} {bits = 4 : i64} : vector<64xi8>, vector<16xi32>
  %s = qtale.dot %w, %x, %acc {bits = 4} : vector<64xi8>, vector<16xi32>
  return
}
