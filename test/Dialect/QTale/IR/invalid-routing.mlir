// RUN: qtale-opt %s --split-input-file --verify-diagnostics
//
// What routers, keeps, caches of routed layers and compaction refuse: a test for
// each numbered constraint. Routes are in invalid-routes.mlir.

func.func @router_c1(%x: tensor<?x64xf32>, %w: tensor<1x64xf32>) {
  // expected-error@+1 {{of kind linear takes 2 weights, but has 1}}
  %p = qtale.router linear(%x, %w) {epsilon = 1.0e-5 : f32} : tensor<?x64xf32>, tensor<1x64xf32> -> tensor<?xf32>
  return
}

// -----

func.func @router_c2(%x: tensor<?x64xf32>, %w: tensor<1x63xf32>, %b: tensor<1xf32>) {
  // expected-error@+1 {{weight 0 must be 'tensor<1x64xf32>', but is 'tensor<1x63xf32>'}}
  %p = qtale.router linear(%x, %w, %b) {epsilon = 1.0e-5 : f32} : tensor<?x64xf32>, tensor<1x63xf32>, tensor<1xf32> -> tensor<?xf32>
  return
}

// -----

// fc1 says what R is: 32.
func.func @router_c2_mlp2(%x: tensor<?x64xf32>, %fc1: tensor<32x64xf32>, %r: tensor<32xf32>, %fc2: tensor<2x16xf32>, %b2: tensor<2xf32>) {
  // expected-error@+1 {{weight 3 must be 'tensor<2x32xf32>', but is 'tensor<2x16xf32>'}}
  %p = qtale.router mlp2(%x, %fc1, %r, %r, %fc2, %b2) {epsilon = 1.0e-5 : f32}
    : tensor<?x64xf32>, tensor<32x64xf32>, tensor<32xf32>, tensor<32xf32>, tensor<2x16xf32>, tensor<2xf32> -> tensor<?xf32>
  return
}

// -----

// down says what R is: 16.
func.func @router_c2_gate(%x: tensor<?x64xf32>, %norm: tensor<64xf32>, %down: tensor<16x64xf32>, %up: tensor<1x32xf32>) {
  // expected-error@+1 {{weight 2 must be 'tensor<1x16xf32>', but is 'tensor<1x32xf32>'}}
  %p = qtale.router gate(%x, %norm, %down, %up) {epsilon = 1.0e-5 : f32}
    : tensor<?x64xf32>, tensor<64xf32>, tensor<16x64xf32>, tensor<1x32xf32> -> tensor<?xf32>
  return
}

// -----

func.func @router_c2_scalar(%x: tensor<?x64xf32>, %norm: tensor<64xf32>, %down: tensor<f32>, %up: tensor<1x32xf32>) {
  // expected-error@+1 {{weight 1 must be 'tensor<0x64xf32>', but is 'tensor<f32>'}}
  %p = qtale.router gate(%x, %norm, %down, %up) {epsilon = 1.0e-5 : f32}
    : tensor<?x64xf32>, tensor<64xf32>, tensor<f32>, tensor<1x32xf32> -> tensor<?xf32>
  return
}

// -----

func.func @router_c3(%x: tensor<2x64xf32>, %w: tensor<1x64xf32>, %b: tensor<1xf32>) {
  // expected-error@+1 {{result 'tensor<3xf32>' does not fit input 'tensor<2x64xf32>'}}
  %p = qtale.router linear(%x, %w, %b) {epsilon = 1.0e-5 : f32} : tensor<2x64xf32>, tensor<1x64xf32>, tensor<1xf32> -> tensor<3xf32>
  return
}

// -----

func.func @unknown_router(%x: tensor<?x64xf32>) {
  // expected-error@+2 {{expected ::qtale::RouterKind to be one of: mlp2, linear, gate}}
  // expected-error@+1 {{failed to parse}}
  %p = qtale.router conv(%x, %x) {epsilon = 1.0e-5 : f32} : tensor<?x64xf32>, tensor<?x64xf32> -> tensor<?xf32>
  return
}

// -----

func.func @keep_c1(%p: tensor<2xf32>, %t: tensor<?x5xf32>, %r: tensor<?xi32>, %pos: tensor<3xi32>) {
  // expected-error@+1 {{probabilities, budgets, sequences, positions and results differ in number}}
  %keep, %left = qtale.keep %p, %t, %r, %r, %pos {unit = 3, always = 2}
    : tensor<2xf32>, tensor<?x5xf32>, tensor<?xi32>, tensor<?xi32>, tensor<3xi32> -> tensor<?xi1>, tensor<?xi32>
  return
}

