// RUN: qtale-opt %s --one-shot-bufferize="bufferize-function-boundaries function-boundary-type-conversion=identity-layout-map" | FileCheck %s
//
// Kernels read rows whose columns lie side by side: an input whose columns do not
// is copied.

func.func private @kernel(!qtale.context, memref<?x8xf32, strided<[?, 1], offset: ?>>, memref<?x8xf32, strided<[?, 1], offset: ?>>)

// CHECK-LABEL: @columns
// CHECK:       %[[PART:.*]] = memref.subview %{{.*}}[0, 0] [%{{.*}}, 8] [1, 2]
// CHECK:       %[[DENSE:.*]] = memref.alloc(%{{.*}}) : memref<?x8xf32>
// CHECK:       memref.copy %[[PART]], %[[DENSE]]
// CHECK:       %[[ARGUMENT:.*]] = memref.cast %[[DENSE]]
// CHECK:       call @kernel(%{{.*}}, %[[ARGUMENT]], %{{.*}})
func.func @columns(%context: !qtale.context, %x: tensor<?x16xf32> {bufferization.writable = false}, %n: index) -> tensor<?x8xf32> {
  %part = tensor.extract_slice %x[0, 0] [%n, 8] [1, 2] : tensor<?x16xf32> to tensor<?x8xf32>
  %init = tensor.empty(%n) : tensor<?x8xf32>
  %y = qtale.launch @kernel(%context : !qtale.context) ins(%part : tensor<?x8xf32>) outs(%init : tensor<?x8xf32>) -> tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}
