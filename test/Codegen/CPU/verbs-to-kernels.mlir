// RUN: qtale-opt %s --pass-pipeline="builtin.module(builtin.module(qtale-verbs-to-kernels,canonicalize,cse))" | FileCheck %s --implicit-check-not=qtale.matmul --implicit-check-not=qtale.param --implicit-check-not=qtale.rms_norm --implicit-check-not=qtale.quantize_rows --implicit-check-not="!qtale.kv_cache"
//
// Layers of one shape share a kernel, others get their own; a cache is known by
// its number, a weight by its place.

#w = #qtale.source<file = "w.bin", offset = 0, bytes = 2048, type = tensor<8x64xf32>>
#v = #qtale.source<file = "w.bin", offset = 0, bytes = 4096, type = tensor<16x64xf32>>
#int4 = #qtale.int<bits = 4, group = 32>
#packed = #qtale.packed<#int4>

qtale.weight @a : tensor<8x64xf32, #packed> = #qtale.pack<#qtale.quantize<#w, #int4>> {offset = 0}
qtale.weight @b : tensor<8x64xf32, #packed> = #qtale.pack<#qtale.quantize<#w, #int4>> {offset = 640}
qtale.weight @c : tensor<16x64xf32, #packed> = #qtale.pack<#qtale.quantize<#v, #int4>> {offset = 1280}

