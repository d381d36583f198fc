// RUN: qtale-opt %s --pass-pipeline="builtin.module(builtin.module(qtale-verbs-to-kernels))" --allow-unregistered-dialect --split-input-file --verify-diagnostics
//
// What only the whole entry shows, before kernels are written.

#w = #qtale.source<file = "w.bin", offset = 0, bytes = 2048, type = tensor<8x64xf32>>
qtale.weight @w : tensor<8x64xf32> = #w {offset = 0}
module @"x86-64-v3" {
  func.func @main(%context: !qtale.context, %x: tensor<?x64xf32>) -> tensor<?x8xf32> {
    %w = qtale.param @w : tensor<8x64xf32>
    // expected-error@+1 {{its weight is not packed: 'tensor<8x64xf32>'}}
    %y = qtale.matmul %x, %w : tensor<?x64xf32>, tensor<8x64xf32> -> tensor<?x8xf32>
    return %y : tensor<?x8xf32>
  }
}

// -----

#w = #qtale.source<file = "w.bin", offset = 0, bytes = 2048, type = tensor<8x64xf32>>
qtale.weight @w : tensor<8x64xf32> = #w
module @"x86-64-v3" {
  func.func @main(%context: !qtale.context) -> tensor<8x64xf32> {
    // expected-error@+1 {{needs a weight around the level that has a place in the weights file}}
    %w = qtale.param @w : tensor<8x64xf32>
    return %w : tensor<8x64xf32>
  }
}

// -----

#w = #qtale.source<file = "w.bin", offset = 0, bytes = 2048, type = tensor<8x64xf32>>
qtale.weight @w : tensor<8x64xf32> = #w
module @"x86-64-v3" {
  func.func @main(%context: !qtale.context) -> index {
    // expected-error@+1 {{may not stand before stage 'kernels'}}
    %t = qtale.thread %context
    return %t : index
  }
}

// -----

#w = #qtale.source<file = "w.bin", offset = 0, bytes = 2048, type = tensor<8x64xf32>>
qtale.weight @w : tensor<8x64xf32> = #w
module @"x86-64-v3" {
  func.func @main(%context: !qtale.context, %x: tensor<?x8xf32>, %keep: tensor<?xi1>) -> tensor<?x8xf32> {
    // expected-error@+1 {{may not stand after stage 'packed'}}
    %y = qtale.route %x : tensor<?x8xf32> if %keep : tensor<?xi1> -> tensor<?x8xf32> {
    ^bb0(%rows: tensor<?x8xf32>):
      qtale.yield %rows : tensor<?x8xf32>
    }
    return %y : tensor<?x8xf32>
  }
}

// -----

#w = #qtale.source<file = "w.bin", offset = 0, bytes = 2048, type = tensor<8x64xf32>>
qtale.weight @w : tensor<8x64xf32> = #w
module @"x86-64-v3" {
  func.func @step(%context: !qtale.context, %a: !qtale.kv_cache<1x8xf32>, %b: !qtale.kv_cache<1x8xf32>, %c: i1, %k: tensor<?x8xf32>, %seq: tensor<?xi32>) {
    // expected-error@+1 {{a cache must be an argument of the entry, used by verbs only}}
    %cache = arith.select %c, %a, %b : !qtale.kv_cache<1x8xf32>
    qtale.kv_append %cache, %k, %k, %seq, %seq : !qtale.kv_cache<1x8xf32>, tensor<?x8xf32>, tensor<?x8xf32>, tensor<?xi32>, tensor<?xi32>
    return
  }
}

// -----

#w = #qtale.source<file = "w.bin", offset = 0, bytes = 2048, type = tensor<8x64xf32>>
qtale.weight @w : tensor<8x64xf32> = #w
module @"x86-64-v3" {
  func.func @step(%context: !qtale.context, %k: tensor<?x8xf32>, %seq: tensor<?xi32>) {
    %cache = "test.cache"() : () -> !qtale.kv_cache<1x8xf32>
    // expected-error@+1 {{a cache must be an argument of the entry, used by verbs only}}
    qtale.kv_append %cache, %k, %k, %seq, %seq : !qtale.kv_cache<1x8xf32>, tensor<?x8xf32>, tensor<?x8xf32>, tensor<?xi32>, tensor<?xi32>
    return
  }
}

// -----

#w = #qtale.source<file = "w.bin", offset = 0, bytes = 2048, type = tensor<8x64xf32>>
qtale.weight @w : tensor<8x64xf32> = #w
module @"x86-64-v3" {
  // expected-error@+1 {{takes 'tensor<8x64xf32, #qtale.packed<f32>>', but only weights are packed}}
  func.func @main(%context: !qtale.context, %ids: tensor<32xi32>, %table: tensor<8x64xf32, #qtale.packed<f32>>) {
    return
  }
}

// -----

#w = #qtale.source<file = "w.bin", offset = 0, bytes = 2048, type = tensor<8x64xf32>>
#packed = #qtale.packed<f32>
qtale.weight @w : tensor<8x64xf32, #packed> = #qtale.pack<#w> {offset = 0}
module @"x86-64-v3" {
  func.func @main(%context: !qtale.context, %ids: tensor<32xi32>) -> tensor<32x64xf32, #packed> {
    %w = qtale.param @w : tensor<8x64xf32, #packed>
    // expected-error@+1 {{gives 'tensor<32x64xf32, #qtale.packed<f32>>', but only weights are packed}}
    %x = qtale.embedding %ids, %w : tensor<32xi32>, tensor<8x64xf32, #packed> -> tensor<32x64xf32, #packed>
    return %x : tensor<32x64xf32, #packed>
  }
}

// -----

#w = #qtale.source<file = "w.bin", offset = 0, bytes = 2048, type = tensor<8x64xf32>>
#int4 = #qtale.int<bits = 4, group = 32>
qtale.weight @w : tensor<8x64xf32, #int4> = #qtale.quantize<#w, #int4> {offset = 0}
module @"x86-64-v3" {
  func.func @main(%context: !qtale.context, %x: tensor<?x64xf32>) -> tensor<?x8xf32> {
    %w = qtale.param @w : tensor<8x64xf32, #int4>
    // expected-error@+1 {{its weight is not packed: 'tensor<8x64xf32, #qtale.int<bits = 4, group = 32>>'}}
    %y = qtale.matmul %x, %w : tensor<?x64xf32>, tensor<8x64xf32, #int4> -> tensor<?x8xf32>
    return %y : tensor<?x8xf32>
  }
}
