// RUN: sed s/LEVEL/x86-64-v4+vnni/ %s | qtale-opt --qtale-lower-dot | FileCheck %s --check-prefix=AVX512 --implicit-check-not=qtale.dot
// RUN: sed s/LEVEL/x86-64-v3+avxvnni/ %s | qtale-opt --qtale-lower-dot | FileCheck %s --check-prefix=AVXVNNI --implicit-check-not=qtale.dot
// RUN: sed s/LEVEL/x86-64-v3/ %s | qtale-opt --qtale-lower-dot | FileCheck %s --check-prefix=AVX2 --implicit-check-not=qtale.dot
// RUN: sed s/LEVEL/x86-64-v2/ %s | qtale-opt --qtale-lower-dot | FileCheck %s --check-prefix=GENERIC --implicit-check-not=qtale.dot --implicit-check-not=call_intrinsic
// RUN: sed s/LEVEL/armv8-a/ %s | qtale-opt --qtale-lower-dot | FileCheck %s --check-prefix=NEON --implicit-check-not=qtale.dot
// RUN: sed s/LEVEL/armv8.2-a+dotprod/ %s | qtale-opt --qtale-lower-dot | FileCheck %s --check-prefix=DOTPROD --implicit-check-not=qtale.dot
// RUN: sed s/LEVEL/armv8.6-a+i8mm/ %s | qtale-opt --qtale-lower-dot | FileCheck %s --check-prefix=I8MM --implicit-check-not=qtale.dot
// RUN: sed s/LEVEL/z80/ %s | not qtale-opt --qtale-lower-dot 2>&1 | FileCheck %s --check-prefix=UNKNOWN
//
// Each instruction set's own instruction. 8-bit weights would saturate vpmaddubsw,
// so AVX2 takes it for 4 bits only; sdot takes signed bytes, which 4 bits are.

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
  // AVX2:         llvm.call_intrinsic "llvm.x86.avx2.pmadd.ub.sw"
  // AVX2:         llvm.call_intrinsic "llvm.x86.avx2.pmadd.wd"(%{{.*}}) : (vector<16xi16>, vector<16xi16>) -> vector<8xi32>
  // AVX2:         llvm.call_intrinsic "llvm.x86.avx2.pmadd.wd"

  // A quarter of each operand; that of the input has its word four times.
  // I8MM-LABEL: @four
  // I8MM:         %[[X:.*]] = vector.broadcast %arg1 : i32 to vector<4xi32>
  // I8MM:         %[[BYTES:.*]] = vector.bitcast %[[X]] : vector<4xi32> to vector<16xi8>
  // I8MM:         %[[W:.*]] = vector.extract_strided_slice %arg0 {offsets = [0], sizes = [16]
  // I8MM:         %[[ACC:.*]] = vector.extract_strided_slice %arg2 {offsets = [0], sizes = [4]
  // I8MM:         %[[SUM:.*]] = llvm.call_intrinsic "llvm.aarch64.neon.sdot.v4i32.v16i8"(%[[ACC]], %[[W]], %[[BYTES]]) : (vector<4xi32>, vector<16xi8>, vector<16xi8>) -> vector<4xi32>
  // I8MM:         vector.insert_strided_slice %[[SUM]], %arg2 {offsets = [0]
  // I8MM-COUNT-3: llvm.call_intrinsic "llvm.aarch64.neon.sdot.v4i32.v16i8"
  // I8MM-NOT:     llvm.call_intrinsic

  // DOTPROD-LABEL: @four
  // DOTPROD-COUNT-4: llvm.call_intrinsic "llvm.aarch64.neon.sdot.v4i32.v16i8"
  // DOTPROD-NOT:     llvm.call_intrinsic

  // Two products of 15 or 128 by 127 fit 16 bits.
  // NEON-LABEL: @four
  // NEON:         %[[PRODUCTS:.*]] = arith.muli %{{.*}} : vector<16xi16>
  // NEON:         %[[LOW:.*]] = vector.extract_strided_slice %[[PRODUCTS]] {offsets = [0]
  // NEON:         %[[HIGH:.*]] = vector.extract_strided_slice %[[PRODUCTS]] {offsets = [8]
  // NEON:         %[[TWOS:.*]] = llvm.call_intrinsic "llvm.aarch64.neon.addp.v8i16"(%[[LOW]], %[[HIGH]]) : (vector<8xi16>, vector<8xi16>) -> vector<8xi16>
  // NEON:         %[[FOURS:.*]] = llvm.call_intrinsic "llvm.aarch64.neon.saddlp.v4i32.v8i16"(%[[TWOS]]) : (vector<8xi16>) -> vector<4xi32>
  // NEON:         arith.addi %{{.*}}, %[[FOURS]] : vector<4xi32>
  // NEON-COUNT-3: llvm.aarch64.neon.saddlp

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
  // I8MM-LABEL: @eight
  // I8MM-COUNT-4: llvm.call_intrinsic "llvm.aarch64.neon.usdot.v4i32.v16i8"
  // DOTPROD-LABEL: @eight
  // DOTPROD-NOT:     llvm.call_intrinsic
  // DOTPROD-COUNT-4: arith.muli %{{.*}} : vector<16xi32>
  // NEON-LABEL: @eight
  // NEON-NOT:     llvm.call_intrinsic
  // NEON-COUNT-4: arith.muli %{{.*}} : vector<16xi32>
  // GENERIC-LABEL: @eight
  // Bytes 0 and 2 of each lane, then 1 and 3; of both halves.
  // AVX2-LABEL: @eight
  // AVX2:         %[[EVEN:.*]] = arith.andi %{{.*}} : vector<16xi16>
  // AVX2:         llvm.call_intrinsic "llvm.x86.avx2.pmadd.wd"(%[[EVEN]], %{{.*}})
  // AVX2:         %[[ODD:.*]] = arith.shrui %{{.*}} : vector<16xi16>
  // AVX2:         llvm.call_intrinsic "llvm.x86.avx2.pmadd.wd"(%[[ODD]], %{{.*}})
  // AVX2-COUNT-2: llvm.call_intrinsic "llvm.x86.avx2.pmadd.wd"
  // AVX2-NOT:     llvm.call_intrinsic
  func.func @eight(%w: vector<64xi8>, %x: i32, %acc: vector<16xi32>) -> vector<16xi32> {
    %s = qtale.dot %w, %x, %acc {bits = 8} : vector<64xi8>, vector<16xi32>
    return %s : vector<16xi32>
  }

  // Sums of eight dots are widened at once; the ninth begins anew.
  // AVX2-LABEL:    @nine
  // AVX2-COUNT-16: llvm.call_intrinsic "llvm.x86.avx2.pmadd.ub.sw"
  // AVX2:          llvm.call_intrinsic "llvm.x86.avx2.pmadd.wd"
  // AVX2:          llvm.call_intrinsic "llvm.x86.avx2.pmadd.wd"
  // AVX2-COUNT-2:  llvm.call_intrinsic "llvm.x86.avx2.pmadd.ub.sw"
  // AVX2-COUNT-2:  llvm.call_intrinsic "llvm.x86.avx2.pmadd.wd"
  // AVX2-NOT:      llvm.call_intrinsic
  // AVX512-LABEL:   @nine
  // AVX512-COUNT-9: llvm.call_intrinsic "llvm.x86.avx512.vpdpbusd.512"
  func.func @nine(%w: vector<64xi8>, %x: i32, %acc: vector<16xi32>) -> vector<16xi32> {
    %1 = qtale.dot %w, %x, %acc {bits = 4} : vector<64xi8>, vector<16xi32>
    %2 = qtale.dot %w, %x, %1 {bits = 4} : vector<64xi8>, vector<16xi32>
    %3 = qtale.dot %w, %x, %2 {bits = 4} : vector<64xi8>, vector<16xi32>
    %4 = qtale.dot %w, %x, %3 {bits = 4} : vector<64xi8>, vector<16xi32>
    %5 = qtale.dot %w, %x, %4 {bits = 4} : vector<64xi8>, vector<16xi32>
    %6 = qtale.dot %w, %x, %5 {bits = 4} : vector<64xi8>, vector<16xi32>
    %7 = qtale.dot %w, %x, %6 {bits = 4} : vector<64xi8>, vector<16xi32>
    %8 = qtale.dot %w, %x, %7 {bits = 4} : vector<64xi8>, vector<16xi32>
    %9 = qtale.dot %w, %x, %8 {bits = 4} : vector<64xi8>, vector<16xi32>
    return %9 : vector<16xi32>
  }

  // AVX2-LABEL: @signed
  // AVX2-NOT:     llvm.call_intrinsic
  // I8MM-LABEL: @signed
  // I8MM-COUNT-4: llvm.call_intrinsic "llvm.aarch64.neon.sdot.v4i32.v16i8"
  // DOTPROD-LABEL: @signed
  // DOTPROD-COUNT-4: llvm.call_intrinsic "llvm.aarch64.neon.sdot.v4i32.v16i8"
  // NEON-LABEL: @signed
  // NEON-COUNT-4: llvm.aarch64.neon.saddlp
  // AVX512-LABEL: @signed
  // AVX512-NOT:     llvm.call_intrinsic
  // AVX512-COUNT-4: arith.muli %{{.*}} : vector<16xi32>
  func.func @signed(%w: vector<64xi8>, %x: i32, %acc: vector<16xi32>) -> vector<16xi32> {
    %s = qtale.dot %w, %x, %acc {bits = 8, signed_weights} : vector<64xi8>, vector<16xi32>
    return %s : vector<16xi32>
  }

  // Two products of -128 by -128 don't fit 16 bits.
  // NEON-LABEL: @full
  // NEON-NOT:     addp.v8i16
  // NEON:         %[[LOW:.*]] = llvm.call_intrinsic "llvm.aarch64.neon.saddlp.v4i32.v8i16"
  // NEON:         %[[HIGH:.*]] = llvm.call_intrinsic "llvm.aarch64.neon.saddlp.v4i32.v8i16"
  // NEON:         llvm.call_intrinsic "llvm.aarch64.neon.addp.v4i32"(%[[LOW]], %[[HIGH]])
  // DOTPROD-LABEL: @full
  // DOTPROD-COUNT-4: llvm.call_intrinsic "llvm.aarch64.neon.sdot.v4i32.v16i8"
  func.func @full(%w: vector<64xi8>, %x: i32, %acc: vector<16xi32>) -> vector<16xi32> {
    %s = qtale.dot %w, %x, %acc {bits = 8, signed_weights, full_input} : vector<64xi8>, vector<16xi32>
    return %s : vector<16xi32>
  }
}
