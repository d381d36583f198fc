// RUN: qtale-opt %s --qtale-quantize-weights="weights=int4" | FileCheck %s --check-prefixes=CHECK,INT4
// RUN: qtale-opt %s --qtale-quantize-weights="weights=int8 group=64 asymmetric=true kv=f16" | FileCheck %s --check-prefixes=CHECK,INT8
// RUN: qtale-opt %s --qtale-quantize-weights="weights=int4 activations=float" | FileCheck %s --check-prefixes=CHECK,FLOAT --implicit-check-not=qtale.quantize_rows
// RUN: qtale-opt %s --qtale-quantize-weights="weights=bf16" | FileCheck %s --check-prefixes=CHECK,BF16 --implicit-check-not=qtale.quantize_rows
// RUN: qtale-opt %s --qtale-quantize-weights="weights=f32" | FileCheck %s --check-prefixes=CHECK,SAME --implicit-check-not=qtale.quantize_rows
// RUN: qtale-opt %s --qtale-quantize-weights="weights=keep" | FileCheck %s --check-prefixes=CHECK,SAME --implicit-check-not=qtale.quantize_rows
//
// Each format wraps the recipe of a matrix, and types follow; rows that feed two
// matmuls are quantized once; weights that anything else reads stay.

#w = #qtale.source<file = "w.bin", offset = 0, bytes = 2048, type = tensor<8x64xf32>>
#t = #qtale.source<file = "w.bin", offset = 2048, bytes = 8192, type = tensor<32x64xf32>>
#g = #qtale.source<file = "w.bin", offset = 2048, bytes = 256, type = tensor<64xf32>>

// INT4:  qtale.weight @q : tensor<8x64xf32, #[[SCHEME:.*]]> = #qtale.quantize<#qtale.source<{{.*}}>, <bits = 4, group = 32>>
// INT8:  qtale.weight @q : tensor<8x64xf32, #[[SCHEME:.*]]> = #qtale.quantize<#qtale.source<{{.*}}>, <bits = 8, group = 64, asymmetric = true>>
// FLOAT: qtale.weight @q : tensor<8x64xf32, #[[SCHEME:.*]]> = #qtale.quantize<#qtale.source<{{.*}}>, <bits = 4, group = 32>>
// BF16:  qtale.weight @q : tensor<8x64xbf16> = #qtale.cast<#qtale.source<{{.*}}>, bf16>
// SAME:  qtale.weight @q : tensor<8x64xf32> = #qtale.source<
qtale.weight @q : tensor<8x64xf32> = #w
qtale.weight @k : tensor<8x64xf32> = #w
// A table that is read both ways has one format.
// INT4:  qtale.weight @tied : tensor<32x64xf32, #[[SCHEME]]> = #qtale.quantize<
// INT8:  qtale.weight @tied : tensor<32x64xf32, #[[SCHEME]]> = #qtale.quantize<
// BF16:  qtale.weight @tied : tensor<32x64xbf16> = #qtale.cast<
qtale.weight @tied : tensor<32x64xf32> = #t
// The norm's scale is no matrix; @seen is one that other arithmetic reads, and
// @input is a matmul's input, not its weight; @bytes are integers already.
// CHECK: qtale.weight @g : tensor<64xf32> = #qtale.source<
qtale.weight @g : tensor<64xf32> = #g
// CHECK: qtale.weight @seen : tensor<8x64xf32> = #qtale.source<
qtale.weight @seen : tensor<8x64xf32> = #w
// CHECK: qtale.weight @input : tensor<8x64xf32> = #qtale.source<
qtale.weight @input : tensor<8x64xf32> = #w
// CHECK: qtale.weight @bytes : tensor<8x64xi8> = #qtale.source<
qtale.weight @bytes : tensor<8x64xi8> = #qtale.source<file = "w.bin", offset = 0, bytes = 512, type = tensor<8x64xi8>>

