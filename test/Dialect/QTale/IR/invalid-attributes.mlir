// RUN: qtale-opt %s --split-input-file --verify-diagnostics
//
// What schemes, storage formats and caches refuse: a test for each numbered
// constraint.

// expected-error@+1 {{bits must be 4 or 8, but is 3}}
func.func private @int_c1(tensor<4x32xf32, #qtale.int<bits = 3, group = 32>>)

// -----

// expected-error@+1 {{group must be 32, 64 or 128, but is 16}}
func.func private @int_c2(tensor<4x32xf32, #qtale.int<bits = 4, group = 16>>)

// -----

// expected-error@+1 {{group must be 32, 64 or 128, but is -32}}
func.func private @int_c2_negative(tensor<4x32xf32, #qtale.int<bits = 8, group = -32>>)

// -----

// expected-error@+1 {{scales must be f16 or f32, but is 'bf16'}}
func.func private @int_c3(tensor<4x32xf32, #qtale.int<bits = 8, group = 32, scales = bf16>>)

// -----

// expected-error@+1 {{format must be #qtale.int, f32, f16, bf16, i8 or ui8, but is f64}}
func.func private @packed_c1(tensor<4x32xf64, #qtale.packed<f64>>)

// -----

// expected-error@+1 {{format must be #qtale.int, f32, f16, bf16, i8 or ui8, but is 4 : i64}}
func.func private @packed_c1_no_type(tensor<4x32xf32, #qtale.packed<4>>)

// -----

// expected-error@+1 {{elements of type 'f32' can't be packed as i8}}
func.func private @packed_c2(tensor<4x32xf32, #qtale.packed<i8>>)

// -----

// expected-error@+1 {{elements of type 'i8' can't be packed as ui8}}
func.func private @packed_c2_sign(tensor<4x32xi8, #qtale.packed<ui8>>)

// -----

// expected-error@+1 {{elements of type 'i8' can't be packed as f32}}
func.func private @packed_c2_float(tensor<4x32xi8, #qtale.packed<f32>>)

// -----

// expected-error@+1 {{pad must be 32, 64 or 128, but is 48}}
func.func private @int_rows_c1(tensor<?x32xf32, #qtale.int_rows<pad = 48>>)

// -----

// expected-error@+1 {{kv_cache needs heads and head_dim of at least 1, and at most 1048576 values, but has 0 and 8}}
func.func private @kv_cache_c1_heads(!qtale.kv_cache<0x8xf32>)

// -----

// expected-error-re@+1 {{kv_cache holds {{.*}}, but has 'i16'}}
func.func private @kv_cache_c2(!qtale.kv_cache<4x8xi16>)

// -----

// expected-error@+1 {{expected heads x head_dim x element type}}
func.func private @cache_of_three(!qtale.kv_cache<2x4x8xf32>)

// -----

// expected-error@+1 {{expected static shape}}
func.func private @dynamic_cache(!qtale.kv_cache<?x8xf32>)

// -----

// expected-error@+1 {{expected 'ragged'}}
func.func private @cache_of_a_kind(!qtale.kv_cache<4x8xf32, paged>)

// -----

// expected-error@+1 {{expected '>'}}
func.func private @cache_of_two_kinds(!qtale.kv_cache<4x8xf32, ragged, ragged>)

// -----

// expected-error@+1 {{kv_cache needs heads and head_dim of at least 1, and at most 1048576 values, but has 4 and 0}}
func.func private @kv_cache_c1_values(!qtale.kv_cache<4x0xf32, ragged>)

// -----

// expected-error@+1 {{only a matrix of known dimensions can be packed}}
func.func private @packed_c3_rank(tensor<32xf32, #qtale.packed<f32>>)

// -----

// expected-error@+1 {{only a matrix of known dimensions can be packed}}
func.func private @packed_c3_dynamic(tensor<?x32xf32, #qtale.packed<f32>>)

// -----

// expected-error@+1 {{int_rows are a matrix of f32}}
func.func private @int_rows_c2(tensor<?xf32, #qtale.int_rows<pad = 32>>)

// -----

// expected-error@+1 {{int_rows are a matrix of f32}}
func.func private @int_rows_c2_element(tensor<?x32xf16, #qtale.int_rows<pad = 32>>)

// -----

// expected-error@+1 {{and at most 1048576 values, but has 4294967296 and 4294967296}}
func.func private @kv_cache_c1(!qtale.kv_cache<4294967296x4294967296xf32>)
