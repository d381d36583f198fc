// RUN: split-file %s %t
// RUN: qtale-opt %t/imported.mlir --qtale-verify-stage="stage=imported" | FileCheck %s --check-prefix=IMPORTED
// RUN: qtale-opt %t/imported.mlir --qtale-verify-stage="stage=quantized" | FileCheck %s --check-prefix=QUANTIZED
// RUN: not qtale-opt %t/imported.mlir --qtale-verify-stage="stage=packed" 2>&1 | FileCheck %s --check-prefix=PACKED
// RUN: not qtale-opt %t/imported.mlir --qtale-verify-stage="stage=unrouted" 2>&1 | FileCheck %s --check-prefix=PACKED
// RUN: not qtale-opt %t/imported.mlir --qtale-verify-stage="stage=kernels" 2>&1 | FileCheck %s --check-prefix=TENSORS
// RUN: not qtale-opt %t/imported.mlir --qtale-verify-stage="stage=llvm" 2>&1 | FileCheck %s --check-prefix=LLVM
// RUN: not qtale-opt %t/imported.mlir --qtale-verify-stage="stage=done" 2>&1 | FileCheck %s --check-prefix=UNKNOWN
// RUN: not qtale-opt %t/buffers.mlir --qtale-verify-stage="stage=imported" 2>&1 | FileCheck %s --check-prefix=BUFFERS
// RUN: not qtale-opt %t/buffers.mlir --qtale-verify-stage="stage=kernels" 2>&1 | FileCheck %s --check-prefix=ALLOC
// RUN: not qtale-opt %t/argument.mlir --qtale-verify-stage="stage=kernels" 2>&1 | FileCheck %s --check-prefix=ARGUMENT
// RUN: qtale-opt %t/route.mlir --qtale-verify-stage="stage=packed" | FileCheck %s --check-prefix=ROUTED
// RUN: not qtale-opt %t/route.mlir --qtale-verify-stage="stage=unrouted" 2>&1 | FileCheck %s --check-prefix=ROUTE
// RUN: qtale-opt %t/llvm.mlir --qtale-verify-stage="stage=llvm" | FileCheck %s --check-prefix=DONE
//
// A stage that holds is recorded; the error of one that does not names every op
// in its way, and says where it came from.

// IMPORTED: module attributes {qtale.stage = "imported"}
// QUANTIZED: module attributes {qtale.stage = "quantized"}
// ROUTED: module attributes {qtale.stage = "packed"}
// ROUTE: route.mlir:2:{{.*}}error: {{.*}}may not stand after stage 'packed'
// DONE: module attributes {qtale.stage = "llvm"}

// PACKED: error: {{.*}}its weight is not packed: 'tensor<9x8xf32>'
// PACKED: error: {{.*}}its weight is not packed: 'tensor<9x8xf32>'
// PACKED-NOT: error:

// TENSORS: error: 'tensor.empty' may not stand in stage 'kernels'
// LLVM: error: 'func.func' may not stand in stage 'llvm'
// UNKNOWN: error: there is no stage 'done'; stages are imported, quantized, packed, unrouted, kernels, llvm

// BUFFERS: error: 'memref.alloc' may not stand in stage 'imported'
// BUFFERS: error: 'memref.store' may not stand in stage 'imported'
// ALLOC: buffers.mlir:4:{{.*}}error: {{.*}}may not stand in stage 'kernels': it allocates
// ALLOC-NOT: error:
// ARGUMENT: error: {{.*}}may not stand in stage 'kernels': it has a tensor

//--- imported.mlir
qtale.weight @w : tensor<9x8xf32> = #qtale.source<file = "w.bin", offset = 0, bytes = 288, type = tensor<9x8xf32>>
func.func @main(%ids: tensor<?xi32>) -> tensor<3xf32> {
  %w = qtale.param @w : tensor<9x8xf32>
  %x = qtale.embedding %ids, %w : tensor<?xi32>, tensor<9x8xf32> -> tensor<?x8xf32>
  %y = qtale.matmul %x, %w : tensor<?x8xf32>, tensor<9x8xf32> -> tensor<?x9xf32>
  %e = tensor.empty() : tensor<3xf32>
  return %e : tensor<3xf32>
}

//--- buffers.mlir
func.func @main(%x: f32) {
  %c0 = arith.constant 0 : index

  %b = memref.alloc() : memref<4xf32>
  memref.store %x, %b[%c0] : memref<4xf32>
  return
}

//--- argument.mlir
func.func @main(%x: tensor<4xf32>) {
  return
}

//--- route.mlir
func.func @step(%x: tensor<?x8xf32>, %keep: tensor<?xi1>) -> tensor<?x8xf32> {
  %y = qtale.route %x : tensor<?x8xf32> if %keep : tensor<?xi1> -> tensor<?x8xf32> {
  ^bb0(%rows: tensor<?x8xf32>):
    qtale.yield %rows : tensor<?x8xf32>
  }
  return %y : tensor<?x8xf32>
}

//--- llvm.mlir
qtale.weight @w : tensor<9x8xf32> = #qtale.source<file = "w.bin", offset = 0, bytes = 288, type = tensor<9x8xf32>>
module @"x86-64-v3" {
  llvm.func @main(%context: !llvm.ptr, %arguments: !llvm.ptr) -> i32 {
    %0 = llvm.mlir.constant(0 : i32) : i32
    llvm.return %0 : i32
  }
}
