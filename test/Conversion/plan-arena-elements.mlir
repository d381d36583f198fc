// RUN: qtale-opt %s --qtale-plan-arena --canonicalize | FileCheck %s
//
// Elements lie apart as in LLVM: an index has 8 bytes, 24 bits have 4, 80 have 16.

// CHECK-LABEL: func.func @main
// CHECK-DAG:   %[[AT0:.*]] = arith.constant 0 : index
// CHECK-DAG:   %[[AT1:.*]] = arith.constant 512 : index
// CHECK-DAG:   %[[AT2:.*]] = arith.constant 768 : index
// CHECK-DAG:   %[[END:.*]] = arith.constant 1792 : index
// CHECK:       qtale.arena %{{.*}}, %[[AT0]][] : memref<64xindex>
// CHECK:       qtale.arena %{{.*}}, %[[AT1]][] : memref<64xi24>
// CHECK:       arith.cmpi uge, %{{.*}}, %[[END]]
// CHECK:       qtale.arena %{{.*}}, %[[AT2]][] : memref<64xf80>
func.func @main(%context: !qtale.context) -> (memref<64xindex>, memref<64xi24>, memref<64xf80>) {
  %a = memref.alloc() : memref<64xindex>
  %b = memref.alloc() : memref<64xi24>
  %c = memref.alloc() : memref<64xf80>
  return %a, %b, %c : memref<64xindex>, memref<64xi24>, memref<64xf80>
}
