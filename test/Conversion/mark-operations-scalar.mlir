// RUN: qtale-opt %s --pass-pipeline="builtin.module(builtin.module(qtale-mark-operations))" | FileCheck %s
//
// A weight that is one number is one row.

module {
  qtale.weight @w : tensor<f32> = #qtale.source<file = "w", offset = 0, bytes = 4, type = tensor<f32>> {offset = 0 : i64}

  // CHECK: module @level attributes {qtale.operations = [
  // CHECK-SAME: {operation = "rope", row_bytes = 4 : i64},
  // CHECK-SAME: {bytes = 4 : i64, operation = "scale"}]}
  module @level {
    // CHECK-LABEL: func.func @main
    // CHECK:       %[[ROW:.*]] = arith.constant 1 : index
    // CHECK-NEXT:  qtale.mark %{{.*}}, 0, %[[ROW]]
    // CHECK:       %[[NONE:.*]] = arith.constant 0 : index
    // CHECK-NEXT:  qtale.mark %{{.*}}, 1, %[[NONE]]
    func.func @main(%context: !qtale.context, %n: index) {
      %w = qtale.weight_address %context, 0 : memref<f32>
      func.call @rope(%context, %w) : (!qtale.context, memref<f32>) -> ()
      func.call @scale(%context, %w, %n) : (!qtale.context, memref<f32>, index) -> ()
      return
    }
    func.func private @rope(!qtale.context, memref<f32>)
    func.func private @scale(!qtale.context, memref<f32>, index)
  }
}
