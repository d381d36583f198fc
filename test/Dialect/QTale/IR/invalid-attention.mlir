// RUN: qtale-opt %s --split-input-file --verify-diagnostics
//
// What rotation, caches and attention refuse: a test for each numbered
// constraint.

func.func @rope_c1(%x: tensor<?x64xf32>, %t: tensor<512x4xf32>, %pos: tensor<?xi32>) {
  // expected-error@+1 {{tables 'tensor<512x4xf32>' and 'tensor<512x4xf32>' do not fit 7 heads in 64 columns}}
  %q = qtale.rope %x, %t, %t, %pos {heads = 7} : tensor<?x64xf32>, tensor<512x4xf32>, tensor<512x4xf32>, tensor<?xi32>
  return
}

// -----

func.func @rope_c1_none(%x: tensor<?x64xf32>, %t: tensor<512x4xf32>, %pos: tensor<?xi32>) {
  // expected-error@+1 {{do not fit 0 heads in 64 columns}}
  %q = qtale.rope %x, %t, %t, %pos {heads = 0} : tensor<?x64xf32>, tensor<512x4xf32>, tensor<512x4xf32>, tensor<?xi32>
  return
}

// -----

func.func @rope_c1_tables(%x: tensor<?x64xf32>, %cos: tensor<512x4xf32>, %sin: tensor<512x3xf32>, %pos: tensor<?xi32>) {
  // expected-error@+1 {{tables 'tensor<512x4xf32>' and 'tensor<512x3xf32>' do not fit 8 heads in 64 columns}}
  %q = qtale.rope %x, %cos, %sin, %pos {heads = 8} : tensor<?x64xf32>, tensor<512x4xf32>, tensor<512x3xf32>, tensor<?xi32>
  return
}

// -----

func.func @rope_c1_pairs(%x: tensor<?x64xf32>, %t: tensor<512x5xf32>, %pos: tensor<?xi32>) {
  // expected-error@+1 {{do not fit 8 heads in 64 columns}}
  %q = qtale.rope %x, %t, %t, %pos {heads = 8} : tensor<?x64xf32>, tensor<512x5xf32>, tensor<512x5xf32>, tensor<?xi32>
  return
}

// -----

func.func @rope_c2(%x: tensor<2x64xf32>, %t: tensor<512x4xf32>, %pos: tensor<3xi32>) {
  // expected-error@+1 {{positions 'tensor<3xi32>' do not fit input 'tensor<2x64xf32>'}}
  %q = qtale.rope %x, %t, %t, %pos {heads = 8} : tensor<2x64xf32>, tensor<512x4xf32>, tensor<512x4xf32>, tensor<3xi32>
  return
}

// -----

func.func @kv_append_c1(%cache: !qtale.kv_cache<4x8xf32>, %k: tensor<?x32xf32>, %v: tensor<?x64xf32>, %seq: tensor<?xi32>) {
  // expected-error@+1 {{keys and values must have 32 columns, but one is 'tensor<?x64xf32>'}}
  qtale.kv_append %cache, %k, %v, %seq, %seq
    : !qtale.kv_cache<4x8xf32>, tensor<?x32xf32>, tensor<?x64xf32>, tensor<?xi32>, tensor<?xi32>
  return
}

// -----

// Dynamic sizes agree with any, so the two known ones are compared.
func.func @kv_append_c2(%cache: !qtale.kv_cache<4x8xf32>, %k: tensor<2x32xf32>, %v: tensor<?x32xf32>, %seq: tensor<?xi32>, %slots: tensor<3xi32>) {
  // expected-error@+1 {{rows, sequences and slots differ in number}}
  qtale.kv_append %cache, %k, %v, %seq, %slots
    : !qtale.kv_cache<4x8xf32>, tensor<2x32xf32>, tensor<?x32xf32>, tensor<?xi32>, tensor<3xi32>
  return
}

// -----

func.func @attention_c1(%q: tensor<?x48xf32>, %cache: !qtale.kv_cache<4x8xf32>, %seq: tensor<?xi32>) {
  // expected-error@+1 {{query 'tensor<?x48xf32>' does not fit 6 heads over '!qtale.kv_cache<4x8xf32>'}}
  %y = qtale.attention %q, %cache, %seq, %seq {heads = 6, scale = 1.0 : f32}
    : tensor<?x48xf32>, !qtale.kv_cache<4x8xf32>, tensor<?xi32>, tensor<?xi32>
  return
}

// -----

func.func @attention_c1_columns(%q: tensor<?x56xf32>, %cache: !qtale.kv_cache<4x8xf32>, %seq: tensor<?xi32>) {
  // expected-error@+1 {{query 'tensor<?x56xf32>' does not fit 8 heads over '!qtale.kv_cache<4x8xf32>'}}
  %y = qtale.attention %q, %cache, %seq, %seq {heads = 8, scale = 1.0 : f32}
    : tensor<?x56xf32>, !qtale.kv_cache<4x8xf32>, tensor<?xi32>, tensor<?xi32>
  return
}

// -----

func.func @attention_c2(%q: tensor<2x64xf32>, %cache: !qtale.kv_cache<4x8xf32>, %seq: tensor<2xi32>, %slots: tensor<1xi32>) {
  // expected-error@+1 {{rows, sequences and slots differ in number}}
  %y = qtale.attention %q, %cache, %seq, %slots {heads = 8, scale = 1.0 : f32}
    : tensor<2x64xf32>, !qtale.kv_cache<4x8xf32>, tensor<2xi32>, tensor<1xi32>
  return
}

// -----

func.func @attention_c3(%q: tensor<?x64xf32>, %cache: !qtale.kv_cache<4x16xf32>, %seq: tensor<?xi32>) {
  // expected-error@+1 {{result must be 'tensor<?x64xf32>' or, of heads in whole blocks and without padding, its #qtale.int_rows, but is 'tensor<?x64xf32, #qtale.int_rows<pad = 32>>'}}
  %y = qtale.attention %q, %cache, %seq, %seq {heads = 4, scale = 1.0 : f32}
    : tensor<?x64xf32>, !qtale.kv_cache<4x16xf32>, tensor<?xi32>, tensor<?xi32> -> tensor<?x64xf32, #qtale.int_rows<pad = 32>>
  return
}

// -----

func.func @attention_c3_padding(%q: tensor<?x64xf32>, %cache: !qtale.kv_cache<2x32xf32>, %seq: tensor<?xi32>) {
  // expected-error@+1 {{result must be 'tensor<?x64xf32>' or, of heads in whole blocks and without padding}}
  %y = qtale.attention %q, %cache, %seq, %seq {heads = 2, scale = 1.0 : f32}
    : tensor<?x64xf32>, !qtale.kv_cache<2x32xf32>, tensor<?xi32>, tensor<?xi32> -> tensor<?x64xf32, #qtale.int_rows<pad = 128>>
  return
}

// -----

func.func @attention_c4(%q: tensor<?x2056xf32>, %cache: !qtale.kv_cache<1x8xf32>, %seq: tensor<?xi32>) {
  // expected-error@+1 {{has 257 heads over 1 of the cache; at most 256 share one}}
  %y = qtale.attention %q, %cache, %seq, %seq {heads = 257, scale = 1.0 : f32}
    : tensor<?x2056xf32>, !qtale.kv_cache<1x8xf32>, tensor<?xi32>, tensor<?xi32>
  return
}
