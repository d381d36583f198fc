// RUN: qtale-opt %s --split-input-file --verify-diagnostics
//
// What moving rows, and the record of which ran, refuse: a test for each
// numbered constraint.

func.func @gather_rows_c1(%x: tensor<?x64xf32>, %rows: tensor<?xi32>) {
  // expected-error@+1 {{result 'tensor<?x32xf32>' does not fit input 'tensor<?x64xf32>' and rows 'tensor<?xi32>'}}
  %y = qtale.gather_rows %x, %rows : tensor<?x64xf32>, tensor<?xi32> -> tensor<?x32xf32>
  return
}

// -----

func.func @gather_rows_c1_rows(%x: tensor<?x64xf32>, %rows: tensor<2xi32>) {
  // expected-error@+1 {{result 'tensor<3x64xf32>' does not fit input 'tensor<?x64xf32>' and rows 'tensor<2xi32>'}}
  %y = qtale.gather_rows %x, %rows : tensor<?x64xf32>, tensor<2xi32> -> tensor<3x64xf32>
  return
}

// -----

func.func @gather_rows_c1_element(%x: tensor<?xi32>, %rows: tensor<?xi32>) {
  // expected-error@+1 {{result 'tensor<?xf32>' does not fit input 'tensor<?xi32>' and rows 'tensor<?xi32>'}}
  %y = qtale.gather_rows %x, %rows : tensor<?xi32>, tensor<?xi32> -> tensor<?xf32>
  return
}

// -----

func.func @scatter_rows_c1(%values: tensor<?x32xf32>, %rows: tensor<?xi32>, %x: tensor<?x64xf32>) {
  // expected-error@+1 {{values 'tensor<?x32xf32>' and rows 'tensor<?xi32>' do not fit base 'tensor<?x64xf32>'}}
  %y = qtale.scatter_rows %values, %rows, %x : tensor<?x32xf32>, tensor<?xi32>, tensor<?x64xf32>
  return
}

// -----

// The base may have more rows than there are values, but each value has its row.
func.func @scatter_rows_c1_rows(%values: tensor<2x64xf32>, %rows: tensor<3xi32>, %x: tensor<5x64xf32>) {
  // expected-error@+1 {{values 'tensor<2x64xf32>' and rows 'tensor<3xi32>' do not fit base 'tensor<5x64xf32>'}}
  %y = qtale.scatter_rows %values, %rows, %x : tensor<2x64xf32>, tensor<3xi32>, tensor<5x64xf32>
  return
}

// -----

func.func @compact_c1(%keep: tensor<2xi1>) {
  // expected-error@+1 {{rows 'tensor<3xi32>' do not fit flags 'tensor<2xi1>'}}
  %rows, %count = qtale.compact %keep : tensor<2xi1> -> tensor<3xi32>, tensor<1xi32>
  return
}

// -----

func.func @compact_c2(%keep: tensor<2xi1>) {
  // expected-error@+1 {{count must be one number, but is 'tensor<2xi32>'}}
  %rows, %count = qtale.compact %keep : tensor<2xi1> -> tensor<2xi32>, tensor<2xi32>
  return
}

// -----

func.func @record_c1(%p: tensor<2xf32>, %keep: tensor<3xi1>) {
  // expected-error@+1 {{probabilities and flags differ in number}}
  qtale.record %p, %keep {unit = 3} : tensor<2xf32>, tensor<3xi1>
  return
}