// -----

// Thresholds have a row for each sequence: as many as there are is right.
func.func @keep_c1_left(%p: tensor<2xf32>, %t: tensor<7x5xf32>, %r: tensor<?xi32>) {
  // expected-error@+1 {{probabilities, budgets, sequences, positions and results differ in number}}
  %keep, %left = qtale.keep %p, %t, %r, %r, %r {unit = 3, always = 2}
    : tensor<2xf32>, tensor<7x5xf32>, tensor<?xi32>, tensor<?xi32>, tensor<?xi32> -> tensor<2xi1>, tensor<3xi32>
  return
}

// -----

func.func @keep_c2(%p: tensor<?xf32>, %t: tensor<?x5xf32>, %r: tensor<?xi32>) {
  // expected-error@+1 {{unit 5 is no column of the thresholds 'tensor<?x5xf32>'}}
  %keep, %left = qtale.keep %p, %t, %r, %r, %r {unit = 5, always = 2}
    : tensor<?xf32>, tensor<?x5xf32>, tensor<?xi32>, tensor<?xi32>, tensor<?xi32> -> tensor<?xi1>, tensor<?xi32>
  return
}

// -----

func.func @keep_c2_negative(%p: tensor<?xf32>, %t: tensor<?x?xf32>, %r: tensor<?xi32>) {
  // expected-error@+1 {{unit -1 is no column of the thresholds 'tensor<?x?xf32>'}}
  %keep, %left = qtale.keep %p, %t, %r, %r, %r {unit = -1, always = 2}
    : tensor<?xf32>, tensor<?x?xf32>, tensor<?xi32>, tensor<?xi32>, tensor<?xi32> -> tensor<?xi1>, tensor<?xi32>
  return
}

// -----

func.func @kv_reserve_c1(%cache: !qtale.kv_cache<4x8xf32>, %keep: tensor<?xi1>, %seq: tensor<?xi32>) {
  // expected-error@+1 {{needs a ragged cache, but has '!qtale.kv_cache<4x8xf32>'}}
  %slots = qtale.kv_reserve %cache, %keep, %seq, %seq : !qtale.kv_cache<4x8xf32>, tensor<?xi1>, tensor<?xi32>, tensor<?xi32> -> tensor<?xi32>
  return
}

// -----

func.func @kv_reserve_c2(%cache: !qtale.kv_cache<4x8xf32, ragged>, %keep: tensor<2xi1>, %seq: tensor<?xi32>) {
  // expected-error@+1 {{flags, sequences, positions and slots differ in number}}
  %slots = qtale.kv_reserve %cache, %keep, %seq, %seq : !qtale.kv_cache<4x8xf32, ragged>, tensor<2xi1>, tensor<?xi32>, tensor<?xi32> -> tensor<3xi32>
  return
}

// -----

func.func @kv_copy_c1(%cache: !qtale.kv_cache<4x8xf32>, %below: !qtale.kv_cache<4x8xi8>, %keep: tensor<?xi1>, %seq: tensor<?xi32>) {
  // expected-error@+1 {{needs two caches of one type that is not ragged, but has '!qtale.kv_cache<4x8xf32>' and '!qtale.kv_cache<4x8xi8>'}}
  qtale.kv_copy %cache, %below, %keep, %seq, %seq : !qtale.kv_cache<4x8xf32>, !qtale.kv_cache<4x8xi8>, tensor<?xi1>, tensor<?xi32>, tensor<?xi32>
  return
}

// -----

func.func @kv_copy_c1_ragged(%cache: !qtale.kv_cache<4x8xf32, ragged>, %keep: tensor<?xi1>, %seq: tensor<?xi32>) {
  // expected-error@+1 {{needs two caches of one type that is not ragged}}
  qtale.kv_copy %cache, %cache, %keep, %seq, %seq : !qtale.kv_cache<4x8xf32, ragged>, !qtale.kv_cache<4x8xf32, ragged>, tensor<?xi1>, tensor<?xi32>, tensor<?xi32>
  return
}

// -----

func.func @kv_copy_c2(%cache: !qtale.kv_cache<4x8xf32>, %keep: tensor<2xi1>, %seq: tensor<?xi32>, %slots: tensor<3xi32>) {
  // expected-error@+1 {{flags, sequences and slots differ in number}}
  qtale.kv_copy %cache, %cache, %keep, %seq, %slots : !qtale.kv_cache<4x8xf32>, !qtale.kv_cache<4x8xf32>, tensor<2xi1>, tensor<?xi32>, tensor<3xi32>
  return
}
