// RUN: qtale-opt %s --pass-pipeline="builtin.module(func.func(qtale-share-work))" --split-input-file --verify-diagnostics
//
// What one thread can't do for all: the others would lack the result, or wait at
// a barrier for a thread that has returned.

func.func @result(%context: !qtale.context, %b: memref<4xf32>, %x: f32) -> f32 {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c4 = arith.constant 4 : index
  // expected-error@+1 {{writes memory and has a result: the team can't share it}}
  %sum = scf.for %i = %c0 to %c4 step %c1 iter_args(%s = %x) -> f32 {
    memref.store %s, %b[%i] : memref<4xf32>
    %t = arith.addf %s, %x : f32
    scf.yield %t : f32
  }
  return %sum : f32
}

// -----

func.func @assertion(%context: !qtale.context, %b: memref<4xf32>, %x: f32, %ok: i1) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c4 = arith.constant 4 : index
  // expected-error@+1 {{writes memory and asserts: the team can't share it}}
  scf.for %i = %c0 to %c4 step %c1 {
    cf.assert %ok, "in range"
    memref.store %x, %b[%i] : memref<4xf32>
  }
  return
}

// -----

// The other block's work would be left to all.
// expected-error@+1 {{@blocks must be one block that ends in func.return; use scf.if and scf.for for branches and loops}}
func.func @blocks(%context: !qtale.context, %b: memref<f32>, %x: f32) {
  cf.br ^next
^next:
  memref.store %x, %b[] : memref<f32>
  return
}
