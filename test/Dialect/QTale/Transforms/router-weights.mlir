// RUN: qtale-opt %s --qtale-quantize-weights="weights=int4" | FileCheck %s --check-prefixes=CHECK,F16,INT
// RUN: qtale-opt %s --qtale-quantize-weights="weights=int8 group=64" | FileCheck %s --check-prefixes=CHECK,F16,INT
// RUN: qtale-opt %s --qtale-quantize-weights="weights=f16" | FileCheck %s --check-prefixes=CHECK,F16
// RUN: qtale-opt %s --qtale-quantize-weights="weights=bf16" | FileCheck %s --check-prefixes=CHECK,BF16
// RUN: qtale-opt %s --qtale-quantize-weights="weights=keep" | FileCheck %s --check-prefixes=CHECK,KEEP
// RUN: qtale-opt %s --qtale-quantize-weights="weights=int4" --qtale-pack-weights --qtale-verify-stage="stage=packed" | FileCheck %s --check-prefix=PACKED
// RUN: not qtale-opt %s --qtale-verify-stage="stage=packed" 2>&1 | FileCheck %s --check-prefix=UNPACKED
//
// A router's matrix is never integers, and neither are activations for it; its small
// weights stay as they are. In @main the same routers are matmuls of ONNX: they decide
// alike, so they read the same numbers.

#w = #qtale.source<file = "w.bin", offset = 0, bytes = 8192, type = tensor<32x64xf32>>
#half = #qtale.source<file = "w.bin", offset = 0, bytes = 4096, type = tensor<32x64xf16>>
#small = #qtale.source<file = "w.bin", offset = 0, bytes = 256, type = tensor<2x32xf32>>
#norm = #qtale.source<file = "w.bin", offset = 0, bytes = 64, type = tensor<32xf16>>

// F16:    qtale.weight @fc1 : tensor<32x64xf16> = #qtale.cast<#qtale.source<{{.*}}>, f16>
// BF16:   qtale.weight @fc1 : tensor<32x64xbf16> = #qtale.cast<#qtale.source<{{.*}}>, bf16>
// KEEP:   qtale.weight @fc1 : tensor<32x64xf32> = #qtale.source<
// PACKED: qtale.weight @fc1 : tensor<32x64xf16, #qtale.packed<f16>> = #qtale.pack<#qtale.cast<#qtale.source<{{.*}}>, f16>>
qtale.weight @fc1 : tensor<32x64xf32> = #w
// Stored so: no cast.
// F16:    qtale.weight @down : tensor<32x64xf16> = #qtale.source<
// BF16:   qtale.weight @down : tensor<32x64xbf16> = #qtale.cast<#qtale.source<{{.*}}>, bf16>
// KEEP:   qtale.weight @down : tensor<32x64xf16> = #qtale.source<
// PACKED: qtale.weight @down : tensor<32x64xf16, #qtale.packed<f16>> = #qtale.pack<#qtale.source<
qtale.weight @down : tensor<32x64xf16> = #half
// CHECK:  qtale.weight @norm : tensor<32xf32> = #qtale.cast<#qtale.source<{{.*}}>, f32>
// PACKED: qtale.weight @norm : tensor<32xf32> =
qtale.weight @norm : tensor<32xf32> = #qtale.cast<#norm, f32>
// CHECK:  qtale.weight @fc2 : tensor<2x32xf32> = #qtale.source<
// PACKED: qtale.weight @fc2 : tensor<2x32xf32> = #qtale.source<
qtale.weight @fc2 : tensor<2x32xf32> = #small
// The matmul's copy of it.
// F16:    qtale.weight @[[COPY:fc2_.*]] : tensor<2x32xf32> = #qtale.source<
// BF16:   qtale.weight @[[COPY:fc2_.*]] : tensor<2x32xf32> = #qtale.source<
// PACKED: qtale.weight @[[COPY:fc2_.*]] : tensor<2x32xf32, #qtale.packed<f32>> = #qtale.pack<#qtale.source<
// Other matrices are what was asked for.
// INT:    qtale.weight @other : tensor<32x64xf32, #{{.*}}> = #qtale.quantize<
qtale.weight @other : tensor<32x64xf32> = #w
qtale.weight @vector : tensor<64xf32> = #qtale.source<file = "w.bin", offset = 0, bytes = 256, type = tensor<64xf32>>