module @"x86-64-v3" {
  // CHECK-LABEL: func.func @step
  // CHECK-SAME:    (%[[CONTEXT:.*]]: !qtale.context, %[[X:.*]]: tensor<?x64xf32>, %[[SEQ:.*]]: tensor<?xi32>)
  // CHECK-DAG: %[[ONE:.*]] = arith.constant 1 : index
  // CHECK-DAG: %[[ROWS:.*]] = tensor.dim %[[X]], %{{.*}}
  // CHECK-DAG: %[[A:.*]] = qtale.weight_address %[[CONTEXT]], 0 : memref<576xi8>
  // CHECK-DAG: %[[B:.*]] = qtale.weight_address %[[CONTEXT]], 640 : memref<576xi8>
  // CHECK-DAG: %[[C:.*]] = qtale.weight_address %[[CONTEXT]], 1280 : memref<576xi8>
  // CHECK-DAG: %[[TA:.*]] = bufferization.to_tensor %[[A]] restrict : memref<576xi8> to tensor<576xi8>
  // CHECK-DAG: %[[TB:.*]] = bufferization.to_tensor %[[B]] restrict
  func.func @step(%context: !qtale.context, %x: tensor<?x64xf32>, %seq: tensor<?xi32>, %cache0: !qtale.kv_cache<1x8xf32>, %cache1: !qtale.kv_cache<1x8xf32>)
      -> (tensor<?x8xf32>, tensor<?x16xf32>, tensor<?x8xf32>) {
    %a = qtale.param @a : tensor<8x64xf32, #packed>
    %b = qtale.param @b : tensor<8x64xf32, #packed>
    %c = qtale.param @c : tensor<16x64xf32, #packed>
    // 64 values, 2 scales, 2 sums: 80 bytes a row.
    // CHECK: %[[INIT:.*]] = tensor.empty(%{{.*}}) : tensor<?x80xi8>
    // CHECK: %[[Q:.*]] = qtale.launch @quantize_rows(%[[CONTEXT]] : !qtale.context) ins(%[[X]] : tensor<?x64xf32>) outs(%[[INIT]] : tensor<?x80xi8>) -> tensor<?x80xi8>
    %q = qtale.quantize_rows %x : tensor<?x64xf32> -> tensor<?x64xf32, #qtale.int_rows<pad = 32>>
    // CHECK: qtale.launch @[[SMALL:matmul.*]](%[[CONTEXT]] : !qtale.context) ins(%[[Q]], %[[TA]] : tensor<?x80xi8>, tensor<576xi8>)
    %k = qtale.matmul %q, %a : tensor<?x64xf32, #qtale.int_rows<pad = 32>>, tensor<8x64xf32, #packed> -> tensor<?x8xf32>
    // CHECK: qtale.launch @[[SMALL]](%[[CONTEXT]] : !qtale.context) ins(%[[Q]], %[[TB]] : tensor<?x80xi8>, tensor<576xi8>)
    %v = qtale.matmul %q, %b : tensor<?x64xf32, #qtale.int_rows<pad = 32>>, tensor<8x64xf32, #packed> -> tensor<?x8xf32>
    // As many bytes, another shape.
    // CHECK-NOT: qtale.launch @[[SMALL]](
    // CHECK: qtale.launch @[[LARGE:matmul.*]](%[[CONTEXT]] : !qtale.context) ins(%[[Q]], %{{.*}} : tensor<?x80xi8>, tensor<576xi8>) outs(%{{.*}} : tensor<?x16xf32>)
    %y = qtale.matmul %q, %c : tensor<?x64xf32, #qtale.int_rows<pad = 32>>, tensor<16x64xf32, #packed> -> tensor<?x16xf32>
    // A residual makes another kernel; its operand comes third.
    // CHECK-NOT: qtale.launch @[[SMALL]](
    // CHECK: qtale.launch @matmul{{.*}}ins(%[[Q]], %[[TA]], %{{.*}} : tensor<?x80xi8>, tensor<576xi8>, tensor<?x8xf32>)
    %z = qtale.matmul %q, %a residual(%v : tensor<?x8xf32>) : tensor<?x64xf32, #qtale.int_rows<pad = 32>>, tensor<8x64xf32, #packed> -> tensor<?x8xf32>
    // CHECK: qtale.launch @[[APPEND:kv_append.*]](%[[CONTEXT]], %c0 : !qtale.context, index) ins(
    qtale.kv_append %cache0, %k, %v, %seq, %seq : !qtale.kv_cache<1x8xf32>, tensor<?x8xf32>, tensor<?x8xf32>, tensor<?xi32>, tensor<?xi32>
    // CHECK: qtale.launch @[[APPEND]](%[[CONTEXT]], %[[ONE]] : !qtale.context, index) ins(
    qtale.kv_append %cache1, %v, %k, %seq, %seq : !qtale.kv_cache<1x8xf32>, tensor<?x8xf32>, tensor<?x8xf32>, tensor<?xi32>, tensor<?xi32>
    // CHECK: qtale.launch @[[ATTENTION:attention.*]](%[[CONTEXT]], %c0 : !qtale.context, index)
    %h = qtale.attention %k, %cache0, %seq, %seq {heads = 1, scale = 0.5 : f32} : tensor<?x8xf32>, !qtale.kv_cache<1x8xf32>, tensor<?xi32>, tensor<?xi32>
    // CHECK: qtale.launch @[[ATTENTION]](%[[CONTEXT]], %[[ONE]] : !qtale.context, index)
    %i = qtale.attention %h, %cache1, %seq, %seq {heads = 1, scale = 0.5 : f32} : tensor<?x8xf32>, !qtale.kv_cache<1x8xf32>, tensor<?xi32>, tensor<?xi32>
    // Another scale is other code.
    // CHECK-NOT: qtale.launch @[[ATTENTION]](
    // CHECK: qtale.launch @attention
    %j = qtale.attention %i, %cache1, %seq, %seq {heads = 1, scale = 0.25 : f32} : tensor<?x8xf32>, !qtale.kv_cache<1x8xf32>, tensor<?xi32>, tensor<?xi32>
    return %j, %y, %z : tensor<?x8xf32>, tensor<?x16xf32>, tensor<?x8xf32>
  }

  // CHECK: func.func private @quantize_rows(%{{.*}}: !qtale.context, %{{.*}}: memref<?x64xf32, strided<[?, 1], offset: ?>>, %{{.*}}: memref<?x80xi8, strided<[?, 1], offset: ?>>)
  // CHECK: scf.forall
  // CHECK: func.func private @[[SMALL]](
  // CHECK: func.func private @[[LARGE]](
  // CHECK: func.func private @[[APPEND]](%{{.*}}: !qtale.context, %{{.*}}: index,
  // CHECK: qtale.kv_block
}
