// RUN: rm -rf %t && mkdir -p %t/a %t/b && cp %s %t/a/m.mlir && truncate -s 4K %t/a/w.bin
//
// Each stage is printed in another folder than the one before; all parse again,
// and compile on to the same bytes as the model itself.
//
// RUN: qtale-compile %t/a/m.mlir --weights=int4 --cpu=x86-64-v3 -o %t/m.so
// RUN: qtale-compile %t/a/m.mlir --weights=int4 --cpu=x86-64-v3 --emit=quantized -o %t/b/quantized.mlir
// RUN: qtale-compile %t/b/quantized.mlir --emit=packed -o %t/a/packed.mlir
// RUN: qtale-compile %t/a/packed.mlir --emit=unrouted -o %t/b/unrouted.mlir
// RUN: qtale-compile %t/b/unrouted.mlir --emit=kernels -o %t/a/kernels.mlir
// RUN: qtale-compile %t/a/kernels.mlir --emit=llvm -o %t/b/llvm.mlir
// RUN: qtale-opt %t/b/quantized.mlir -o /dev/null
// RUN: qtale-opt %t/a/packed.mlir -o /dev/null
// RUN: qtale-opt %t/b/unrouted.mlir -o /dev/null
// RUN: qtale-opt %t/a/kernels.mlir -o /dev/null
// RUN: qtale-opt %t/b/llvm.mlir -o /dev/null
//
// RUN: mkdir %t/q %t/p %t/k %t/l
// RUN: qtale-compile %t/b/quantized.mlir -o %t/q/m.so && cmp %t/m.so %t/q/m.so && cmp %t/m.safetensors %t/q/m.safetensors
// RUN: qtale-compile %t/a/packed.mlir -o %t/p/m.so && cmp %t/m.so %t/p/m.so && cmp %t/m.safetensors %t/p/m.safetensors
// RUN: qtale-compile %t/a/kernels.mlir -o %t/k/m.so && cmp %t/m.so %t/k/m.so && cmp %t/m.safetensors %t/k/m.safetensors
// RUN: qtale-compile %t/b/llvm.mlir -o %t/l/m.so && cmp %t/m.so %t/l/m.so && cmp %t/m.safetensors %t/l/m.safetensors
//
// RUN: FileCheck %s --check-prefix=QUANTIZED --input-file=%t/b/quantized.mlir
// RUN: FileCheck %s --check-prefix=PACKED --input-file=%t/a/packed.mlir
// Options and paths travel; what came from the model keeps its name.
// QUANTIZED: qtale.options = {activations = "int8", asymmetric = false, group = 32 : i64, kv = "f16", levels = ["x86-64-v3"], weights = "int4"}
// QUANTIZED-SAME: qtale.stage = "quantized"
// QUANTIZED: #qtale.source<file = "../a/w.bin",
// QUANTIZED: loc("/layer/MatMul")
// PACKED: qtale.stage = "packed"
// PACKED: #qtale.source<file = "w.bin",
//
// A pipe is written to; a file would take its place.
// RUN: mkfifo %t/b/pipe
// RUN: sh -c "cat %t/b/pipe >%t/b/read & qtale-compile %t/a/packed.mlir --emit=unrouted -o %t/b/pipe && wait"
// RUN: cmp %t/b/read %t/b/unrouted.mlir
//
// RUN: not qtale-compile %t/a/packed.mlir --weights=int8 --emit=kernels 2>&1 | FileCheck %s --check-prefix=LATE
// LATE: qtale-compile: error: {{.*}}packed.mlir: is at stage 'packed'; --weights can't be changed any more
// RUN: not qtale-compile %t/a/kernels.mlir --emit=packed 2>&1 | FileCheck %s --check-prefix=BACK
// BACK: qtale-compile: error: {{.*}}kernels.mlir: is at stage 'kernels', beyond 'packed'

module attributes {qtale.stage = "imported"} {
  qtale.weight @w : tensor<16x64xf32> = #qtale.source<file = "w.bin", offset = 0, bytes = 4096, type = tensor<16x64xf32>>
  func.func @main(%x: tensor<?x64xf32> {qtale.name = "x", qtale.dtype = "float32"}, %r: tensor<?x16xf32> {qtale.name = "r", qtale.dtype = "float32"})
      -> (tensor<?x16xf32> {qtale.name = "y", qtale.dtype = "float32"}) {
    %w = qtale.param @w : tensor<16x64xf32>
    %m = qtale.matmul %x, %w : tensor<?x64xf32>, tensor<16x64xf32> -> tensor<?x16xf32> loc("/layer/MatMul")
    %y = linalg.add ins(%m, %r : tensor<?x16xf32>, tensor<?x16xf32>) outs(%r : tensor<?x16xf32>) -> tensor<?x16xf32> loc("/layer/Add")
    return %y : tensor<?x16xf32>
  }
}