// INT4-LABEL: func.func @main
// INT4-SAME:  !qtale.kv_cache<1x8xf32>
// INT8-LABEL: func.func @main
// INT8-SAME:  !qtale.kv_cache<1x8xf16>
func.func @main(%ids: tensor<?xi32>, %cache: !qtale.kv_cache<1x8xf32>, %i: tensor<?x64xi8>) -> (tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x32xf32>, tensor<8x8xf32>, tensor<?x8xi32>) {
  // INT4-DAG: %[[T:.*]] = qtale.param @tied : tensor<32x64xf32, #[[SCHEME]]>
  %t = qtale.param @tied : tensor<32x64xf32>
  // INT4:     qtale.embedding %{{.*}}, %[[T]] : tensor<?xi32>, tensor<32x64xf32, #[[SCHEME]]> -> tensor<?x64xf32>
  %x = qtale.embedding %ids, %t : tensor<?xi32>, tensor<32x64xf32> -> tensor<?x64xf32>
  %g = qtale.param @g : tensor<64xf32>
  // INT4:      %[[X:.*]] = qtale.rms_norm
  // INT4-NEXT: %[[ROWS:.*]] = qtale.quantize_rows %[[X]] : tensor<?x64xf32> -> tensor<?x64xf32, #qtale.int_rows<pad = 32>>
  // INT4-NOT:  qtale.quantize_rows
  // INT8:      %[[ROWS:.*]] = qtale.quantize_rows %{{.*}} : tensor<?x64xf32> -> tensor<?x64xf32, #qtale.int_rows<pad = 64>>
  %n = qtale.rms_norm %x, %g {epsilon = 1.0e-5 : f32} : tensor<?x64xf32>, tensor<64xf32>
  %wq = qtale.param @q : tensor<8x64xf32>
  %wk = qtale.param @k : tensor<8x64xf32>
  // INT4: qtale.matmul %[[ROWS]], %{{.*}} : tensor<?x64xf32, #qtale.int_rows<pad = 32>>, tensor<8x64xf32, #[[SCHEME]]> -> tensor<?x8xf32>
  // INT8: qtale.matmul %[[ROWS]], %{{.*}} : tensor<?x64xf32, #qtale.int_rows<pad = 64>>, tensor<8x64xf32, #[[SCHEME]]> -> tensor<?x8xf32>
  // FLOAT: qtale.matmul %{{.*}}, %{{.*}} : tensor<?x64xf32>, tensor<8x64xf32, #[[SCHEME]]> -> tensor<?x8xf32>
  %q = qtale.matmul %n, %wq : tensor<?x64xf32>, tensor<8x64xf32> -> tensor<?x8xf32>
  // INT4: qtale.matmul %[[ROWS]],
  // INT8: qtale.matmul %[[ROWS]],
  %k = qtale.matmul %n, %wk : tensor<?x64xf32>, tensor<8x64xf32> -> tensor<?x8xf32>
  // INT4: qtale.matmul %[[ROWS]], %[[T]]
  %logits = qtale.matmul %n, %t : tensor<?x64xf32>, tensor<32x64xf32> -> tensor<?x32xf32>

  %seen = qtale.param @seen : tensor<8x64xf32>
  %used = qtale.matmul %n, %seen : tensor<?x64xf32>, tensor<8x64xf32> -> tensor<?x8xf32>
  %twice = arith.addf %seen, %seen : tensor<8x64xf32>
  %input = qtale.param @input : tensor<8x64xf32>
  %y = qtale.matmul %input, %wq : tensor<8x64xf32>, tensor<8x64xf32> -> tensor<8x8xf32>
  %bytes = qtale.param @bytes : tensor<8x64xi8>
  %z = qtale.byte_matmul %i, %bytes : tensor<?x64xi8>, tensor<8x64xi8> -> tensor<?x8xi32>
  return %q, %k, %logits, %y, %z : tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x32xf32>, tensor<8x8xf32>, tensor<?x8xi32>
}
