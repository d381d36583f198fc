// RUN: qtale-opt %s --pass-pipeline="builtin.module(builtin.module(qtale-mark-operations))" | FileCheck %s
//
// A mark before each call of an entry, and one at its end; what each reads, by
// the weights' declarations.

module {
  // 64 x 64 values of 4 bits, and scales of 2 bytes for each 32: 2048 + 256.
  qtale.weight @q : tensor<64x64xf32, #qtale.packed<#qtale.int<bits = 4, group = 32>>> = #qtale.pack<#qtale.quantize<#qtale.source<file = "w", offset = 0, bytes = 16384, type = tensor<64x64xf32>>, <bits = 4, group = 32>>> {offset = 0 : i64}
  qtale.weight @cos : tensor<512x8xf32> = #qtale.source<file = "w", offset = 16384, bytes = 16384, type = tensor<512x8xf32>> {offset = 2304 : i64}

  // CHECK: module @level attributes {qtale.operations = [
  // CHECK-SAME: {layer = 3 : i64, node = "/model/layers.3/norm", operation = "rms_norm"},
  // CHECK-SAME: {bytes = 2304 : i64, layer = 3 : i64, macs = 4096 : i64, node = "/model/layers.3/q/MatMul", operation = "matmul"},
  // CHECK-SAME: {node = "MatMul_7", operation = "rope", row_bytes = 32 : i64},
  // CHECK-SAME: {layer = 12 : i64, node = "encoder/Block_12", operation = "loop"},
  // CHECK-SAME: {operation = "loop"},
  // CHECK-SAME: {operation = "kv_append"},
  // CHECK-SAME: {operation = "loop"}]}
  module @level {
    // CHECK-LABEL: func.func @step
    // CHECK-SAME:    %[[CONTEXT:.*]]: !qtale.context, %{{.*}}, %[[Y:.*]]: memref<?x64xf32>, %[[C:.*]]: i1
    func.func @step(%context: !qtale.context, %x: memref<?x64xf32>, %y: memref<?x64xf32>, %c: i1) {
      // CHECK:       qtale.mark %[[CONTEXT]], 0, %{{.*}}
      // CHECK-NEXT:  call @rms_norm
      func.call @rms_norm(%context, %x, %y) : (!qtale.context, memref<?x64xf32>, memref<?x64xf32>) -> () loc("/model/layers.3/norm")
      %w = qtale.weight_address %context, 0 : memref<2304xi8>
      %view = memref.cast %w : memref<2304xi8> to memref<2304xi8, strided<[1], offset: ?>>
      // Rows are those of what it writes.
      // CHECK:       %[[ROWS:.*]] = memref.dim %[[Y]], %{{.*}}
      // CHECK-NEXT:  qtale.mark %[[CONTEXT]], 1, %[[ROWS]]
      // CHECK-NEXT:  call @matmul_10
      func.call @matmul_10(%context, %x, %view, %y) : (!qtale.context, memref<?x64xf32>, memref<2304xi8, strided<[1], offset: ?>>, memref<?x64xf32>) -> () loc(fused["/model/layers.3/other", "/model/layers.3/q/MatMul"])
      // A table is looked into, a row for each row.
      %cos = qtale.weight_address %context, 2304 : memref<512x8xf32>
      // CHECK:       qtale.mark %[[CONTEXT]], 2, %{{.*}}
      // CHECK-NEXT:  call @rope
      func.call @rope(%context, %cos, %y) : (!qtale.context, memref<512x8xf32>, memref<?x64xf32>) -> () loc("MatMul_7")
      // Loops of one node share a mark; a loop's tables don't count.
      // CHECK:       qtale.mark %[[CONTEXT]], 3, %{{.*}}
      // CHECK-NEXT:  call @loop(
      // CHECK-NEXT:  call @loop_0(
      func.call @loop(%context, %y) : (!qtale.context, memref<?x64xf32>) -> () loc("encoder/Block_12")
      func.call @loop_0(%context, %cos) : (!qtale.context, memref<512x8xf32>) -> () loc("encoder/Block_12")
      // What stands in a branch or behind it has its own.
      // CHECK:       qtale.mark %[[CONTEXT]], 4, %{{.*}}
      // CHECK-NEXT:  call @loop(
      func.call @loop(%context, %y) : (!qtale.context, memref<?x64xf32>) -> () loc(unknown)
      // CHECK-NEXT:  scf.if %[[C]] {
      // CHECK:         qtale.mark %[[CONTEXT]], 5, %{{.*}}
      // CHECK-NEXT:    func.call @kv_append
      scf.if %c {
        func.call @kv_append(%context, %y) : (!qtale.context, memref<?x64xf32>) -> () loc(unknown)
      }
      // CHECK:       qtale.mark %[[CONTEXT]], 6, %{{.*}}
      // CHECK-NEXT:  call @loop(
      func.call @loop(%context, %y) : (!qtale.context, memref<?x64xf32>) -> () loc(unknown)
      // CHECK:       qtale.mark %[[CONTEXT]], -1, %{{.*}}
      // CHECK-NEXT:  return
      return
    }

    // Kernels are no entries.
    // CHECK-LABEL: func.func private @rms_norm
    // CHECK-NOT:   qtale.mark
    func.func private @rms_norm(%context: !qtale.context, %x: memref<?x64xf32>, %y: memref<?x64xf32>) {
      func.call @loop(%context, %y) : (!qtale.context, memref<?x64xf32>) -> ()
      return
    }
    func.func private @matmul_10(!qtale.context, memref<?x64xf32>, memref<2304xi8, strided<[1], offset: ?>>, memref<?x64xf32>)
    func.func private @rope(!qtale.context, memref<512x8xf32>, memref<?x64xf32>)
    func.func private @kv_append(!qtale.context, memref<?x64xf32>)
    func.func private @loop(!qtale.context, memref<?x64xf32>)
    func.func private @loop_0(!qtale.context, memref<512x8xf32>)
  }
}