// CHECK-LABEL: func.func @step
func.func @step(%x: tensor<?x64xf32>, %two: tensor<2xf32>) -> (tensor<?xf32>, tensor<?xf32>) {
  %fc1 = qtale.param @fc1 : tensor<32x64xf32>
  %down = qtale.param @down : tensor<32x64xf16>
  %norm = qtale.param @norm : tensor<32xf32>
  %fc2 = qtale.param @fc2 : tensor<2x32xf32>
  %vector = qtale.param @vector : tensor<64xf32>
  // F16: qtale.router mlp2({{.*}}) {{.*}} : tensor<?x64xf32>, tensor<32x64xf16>, tensor<32xf32>, tensor<32xf32>, tensor<2x32xf32>, tensor<2xf32>
  // UNPACKED: [[@LINE+1]]:{{.*}}error: its weight is not packed: 'tensor<32x64xf32>'
  %p = qtale.router mlp2(%x, %fc1, %norm, %norm, %fc2, %two) {epsilon = 1.0e-5 : f32} : tensor<?x64xf32>, tensor<32x64xf32>, tensor<32xf32>, tensor<32xf32>, tensor<2x32xf32>, tensor<2xf32> -> tensor<?xf32>
  %up = tensor.empty() : tensor<1x32xf32>
  // UNPACKED: [[@LINE+1]]:{{.*}}error: its weight is not packed: 'tensor<32x64xf16>'
  %q = qtale.router gate(%x, %vector, %down, %up) {epsilon = 1.0e-5 : f32} : tensor<?x64xf32>, tensor<64xf32>, tensor<32x64xf16>, tensor<1x32xf32> -> tensor<?xf32>
  return %p, %q : tensor<?xf32>, tensor<?xf32>
}

// F16-LABEL:    func.func @main
// PACKED-LABEL: func.func @main
func.func @main(%x: tensor<?x64xf32>) -> (tensor<?x2xf32>, tensor<?x32xf32>) {
  %fc1 = qtale.param @fc1 : tensor<32x64xf32>
  %fc2 = qtale.param @fc2 : tensor<2x32xf32>
  // F16: %[[FC2:.*]] = qtale.param @[[COPY]]
  // F16: qtale.matmul %{{.*}}, %{{.*}} : tensor<?x64xf32>, tensor<32x64xf16> -> tensor<?x32xf32>
  // F16: qtale.matmul %{{.*}}, %[[FC2]] : tensor<?x32xf32>, tensor<2x32xf32> -> tensor<?x2xf32>
  %h = qtale.matmul %x, %fc1 : tensor<?x64xf32>, tensor<32x64xf32> -> tensor<?x32xf32>
  %y = qtale.matmul %h, %fc2 : tensor<?x32xf32>, tensor<2x32xf32> -> tensor<?x2xf32>
  return %y, %h : tensor<?x2xf32>, tensor<?x32xf32>
}

// INT-LABEL: func.func @others
// INT:       qtale.matmul %{{.*}} : tensor<?x64xf32, #qtale.int_rows<{{.*}}>>, tensor<32x64xf32, #{{.*}}>
func.func @others(%x: tensor<?x64xf32>) -> tensor<?x32xf32> {
  %w = qtale.param @other : tensor<32x64xf32>
  %y = qtale.matmul %x, %w : tensor<?x64xf32>, tensor<32x64xf32> -> tensor<?x32xf32>
  return %y : tensor<?x32xf32>
}
