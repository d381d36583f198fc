// RUN: sed s/LEVEL/x86-64-v4+vnni/ %s | qtale-opt --qtale-lower-dot | FileCheck %s --check-prefix=AVX512 --implicit-check-not=qtale.dot
// RUN: sed s/LEVEL/x86-64-v3+avxvnni/ %s | qtale-opt --qtale-lower-dot | FileCheck %s --check-prefix=AVXVNNI --implicit-check-not=qtale.dot
// RUN: sed s/LEVEL/x86-64-v3/ %s | qtale-opt --qtale-lower-dot | FileCheck %s --check-prefix=AVX2 --implicit-check-not=qtale.dot
// RUN: sed s/LEVEL/x86-64-v2/ %s | qtale-opt --qtale-lower-dot | FileCheck %s --check-prefix=GENERIC --implicit-check-not=qtale.dot --implicit-check-not=call_intrinsic
// RUN: sed s/LEVEL/armv8-a/ %s | qtale-opt --qtale-lower-dot | FileCheck %s --check-prefix=GENERIC --implicit-check-not=qtale.dot --implicit-check-not=call_intrinsic
// RUN: sed s/LEVEL/z80/ %s | not qtale-opt --qtale-lower-dot 2>&1 | FileCheck %s --check-prefix=UNKNOWN
//
// Each instruction set's own instruction. 8-bit weights would saturate vpmaddubsw,
// so AVX2 takes it for 4 bits only.

// UNKNOWN: error: needs a module named after a CPU level

module @"LEVEL" {
  // AVX512-LABEL: @four
  // AVX512:         llvm.call_intrinsic "llvm.x86.avx512.vpdpbusd.512"(%arg2, %arg0, %{{.*}}) : (vector<16xi32>, vector<64xi8>, vector<64xi8>) -> vector<16xi32>
  // AVX512-NOT:     llvm.call_intrinsic

  // AVXVNNI-LABEL: @four
  // AVXVNNI:         %[[LOW:.*]] = llvm.call_intrinsic "llvm.x86.avx512.vpdpbusd.256"(%{{.*}}) : (vector<8xi32>, vector<32xi8>, vector<32xi8>) -> vector<8xi32>
  // AVXVNNI:         %[[HALF:.*]] = vector.insert_strided_slice %[[LOW]], %arg2 {offsets = [0], strides = [1]}
  // AVXVNNI:         %[[HIGH:.*]] = llvm.call_intrinsic "llvm.x86.avx512.vpdpbusd.256"
  // AVXVNNI:         vector.insert_strided_slice %[[HIGH]], %[[HALF]] {offsets = [8], strides = [1]}
  // AVXVNNI-NOT:     llvm.call_intrinsic

  // AVX2-LABEL: @four
  // AVX2:         llvm.call_intrinsic "llvm.x86.avx2.pmadd.ub.sw"(%{{.*}}) : (vector<32xi8>, vector<32xi8>) -> vector<16xi16>
  // AVX2:         llvm.call_intrinsic "llvm.x86.avx2.pmadd.wd"(%{{.*}}) : (vector<16xi16>, vector<16xi16>) -> vector<8xi32>
  // AVX2:         llvm.call_intrinsic "llvm.x86.avx2.pmadd.ub.sw"
  // AVX2:         llvm.call_intrinsic "llvm.x86.avx2.pmadd.wd"

  // GENERIC-LABEL: @four
  // GENERIC-COUNT-4: arith.muli %{{.*}} : vector<16xi32>
  // GENERIC-NOT:     arith.muli
  func.func @four(%w: vector<64xi8>, %x: i32, %acc: vector<16xi32>) -> vector<16xi32> {
    %s = qtale.dot %w, %x, %acc {bits = 4} : vector<64xi8>, vector<16xi32>
    return %s : vector<16xi32>
  }

  // AVX512-LABEL: @eight
  // AVX512:         llvm.call_intrinsic "llvm.x86.avx512.vpdpbusd.512"
  // AVXVNNI-LABEL: @eight
  // AVXVNNI-COUNT-2: llvm.call_intrinsic "llvm.x86.avx512.vpdpbusd.256"
  // GENERIC-LABEL: @eight
  // AVX2-LABEL: @eight
  // AVX2-NOT:     llvm.call_intrinsic
  // AVX2-COUNT-4: arith.muli %{{.*}} : vector<16xi32>
  func.func @eight(%w: vector<64xi8>, %x: i32, %acc: vector<16xi32>) -> vector<16xi32> {
    %s = qtale.dot %w, %x, %acc {bits = 8} : vector<64xi8>, vector<16xi32>
    return %s : vector<16xi32>
  }
}
