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
  // expected-error@+1 {{result #0 must be buffer of numbers in row-major order, of known dimensions}}
  %w = qtale.weight_address %context, 0 : memref<?xi8>
  return
}

// -----

func.func @short_dot(%w: vector<32xi8>, %x: i32, %acc: vector<16xi32>) {
  // expected-error@+1 {{operand #0 must be vector of 8-bit signless integer values of length 64}}
  %s = qtale.dot %w, %x, %acc {bits = 4} : vector<32xi8>, vector<16xi32>
  return
}

// -----

func.func private @kernel(!qtale.context, tensor<?x8xf32>)
func.func @launch_c2(%context: !qtale.context, %x: tensor<?x8xf32>) {
  // expected-error@+1 {{parameter 1 of @kernel must be a buffer, but is 'tensor<?x8xf32>'}}
  %y = qtale.launch @kernel(%context : !qtale.context) outs(%x : tensor<?x8xf32>) -> tensor<?x8xf32>
  return
}

// -----

func.func private @kernel(i32, memref<?x8xf32>)
func.func @launch_c2_handle(%context: !qtale.context, %x: tensor<?x8xf32>) {
  // expected-error@+1 {{parameter 0 of @kernel must be of the handle's type, but is 'i32'}}
  %y = qtale.launch @kernel(%context : !qtale.context) outs(%x : tensor<?x8xf32>) -> tensor<?x8xf32>
  return
}

// -----

func.func @arena_c1(%context: !qtale.context, %n: index) {
  // expected-error@+1 {{has 1 sizes for 'memref<?x?xf32>'}}
  %b = qtale.arena %context, %n[%n] : memref<?x?xf32>
  return
}

// -----

func.func @arena_layout(%context: !qtale.context, %n: index) {
  // expected-error@+1 {{must be buffer of numbers in row-major order}}
  %b = qtale.arena %context, %n[] : memref<4x4xf32, strided<[1, 4]>>
  return
}

// -----

func.func @arena_elements(%context: !qtale.context, %n: index) {
  // expected-error@+1 {{must be buffer of numbers in row-major order}}
  %b = qtale.arena %context, %n[] : memref<4xvector<2xf32>>
  return
}

// -----

func.func @address_space(%context: !qtale.context) {
  // expected-error@+1 {{must be buffer of numbers in row-major order, of known dimensions}}
  %w = qtale.weight_address %context, 0 : memref<8xi8, 3>
  return
}

// -----

func.func @slots_of_rank_0(%context: !qtale.context, %cache: index, %keep: memref<i1>, %x: memref<?xi32>) {
  // expected-error@+1 {{operand #2 must be 1D memref}}
  %code = qtale.reserve_slots %context, %cache, %keep, %x, %x, %x : memref<i1>, memref<?xi32>, memref<?xi32>, memref<?xi32>
  return
}

// -----

func.func @record_of_rank_2(%context: !qtale.context, %unit: index) {
  // expected-error@+1 {{result #0 must be buffer of 8-bit signless integer for each row}}
  %kept, %p = qtale.unit_record %context, %unit : memref<?x4xi8>, memref<?xf32>
  return
}
