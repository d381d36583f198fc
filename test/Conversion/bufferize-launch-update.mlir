// RUN: qtale-opt %s --one-shot-bufferize="bufferize-function-boundaries function-boundary-type-conversion=identity-layout-map" | FileCheck %s --implicit-check-not=qtale.launch
//
// A launch that updates its output reads it: what it leaves as it is must be there. It
// works in place where nobody needs the old value, on a copy otherwise.

func.func private @put(!qtale.context, memref<?x8xf32, strided<[?, 1], offset: ?>>, memref<?x8xf32, strided<[?, 1], offset: ?>>)

// CHECK-LABEL: func.func @in_place
// CHECK-SAME:    (%[[CONTEXT:.*]]: !qtale.context, %[[X:.*]]: memref<?x8xf32>, %[[BASE:.*]]: memref<?x8xf32>)
// CHECK-NOT:     memref.alloc
// CHECK-NOT:     memref.copy
// CHECK:         %[[OUT:.*]] = memref.cast %[[BASE]] :
// CHECK:         call @put(%[[CONTEXT]], %{{.*}}, %[[OUT]])
// CHECK-NOT:     memref.copy
// CHECK:         return %[[BASE]]
func.func @in_place(%context: !qtale.context, %x: tensor<?x8xf32>, %base: tensor<?x8xf32>) -> tensor<?x8xf32> {
  %y = qtale.launch @put(%context : !qtale.context) ins(%x : tensor<?x8xf32>) outs(%base : tensor<?x8xf32>) {update} -> tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}

// Without `update` this buffer would be left as it was made.
// CHECK-LABEL: func.func @read_before
// CHECK-SAME:    (%[[CONTEXT:.*]]: !qtale.context, %[[X:.*]]: memref<?x8xf32>, %[[BASE:.*]]: memref<?x8xf32>)
// CHECK:         %[[COPY:.*]] = memref.alloc
// CHECK:         memref.copy %[[BASE]], %[[COPY]]
// CHECK:         %[[OUT:.*]] = memref.cast %[[COPY]] :
// CHECK:         call @put(%[[CONTEXT]], %{{.*}}, %[[OUT]])
// CHECK:         return %[[COPY]]
func.func @read_before(%context: !qtale.context, %x: tensor<?x8xf32>, %base: tensor<?x8xf32> {bufferization.writable = false}) -> tensor<?x8xf32> {
  %y = qtale.launch @put(%context : !qtale.context) ins(%x : tensor<?x8xf32>) outs(%base : tensor<?x8xf32>) {update} -> tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}

// Values that are the base's own must not be overwritten while they are read.
// CHECK-LABEL: func.func @values_of_base
// CHECK-SAME:    (%[[CONTEXT:.*]]: !qtale.context, %[[BASE:.*]]: memref<?x8xf32>)
// CHECK:         %[[COPY:.*]] = memref.alloc
// CHECK:         memref.copy %[[BASE]], %[[COPY]]
// CHECK:         call @put(
// CHECK:         return %[[COPY]]
func.func @values_of_base(%context: !qtale.context, %base: tensor<?x8xf32>) -> tensor<?x8xf32> {
  %y = qtale.launch @put(%context : !qtale.context) ins(%base : tensor<?x8xf32>) outs(%base : tensor<?x8xf32>) {update} -> tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}
