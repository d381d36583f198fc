// RUN: qtale-opt %s --qtale-enter-levels="levels=x86-64-v3,armv8-a" | FileCheck %s
//
// Weights get places of 64 bytes' alignment; ports and caches become attributes;
// each level has its own copy of the entries, whose inputs may not be written.

// CHECK:      module attributes {qtale.caches = [!qtale.kv_cache<1x8xf16>, !qtale.kv_cache<2x8xf16>],
// CHECK-SAME:   qtale.inputs = [{dtype = "float32", name = "x", shape = array<i64: -1, 8>}],
// CHECK-SAME:   qtale.outputs = [{dtype = "bool", name = "y", shape = array<i64: 3>}, {dtype = "int64", name = "z", shape = array<i64>}],
// CHECK-SAME:   qtale.vocab = 32 : i64
// CHECK: qtale.weight @first {{.*}} {offset = 0 : i64}
qtale.weight @first : tensor<5xf32> = #qtale.source<file = "w.bin", offset = 0, bytes = 20, type = tensor<5xf32>>
// CHECK: qtale.weight @second {{.*}} {offset = 64 : i64}
qtale.weight @second : tensor<65xi8> = #qtale.source<file = "w.bin", offset = 20, bytes = 65, type = tensor<65xi8>>
// CHECK: qtale.weight @third {{.*}} {offset = 192 : i64}
qtale.weight @third : tensor<1xf32> = #qtale.source<file = "w.bin", offset = 88, bytes = 4, type = tensor<1xf32>>

// CHECK-NOT: func.func
// CHECK: module @"x86-64-v3" attributes {qtale.cpu = "x86-64-v3", qtale.features = "", qtale.requires = "avx2,fma,f16c,bmi2"}
// CHECK: func.func @main(%{{.*}}: !qtale.context, %{{.*}}: tensor<?x8xf32> {bufferization.writable = false, qtale.dtype = "float32", qtale.name = "x"})
func.func @main(%x: tensor<?x8xf32> {qtale.name = "x", qtale.dtype = "float32"})
    -> (tensor<3xi1> {qtale.name = "y", qtale.dtype = "bool"}, tensor<i64> {qtale.name = "z", qtale.dtype = "int64"}) {
  %y = arith.constant dense<true> : tensor<3xi1>
  %z = arith.constant dense<1> : tensor<i64>
  return %y, %z : tensor<3xi1>, tensor<i64>
}

// CHECK: func.func @step(%{{.*}}: !qtale.context, %{{.*}}: tensor<?xi32> {bufferization.writable = false}, {{.*}}, %{{.*}}: !qtale.kv_cache<1x8xf16>, %{{.*}}: !qtale.kv_cache<2x8xf16>)
func.func @step(%tokens: tensor<?xi32>, %sequences: tensor<?xi32>, %positions: tensor<?xi32>, %rows: tensor<?xi32>,
                %a: !qtale.kv_cache<1x8xf16>, %b: !qtale.kv_cache<2x8xf16>) -> tensor<?x32xf32> {
  %c0 = arith.constant 0 : index
  %n = tensor.dim %rows, %c0 : tensor<?xi32>
  %y = tensor.empty(%n) : tensor<?x32xf32>
  return %y : tensor<?x32xf32>
}
// CHECK: module @"armv8-a" attributes {qtale.cpu = "generic", qtale.features = "", qtale.requires = "neon"}
// CHECK: func.func @main(
// CHECK: func.func @step(
