// RUN: qtale-opt %s --qtale-lower-asserts --split-input-file --verify-diagnostics
//
// Where there is no early return: in a region, and in a kernel.

func.func @region(%context: !qtale.context, %a: i1) -> i32 {
  scf.if %a {
    // expected-error@+1 {{an assertion may only stand in an entry, outside loops}}
    cf.assert %a, "inside"
  }
  %ok = arith.constant 0 : i32
  return %ok : i32
}

// -----

func.func private @kernel(%context: !qtale.context, %a: i1) {
  // expected-error@+1 {{an assertion may only stand in an entry, outside loops}}
  cf.assert %a, "kernel"
  return
}
