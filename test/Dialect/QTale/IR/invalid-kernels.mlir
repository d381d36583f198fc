// RUN: qtale-opt %s --split-input-file --verify-diagnostics
//
// What launches and kernels' operations refuse.

func.func @launch_c1(%context: !qtale.context, %x: tensor<?x8xf32>) {
  // expected-error@+1 {{@missing is no function of 2 arguments}}
  %y = qtale.launch @missing(%context : !qtale.context) outs(%x : tensor<?x8xf32>) -> tensor<?x8xf32>
  return
}

// -----

func.func private @kernel(!qtale.context, memref<?x8xf32>, memref<?x8xf32>)
func.func @launch_c1_number(%context: !qtale.context, %x: tensor<?x8xf32>) {
  // expected-error@+1 {{@kernel is no function of 2 arguments}}
  %y = qtale.launch @kernel(%context : !qtale.context) outs(%x : tensor<?x8xf32>) -> tensor<?x8xf32>
  return
}

// -----

func.func @dynamic_address(%context: !qtale.context) {
  // expected-error@+1 {{result #0 must be statically shaped memref}}
  %w = qtale.weight_address %context, 0 : memref<?xi8>
  return
}

// -----

func.func @short_dot(%w: vector<32xi8>, %x: i32, %acc: vector<16xi32>) {
  // expected-error@+1 {{operand #0 must be vector of 8-bit signless integer values of length 64}}
  %s = qtale.dot %w, %x, %acc {bits = 4} : vector<32xi8>, vector<16xi32>
  return
}
