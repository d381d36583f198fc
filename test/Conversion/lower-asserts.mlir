// RUN: qtale-opt %s --qtale-lower-asserts | FileCheck %s --implicit-check-not="cf.assert %"
//
// A failed assertion returns its code, or QTALE_INVALID_ARGUMENT (1) with its text
// in the context; what comes before it has happened, what follows has not.

// CHECK-DAG: llvm.mlir.global internal constant @[[EACH:.*]]("each time\00")
// CHECK-DAG: llvm.mlir.global internal constant @[[FIRST:.*]]("first\00")

func.func private @first()
func.func private @second()

// CHECK-LABEL: @two
// CHECK-SAME:    (%[[CONTEXT:.*]]: !qtale.context, %[[A:.*]]: i1, %[[B:.*]]: i1)
// CHECK-NEXT:    call @first
// CHECK-NEXT:    cf.cond_br %[[A]], ^[[REST:.*]], ^[[FAIL:.*]]
// CHECK-NEXT:  ^[[REST]]:
// CHECK-NEXT:    call @second
// CHECK-NEXT:    cf.cond_br %[[B]], ^[[DONE:.*]], ^[[LIMIT:.*]]
// CHECK-NEXT:  ^[[DONE]]:
// CHECK-NEXT:    %[[OK:.*]] = arith.constant 0 : i32
// CHECK-NEXT:    return %[[OK]]
// CHECK-NEXT:  ^[[FAIL]]:
// CHECK-NEXT:    %[[POINTER:.*]] = builtin.unrealized_conversion_cast %[[CONTEXT]] : !qtale.context to !llvm.ptr
// CHECK-NEXT:    %[[FIELD:.*]] = llvm.getelementptr %[[POINTER]][56]
// CHECK-NEXT:    %[[TEXT:.*]] = llvm.mlir.addressof @[[FIRST]]
// CHECK-NEXT:    llvm.store %[[TEXT]], %[[FIELD]]
// CHECK-NEXT:    %[[INVALID:.*]] = arith.constant 1 : i32
// CHECK-NEXT:    return %[[INVALID]]
// CHECK-NEXT:  ^[[LIMIT]]:
// CHECK-NEXT:    %[[EIGHT:.*]] = arith.constant 8 : i32
// CHECK-NEXT:    return %[[EIGHT]]
func.func @two(%context: !qtale.context, %a: i1, %b: i1) -> i32 {
  func.call @first() : () -> ()
  cf.assert %a, "first"
  func.call @second() : () -> ()
  cf.assert %b, "second" {qtale.code = 8 : i32}
  %ok = arith.constant 0 : i32
  return %ok : i32
}

// In a sequential loop, which all threads execute alike.
// CHECK-LABEL: @loop
// CHECK:       ^[[HEAD:bb1]]:
// CHECK:         cf.cond_br %{{.*}}, ^[[NEXT:.*]], ^[[FAIL:.*]]
// CHECK:       ^[[NEXT]]:
// CHECK-NEXT:    cf.cond_br %{{.*}}, ^[[HEAD]], ^[[DONE:.*]]
// CHECK:       ^[[FAIL]]:
// CHECK:         llvm.mlir.addressof @[[EACH]]
// CHECK:         arith.constant 1
func.func @loop(%context: !qtale.context, %a: i1, %again: i1) -> i32 {
  cf.br ^head
^head:
  cf.assert %a, "each time"
  cf.cond_br %again, ^head, ^done
^done:
  %ok = arith.constant 0 : i32
  return %ok : i32
}
