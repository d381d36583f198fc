// RUN: qtale-opt %s --qtale-plan-arena | FileCheck %s
//
// Sizes of @main may be any numbers: 2^31 by 2^31 elements of 4 bytes are 0 bytes
// in 64 bits, and must not fit. Each product is compared before it is made.

// CHECK-LABEL: func.func @main
// CHECK-SAME:    %[[N:[^:]*]]: index, %[[M:[^:]*]]: index
// CHECK:       %[[LIMIT:.*]] = qtale.arena_limit
// CHECK:       %[[FITS0:.*]] = arith.cmpi ule, %{{.*}}, %[[LIMIT]]
// CHECK:       %[[BYTES:.*]] = arith.constant 4 : index
// CHECK:       %[[N1:.*]] = arith.maxui %[[N]], %[[ONE:.*]] : index
// CHECK:       %[[MOST:.*]] = arith.divui %[[LIMIT]], %[[N1]]
// CHECK:       arith.cmpi ule, %[[BYTES]], %[[MOST]]
// CHECK:       %[[BYTES1:.*]] = arith.muli %[[BYTES]], %[[N]]
// CHECK:       %[[M1:.*]] = arith.maxui %[[M]], %[[ONE]]
// CHECK:       %[[MOST1:.*]] = arith.divui %[[LIMIT]], %[[M1]]
// CHECK:       %[[OK:.*]] = arith.cmpi ule, %[[BYTES1]], %[[MOST1]]
// CHECK:       %[[BOTH:.*]] = arith.andi %{{.*}}, %[[OK]]
// CHECK:       %[[ALL:.*]] = arith.andi %[[FITS0]], %[[BOTH]]
// CHECK:       cf.assert %[[ALL]], "scratch memory is exhausted" {qtale.code = 8 : i32}
func.func @main(%context: !qtale.context, %n: index, %m: index) -> memref<?x?xf32> {
  %b = memref.alloc(%n, %m) : memref<?x?xf32>
  return %b : memref<?x?xf32>
}
