// RUN: qtale-opt %s --pass-pipeline="builtin.module(func.func(qtale-approximate-math))" | FileCheck %s --implicit-check-not=math.exp --implicit-check-not=math.tanh --implicit-check-not=math.erf --implicit-check-not=math.sin --implicit-check-not=math.cos --implicit-check-not="math.log "
//
// What C libraries compute differently becomes polynomials, of vectors too, and
// of f16 through f32; roots and roundings are instructions and stay.

// CHECK-LABEL: @scalars
func.func @scalars(%x: f32) -> (f32, f32, f32, f32, f32, f32) {
  %a = math.exp %x : f32
  %b = math.tanh %x : f32
  %c = math.erf %x : f32
  %d = math.sin %x : f32
  %e = math.cos %x : f32
  %f = math.log %x : f32
  return %a, %b, %c, %d, %e, %f : f32, f32, f32, f32, f32, f32
}

// CHECK-LABEL: @vectors
// CHECK:       math.fma {{.*}} : vector<16xf32>
func.func @vectors(%x: vector<16xf32>) -> (vector<16xf32>, vector<16xf32>) {
  %a = math.exp %x : vector<16xf32>
  %b = math.cos %a : vector<16xf32>
  return %a, %b : vector<16xf32>, vector<16xf32>
}

// CHECK-LABEL: @halves
// CHECK:       arith.extf %{{.*}} : f16 to f32
// CHECK:       arith.truncf %{{.*}} : f32 to f16
func.func @halves(%x: f16) -> (f16, f16) {
  %a = math.exp %x : f16
  %b = math.sin %x : f16
  return %a, %b : f16, f16
}

// CHECK-LABEL: @instructions
// CHECK:       math.sqrt
// CHECK:       math.roundeven
// CHECK:       math.fma
func.func @instructions(%x: f32) -> f32 {
  %a = math.sqrt %x : f32
  %b = math.roundeven %a : f32
  %c = math.fma %a, %b, %x : f32
  return %c : f32
}

// Only bits of bfloat16 are left: LLVM would call a library to round to it.
// CHECK-LABEL: @bfloat
// CHECK: arith.sitofp %{{.*}} : i32 to f32
// CHECK-NOT: to bf16
// CHECK: arith.bitcast %{{.*}} : i16 to bf16
// CHECK-NOT: arith.truncf
// CHECK: return
func.func @bfloat(%i: i32, %x: f32) -> (bf16, bf16) {
  %a = arith.sitofp %i : i32 to bf16
  %b = arith.truncf %x : f32 to bf16
  return %a, %b : bf16, bf16
}
