// RUN: qtale-opt %s --one-shot-bufferize="bufferize-function-boundaries function-boundary-type-conversion=identity-layout-map" | FileCheck %s --implicit-check-not=qtale.launch --implicit-check-not=memref.copy
//
// A launch becomes a call that overwrites its outputs: they are never copied. Rows
// may lie apart; an input whose columns do is copied (bufferize-launch-strided.mlir).

func.func private @kernel(!qtale.context, memref<?x8xf32, strided<[?, 1], offset: ?>>, memref<?x8xf32, strided<[?, 1], offset: ?>>)

// CHECK-LABEL: @chain
// CHECK-SAME:    (%[[CONTEXT:.*]]: !qtale.context, %[[X:.*]]: memref<?x8xf32>
// CHECK:       %[[Z:.*]] = memref.alloc(%{{.*}}) {{.*}}: memref<?x8xf32>
// CHECK:       %[[Y:.*]] = memref.alloc(%{{.*}}) {{.*}}: memref<?x8xf32>
// CHECK:       %[[XK:.*]] = memref.cast %[[X]] : memref<?x8xf32> to memref<?x8xf32, strided<[?, 1], offset: ?>>
// CHECK:       %[[YK:.*]] = memref.cast %[[Y]] :
// CHECK:       call @kernel(%[[CONTEXT]], %[[XK]], %[[YK]])
// Both are needed: the second has its own buffer.
// CHECK:       %[[ZK:.*]] = memref.cast %[[Z]] :
// CHECK:       call @kernel(%[[CONTEXT]], %{{.*}}, %[[ZK]])
// CHECK:       return %[[Y]], %[[Z]] :
func.func @chain(%context: !qtale.context, %x: tensor<?x8xf32> {bufferization.writable = false}, %n: index) -> (tensor<?x8xf32>, tensor<?x8xf32>) {
  %init = tensor.empty(%n) : tensor<?x8xf32>
  %y = qtale.launch @kernel(%context : !qtale.context) ins(%x : tensor<?x8xf32>) outs(%init : tensor<?x8xf32>) -> tensor<?x8xf32>
  %z = qtale.launch @kernel(%context : !qtale.context) ins(%y : tensor<?x8xf32>) outs(%init : tensor<?x8xf32>) -> tensor<?x8xf32>
  return %y, %z : tensor<?x8xf32>, tensor<?x8xf32>
}

// CHECK-LABEL: @rows
// CHECK:       %[[PART:.*]] = memref.subview %{{.*}}[0, 4] [%{{.*}}, 8] [1, 1]
// CHECK:       memref.cast %[[PART]] : memref<?x8xf32, strided<[16, 1], offset: 4>> to memref<?x8xf32, strided<[?, 1], offset: ?>>
func.func @rows(%context: !qtale.context, %x: tensor<?x16xf32> {bufferization.writable = false}, %n: index) -> tensor<?x8xf32> {
  %part = tensor.extract_slice %x[0, 4] [%n, 8] [1, 1] : tensor<?x16xf32> to tensor<?x8xf32>
  %init = tensor.empty(%n) : tensor<?x8xf32>
  %y = qtale.launch @kernel(%context : !qtale.context) ins(%part : tensor<?x8xf32>) outs(%init : tensor<?x8xf32>) -> tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}

func.func private @two(!qtale.context, memref<?x8xf32, strided<[?, 1], offset: ?>>, memref<?x8xf32, strided<[?, 1], offset: ?>>, memref<?x8xf32, strided<[?, 1], offset: ?>>)

// What is an input and an output is a result once.
// CHECK-LABEL: @input_and_output
// CHECK-SAME:    (%[[CONTEXT:.*]]: !qtale.context, %[[X:.*]]: memref<?x8xf32>
// CHECK:       %[[Y:.*]] = memref.alloc(%{{.*}}) {{.*}}: memref<?x8xf32>
// CHECK:       call @two(
// CHECK:       return %[[Y]], %[[X]] :
func.func @input_and_output(%context: !qtale.context, %x: tensor<?x8xf32>, %n: index) -> (tensor<?x8xf32>, tensor<?x8xf32>) {
  %init = tensor.empty(%n) : tensor<?x8xf32>
  %y, %z = qtale.launch @two(%context : !qtale.context) ins(%init : tensor<?x8xf32>) outs(%init, %x : tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>, tensor<?x8xf32>
  return %y, %z : tensor<?x8xf32>, tensor<?x8xf32>
}
