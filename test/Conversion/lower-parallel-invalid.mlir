// RUN: qtale-opt %s --pass-pipeline="builtin.module(func.func(qtale-lower-parallel))" --split-input-file --verify-diagnostics
//
// Loops that threads can't divide.

func.func @reduction(%context: !qtale.context, %n: index, %x: f32) -> f32 {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  // expected-error@+1 {{parallel reductions are not supported}}
  %sum = scf.parallel (%i) = (%c0) to (%n) step (%c1) init (%x) -> f32 {
    scf.reduce(%x : f32) {
    ^bb0(%a: f32, %b: f32):
      %s = arith.addf %a, %b : f32
      scf.reduce.return %s : f32
    }
  }
  return %sum : f32
}

// -----

func.func @assertion(%context: !qtale.context, %n: index, %ok: i1) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  scf.parallel (%i) = (%c0) to (%n) step (%c1) {
    // expected-error@+1 {{an assertion in a parallel loop would end one thread and leave the others waiting}}
    cf.assert %ok, "in range"
  }
  return
}

// -----

func.func @no_threads(%n: index) {
  // expected-error@+1 {{a parallel loop needs threads, and its function takes no context that has them}}
  scf.forall (%i) in (%n) {}
  return
}
