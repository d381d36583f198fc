// RUN: qtale-opt %s --pass-pipeline="builtin.module(builtin.module(qtale-verbs-to-kernels))" | FileCheck %s --implicit-check-not="qtale.router " --implicit-check-not="qtale.keep " --implicit-check-not="!qtale.kv_cache"
//
// The verbs of routing: units are numbers that kernels take, so layers share them;
// scratch stands behind the results; a scatter updates its base; what the runtime
// says about a cache's memory is checked outside of the kernel, by all threads.

#w = #qtale.source<file = "w.bin", offset = 0, bytes = 20480, type = tensor<80x64xf32>>
qtale.weight @fc1 : tensor<80x64xf32, #qtale.packed<f32>> = #qtale.pack<#w> {offset = 0}

module @"x86-64-v3" {
  // CHECK-LABEL: func.func @step
  // CHECK-SAME:    (%[[CONTEXT:.*]]: !qtale.context, %[[X:.*]]: tensor<?x64xf32>, %[[SEQ:.*]]: tensor<?xi32>, %[[POS:.*]]: tensor<?xi32>, %[[T:.*]]: tensor<?x2xf32>, %[[B:.*]]: tensor<?xi32>, %[[R:[^:]*]]: tensor<80xf32>
  func.func @step(%context: !qtale.context, %x: tensor<?x64xf32>, %seq: tensor<?xi32>, %pos: tensor<?xi32>, %t: tensor<?x2xf32>, %b: tensor<?xi32>, %r: tensor<80xf32>, %fc2: tensor<2x80xf32>, %two: tensor<2xf32>, %one: tensor<1xf32>, %fc: tensor<1x64xf32>, %norm: tensor<64xf32>, %up: tensor<1x80xf32>, %c0: !qtale.kv_cache<1x8xf32>, %c1: !qtale.kv_cache<1x8xf32>, %c2: !qtale.kv_cache<1x8xf32, ragged>)
      -> (tensor<?xf32>, tensor<?xf32>, tensor<?xi32>, tensor<?x64xf32>) {
    %fc1 = qtale.param @fc1 : tensor<80x64xf32, #qtale.packed<f32>>
    // The matmul's results stand in scratch.
    // CHECK:      %[[P:.*]]:2 = qtale.launch @[[MLP2:router.*]](%[[CONTEXT]] : !qtale.context) ins(%[[X]],
    // CHECK-SAME:   outs(%{{.*}}, %{{.*}} : tensor<?xf32>, tensor<?x80xf32>)
    %p = qtale.router mlp2(%x, %fc1, %r, %r, %fc2, %two) {epsilon = 1.0e-5 : f32} : tensor<?x64xf32>, tensor<80x64xf32, #qtale.packed<f32>>, tensor<80xf32>, tensor<80xf32>, tensor<2x80xf32>, tensor<2xf32> -> tensor<?xf32>
    // CHECK:      qtale.launch @[[LINEAR:router.*]](%[[CONTEXT]] : !qtale.context) ins(%[[X]],
    // CHECK-SAME:   outs(%{{.*}} : tensor<?xf32>)
    %l = qtale.router linear(%x, %fc, %one) {epsilon = 1.0e-5 : f32} : tensor<?x64xf32>, tensor<1x64xf32>, tensor<1xf32> -> tensor<?xf32>
    // Normed rows, and what the matmul makes of them.
    // CHECK:      qtale.launch @[[GATE:router.*]](%[[CONTEXT]] : !qtale.context) ins(%[[X]],
    // CHECK-SAME:   outs(%{{.*}}, %{{.*}} : tensor<?xf32>, tensor<?x144xf32>)
    %g = qtale.router gate(%x, %norm, %fc1, %up) {epsilon = 1.0e-5 : f32} : tensor<?x64xf32>, tensor<64xf32>, tensor<80x64xf32, #qtale.packed<f32>>, tensor<1x80xf32> -> tensor<?xf32>

    // CHECK:      %[[ZERO:.*]] = arith.constant 0 : index
    // CHECK:      %[[K:.*]]:2 = qtale.launch @[[KEEP:keep.*]](%[[CONTEXT]], %[[ZERO]] : !qtale.context, index) ins(%[[P]]#0, %[[T]], %[[B]], %[[SEQ]], %[[POS]] :
    // CHECK-SAME:   outs(%{{.*}}, %{{.*}} : tensor<?xi1>, tensor<?xi32>)
    %keep, %left = qtale.keep %p, %t, %b, %seq, %pos {unit = 0, always = 2} : tensor<?xf32>, tensor<?x2xf32>, tensor<?xi32>, tensor<?xi32>, tensor<?xi32> -> tensor<?xi1>, tensor<?xi32>
    // CHECK:      %[[ONE:.*]] = arith.constant 1 : index
    // CHECK:      qtale.launch @[[KEEP]](%[[CONTEXT]], %[[ONE]] : !qtale.context, index) ins(%{{[^,]*}}, %[[T]], %[[K]]#1,
    %next, %rest = qtale.keep %l, %t, %left, %seq, %pos {unit = 1, always = 2} : tensor<?xf32>, tensor<?x2xf32>, tensor<?xi32>, tensor<?xi32>, tensor<?xi32> -> tensor<?xi1>, tensor<?xi32>
    // CHECK:      qtale.launch @[[RECORD:record.*]](%[[CONTEXT]], %{{.*}} : !qtale.context, index) ins(%[[P]]#0, %[[K]]#0 : tensor<?xf32>, tensor<?xi1>)
    qtale.record %p, %keep {unit = 0} : tensor<?xf32>, tensor<?xi1>
    // CHECK:      qtale.launch @[[RECORD]](
    qtale.record %l, %next {unit = 1} : tensor<?xf32>, tensor<?xi1>

    // CHECK:      %[[TWO:.*]] = arith.constant 2 : index
    // CHECK:      %[[S:.*]]:2 = qtale.launch @[[RESERVE:kv_reserve.*]](%[[CONTEXT]], %[[TWO]] : !qtale.context, index) ins(%[[K]]#0, %[[SEQ]], %[[POS]] :
    // CHECK-SAME:   outs(%{{.*}}, %{{.*}} : tensor<?xi32>, tensor<1xi32>)
    // CHECK:      %[[CODE:.*]] = tensor.extract %[[S]]#1[
    // CHECK:      %[[OK:.*]] = arith.cmpi eq, %[[CODE]], %{{.*}} : i32
    // CHECK:      cf.assert %[[OK]], "no memory for a cache's next block" {qtale.code = 5 : i32}
    %slots = qtale.kv_reserve %c2, %keep, %seq, %pos : !qtale.kv_cache<1x8xf32, ragged>, tensor<?xi1>, tensor<?xi32>, tensor<?xi32> -> tensor<?xi32>
    // CHECK:      qtale.launch @[[COPY:kv_copy.*]](%[[CONTEXT]], %{{.*}}, %{{.*}} : !qtale.context, index, index) ins(%[[K]]#0, %[[SEQ]], %[[POS]] :
    qtale.kv_copy %c1, %c0, %keep, %seq, %pos : !qtale.kv_cache<1x8xf32>, !qtale.kv_cache<1x8xf32>, tensor<?xi1>, tensor<?xi32>, tensor<?xi32>

    // CHECK:      %[[KEPT:.*]]:2 = qtale.launch @[[COMPACT:compact.*]](%[[CONTEXT]] : !qtale.context) ins(%[[K]]#0 : tensor<?xi1>) outs(%{{.*}}, %{{.*}} : tensor<?xi32>, tensor<1xi32>)
    %kept, %count = qtale.compact %keep : tensor<?xi1> -> tensor<?xi32>, tensor<1xi32>
    // CHECK-NOT:  qtale.launch @[[COMPACT]](
    // CHECK:      qtale.launch @compact
    %skipped, %others = qtale.compact %keep {skipped} : tensor<?xi1> -> tensor<?xi32>, tensor<1xi32>
    %c = arith.constant 0 : index
    %n = tensor.extract %count[%c] : tensor<1xi32>
    %zero = arith.constant 0 : i32
    %any = arith.cmpi ne, %n, %zero : i32
    // In a branch the context is still the entry's.
    // CHECK:      scf.if
    // CHECK:        %[[ROWS:.*]] = qtale.launch @gather_rows{{.*}}(%[[CONTEXT]] : !qtale.context) ins(%[[X]], %[[KEPT]]#0 :
    // CHECK:        %[[Y:.*]] = qtale.launch @scatter_rows(%[[CONTEXT]] : !qtale.context) ins(%[[ROWS]], %[[KEPT]]#0 : tensor<?x64xf32>, tensor<?xi32>) outs(%[[X]] : tensor<?x64xf32>) {update} -> tensor<?x64xf32>
    // CHECK:        scf.yield %[[Y]]
    %y = scf.if %any -> tensor<?x64xf32> {
      %rows = qtale.gather_rows %x, %kept : tensor<?x64xf32>, tensor<?xi32> -> tensor<?x64xf32>
      %h = qtale.scatter_rows %rows, %kept, %x : tensor<?x64xf32>, tensor<?xi32>, tensor<?x64xf32>
      scf.yield %h : tensor<?x64xf32>
    } else {
      scf.yield %x : tensor<?x64xf32>
    }
    return %g, %p, %slots, %y : tensor<?xf32>, tensor<?xf32>, tensor<?xi32>, tensor<?x64xf32>
  }

  // The matmul over all rows, then a row each.
  // CHECK: func.func private @[[MLP2]](
  // CHECK: scf.forall
  // CHECK: scf.forall
  // CHECK: math.exp
  // CHECK: func.func private @[[LINEAR]](
  // CHECK: scf.forall
  // CHECK: func.func private @[[GATE]](
  // CHECK: scf.forall
  // CHECK: scf.forall
  // CHECK: scf.forall
  // CHECK: math.tanh

  // One thread, and a barrier that the others wait at.
  // CHECK:      func.func private @[[KEEP]](%[[CONTEXT:.*]]: !qtale.context, %[[UNIT:.*]]: index,
  // CHECK:        %[[THREAD:.*]] = qtale.thread %[[CONTEXT]]
  // CHECK:        %[[FIRST:.*]] = arith.cmpi eq, %[[THREAD]],
  // CHECK:        scf.if %[[FIRST]] {
  // CHECK:          memref.load %{{.*}}[%{{.*}}, %[[UNIT]]] : memref<?x2xf32,
  // CHECK:        qtale.barrier %[[CONTEXT]]
  // CHECK:      func.func private @[[RECORD]](%[[CONTEXT:.*]]: !qtale.context, %[[UNIT:.*]]: index,
  // CHECK:        qtale.unit_record %[[CONTEXT]], %[[UNIT]] : memref<?xi8>, memref<?xf32>
  // CHECK:      func.func private @[[RESERVE]](%[[CONTEXT:.*]]: !qtale.context, %[[CACHE:.*]]: index,
  // CHECK:        scf.if
  // CHECK:          qtale.reserve_slots %[[CONTEXT]], %[[CACHE]],
  // CHECK:        qtale.barrier
  // CHECK:      func.func private @[[COPY]](%[[CONTEXT:.*]]: !qtale.context, %[[ABOVE:[^:]*]]: index, %[[BELOW:[^:]*]]: index,
  // CHECK:        scf.forall
  // CHECK:          qtale.kv_block %[[CONTEXT]], %[[BELOW]],
  // CHECK:          qtale.kv_block %[[CONTEXT]], %[[ABOVE]],
}
