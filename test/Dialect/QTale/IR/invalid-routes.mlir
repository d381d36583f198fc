// RUN: qtale-opt %s --split-input-file --verify-diagnostics
//
// What routes refuse: a test for each numbered constraint.

func.func @route_c1(%x: tensor<?x64xf32>, %keep: tensor<?xi1>) {
  // expected-error@+1 {{a region's arguments must be the inputs ('tensor<?x64xf32>'), but are 'tensor<?x32xf32>'}}
  %y = qtale.route %x : tensor<?x64xf32> if %keep : tensor<?xi1> -> tensor<?x64xf32> {
  ^bb0(%rows: tensor<?x32xf32>):
    qtale.yield %x : tensor<?x64xf32>
  }
  return
}

// -----

func.func @route_c1_number(%x: tensor<?x64xf32>, %keep: tensor<?xi1>) {
  // expected-error@+1 {{a region's arguments must be the inputs ('tensor<?x64xf32>'), but are }}
  %y = qtale.route %x : tensor<?x64xf32> if %keep : tensor<?xi1> -> tensor<?x64xf32> {
    qtale.yield %x : tensor<?x64xf32>
  }
  return
}

// -----

func.func @route_c1_else(%x: tensor<?x64xf32>, %keep: tensor<?xi1>) {
  // expected-error@+1 {{a region's arguments must be the inputs ('tensor<?x64xf32>'), but are 'tensor<?x64xf16>'}}
  %y = qtale.route %x : tensor<?x64xf32> if %keep : tensor<?xi1> -> tensor<?x64xf32> {
  ^bb0(%rows: tensor<?x64xf32>):
    qtale.yield %rows : tensor<?x64xf32>
  } else {
  ^bb0(%rows: tensor<?x64xf16>):
    qtale.yield %x : tensor<?x64xf32>
  }
  return
}

// -----

func.func @route_c1_scalar(%x: tensor<?xf32>, %keep: tensor<?xi1>) {
  // expected-error@+1 {{a region's arguments must be the inputs ('tensor<?xf32>'), but are 'tensor<f32>'}}
  %y = qtale.route %x : tensor<?xf32> if %keep : tensor<?xi1> -> tensor<?xf32> {
  ^bb0(%rows: tensor<f32>):
    qtale.yield %x : tensor<?xf32>
  }
  return
}

// -----

func.func @route_c2(%x: tensor<?x64xf32>, %keep: tensor<?xi1>) {
  // expected-error@+1 {{a region must yield the results ('tensor<?x64xf32>'), but yields 'tensor<?xi1>'}}
  %y = qtale.route %x : tensor<?x64xf32> if %keep : tensor<?xi1> -> tensor<?x64xf32> {
  ^bb0(%rows: tensor<?x64xf32>):
    qtale.yield %keep : tensor<?xi1>
  }
  return
}

// -----

func.func @route_c2_number(%x: tensor<?x64xf32>, %keep: tensor<?xi1>) {
  // expected-error@+1 {{a region must yield the results ('tensor<?x64xf32>'), but yields }}
  %y = qtale.route %x : tensor<?x64xf32> if %keep : tensor<?xi1> -> tensor<?x64xf32> {
  ^bb0(%rows: tensor<?x64xf32>):
    qtale.yield
  }
  return
}

// -----

func.func @route_c2_else(%x: tensor<?x64xf32>, %keep: tensor<?xi1>) {
  // expected-error@+1 {{a region must yield the results ('tensor<?x64xf32>'), but yields 'tensor<?x64xf32>', 'tensor<?x64xf32>'}}
  %y = qtale.route %x : tensor<?x64xf32> if %keep : tensor<?xi1> -> tensor<?x64xf32> {
  ^bb0(%rows: tensor<?x64xf32>):
    qtale.yield %rows : tensor<?x64xf32>
  } else {
  ^bb0(%rows: tensor<?x64xf32>):
    qtale.yield %rows, %rows : tensor<?x64xf32>, tensor<?x64xf32>
  }
  return
}

// -----

func.func @route_c2_no_yield(%keep: tensor<?xi1>) {
  // expected-error@+1 {{a region must end in a yield}}
  qtale.route if %keep : tensor<?xi1> {
    %zero = arith.constant 0 : index
  }
  return
}

// -----

func.func @route_c2_nothing(%keep: tensor<?xi1>) {
  // expected-error@+1 {{a region must end in a yield}}
  qtale.route if %keep : tensor<?xi1> {
  ^bb0:
  }
  return
}

// -----

func.func @route_c3(%x: tensor<?x64xf32>, %keep: tensor<?xi1>) {
  // expected-error@+1 {{without a second region, the results ('tensor<?x32xf32>') must be the first inputs ('tensor<?x64xf32>')}}
  %y = qtale.route %x : tensor<?x64xf32> if %keep : tensor<?xi1> -> tensor<?x32xf32> {
  ^bb0(%rows: tensor<?x64xf32>):
    %h = tensor.extract_slice %rows[0, 0] [1, 32] [1, 1] : tensor<?x64xf32> to tensor<1x32xf32>
    qtale.yield %h : tensor<1x32xf32>
  }
  return
}

// -----

func.func @route_c3_number(%x: tensor<?x64xf32>, %keep: tensor<?xi1>) {
  // expected-error@+1 {{without a second region, the results ('tensor<?x64xf32>', 'tensor<?x64xf32>') must be the first inputs ('tensor<?x64xf32>')}}
  %y:2 = qtale.route %x : tensor<?x64xf32> if %keep : tensor<?xi1> -> tensor<?x64xf32>, tensor<?x64xf32> {
  ^bb0(%rows: tensor<?x64xf32>):
    qtale.yield %rows, %rows : tensor<?x64xf32>, tensor<?x64xf32>
  }
  return
}

// -----

func.func @route_c4(%x: tensor<2x64xf32>, %keep: tensor<3xi1>) {
  // expected-error@+1 {{inputs, flags and results differ in number of rows}}
  %y = qtale.route %x : tensor<2x64xf32> if %keep : tensor<3xi1> -> tensor<2x64xf32> {
  ^bb0(%rows: tensor<?x64xf32>):
    qtale.yield %rows : tensor<?x64xf32>
  }
  return
}

// -----

func.func @yield_elsewhere() {
  // expected-error@+1 {{expects parent op to be one of 'qtale.route, qtale.fused_matmul'}}
  qtale.yield
}
