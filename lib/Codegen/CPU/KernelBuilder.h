//===- KernelBuilder.h - Writes kernels briefly ---------------------------===//
//
//   KernelBuilder b(…);
//   b.parallel(rows, [&](Value row) {
//     b.loop(0, columns, 16, [&](Value k) { b.store(b.load(x, {row, k}), …);
//     });
//   });
//
// Nothing here knows a kernel: loops, constants, vectors of 16 lanes.
//
//===----------------------------------------------------------------------===//

#ifndef QTALE_LIB_CODEGEN_CPU_KERNELBUILDER_H
#define QTALE_LIB_CODEGEN_CPU_KERNELBUILDER_H

#include "qtale/Codegen/CPU/Level.h"
#include "qtale/Dialect/QTale/IR/QTale.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"

namespace qtale {

/// Lanes of the vectors that kernels are written in.
inline constexpr int64_t lanes = PackedAttr::tileRows;

class KernelBuilder : public mlir::ImplicitLocOpBuilder {
public:
  using ImplicitLocOpBuilder::ImplicitLocOpBuilder;
  using Body = llvm::function_ref<void(mlir::Value)>;
  using Carried = llvm::function_ref<llvm::SmallVector<mlir::Value>(
      mlir::Value, mlir::ValueRange)>;

  // Constants and arithmetic on index.
  mlir::Value index(int64_t value);
  mlir::Value f32(double value);
  mlir::Value i32(int32_t value);
  mlir::Value add(mlir::Value a, mlir::Value b);
  mlir::Value add(mlir::Value a, int64_t b) { return add(a, index(b)); }
  mlir::Value sub(mlir::Value a, mlir::Value b);
  mlir::Value mul(mlir::Value a, int64_t b);
  mlir::Value div(mlir::Value a, int64_t b); // non-negative
  mlir::Value divUp(mlir::Value a, mlir::Value b);
  mlir::Value rem(mlir::Value a, int64_t b);
  mlir::Value min(mlir::Value a, mlir::Value b);
  /// An i32 or i64 as index, clamped to [0, limit).
  mlir::Value clampedIndex(mlir::Value value, int64_t limit);
  mlir::Value less(mlir::Value a, mlir::Value b); // non-negative

  /// How many threads share the kernel's work.
  mlir::Value threads();

  // Control flow.
  void parallel(mlir::Value count, Body body);
  void loop(mlir::Value from, mlir::Value to, int64_t step, Body body);
  void loop(int64_t from, int64_t to, int64_t step, Body body);
  llvm::SmallVector<mlir::Value> loop(mlir::Value from, mlir::Value to,
                                      int64_t step, mlir::ValueRange init,
                                      Carried body);
  void ifElse(mlir::Value condition, llvm::function_ref<void()> then,
              llvm::function_ref<void()> otherwise = nullptr);

  // Buffers.
  /// f32 [rows, 16] on each thread's stack; outside of loops.
  mlir::Value scratch(int64_t rows);
  mlir::Value dim(mlir::Value buffer, int64_t axis);
  mlir::Value loadScalar(mlir::Value buffer, mlir::ValueRange at);
  /// An i32 or i64, as index.
  mlir::Value loadIndex(mlir::Value buffer, mlir::ValueRange at);
  void storeScalar(mlir::Value value, mlir::Value buffer, mlir::ValueRange at);
  /// `size` elements (default: 16) of the last dimension.
  mlir::Value load(mlir::Value buffer, mlir::ValueRange at,
                   int64_t size = lanes);
  void store(mlir::Value vector, mlir::Value buffer, mlir::ValueRange at);
  /// `size` elements of another type, out of bytes.
  mlir::Value loadAs(mlir::Type element, int64_t size, mlir::Value bytes,
                     mlir::ValueRange at);
  void storeBytes(mlir::Value vector, mlir::Value bytes, mlir::ValueRange at);

  // Vectors.
  mlir::VectorType f32x(int64_t size = lanes);
  mlir::VectorType i32x(int64_t size = lanes);
  mlir::Value splat(mlir::Value scalar, int64_t size = lanes);
  mlir::Value zeros(mlir::VectorType type);
  mlir::Value fma(mlir::Value a, mlir::Value b, mlir::Value c);
  mlir::Value toF32(mlir::Value value); // from f16, bf16, f32
  mlir::Value fromF32(mlir::Value value, mlir::Type element);
  /// Sum in a fixed tree: lanes i and i + size/2, and so on. Size a power of 2.
  mlir::Value sum(mlir::Value vector);
  /// The vector, with zeros behind, as long as `size`.
  mlir::Value widen(mlir::Value vector, int64_t size);
  /// Both, one behind the other.
  mlir::Value concat(mlir::Value low, mlir::Value high);

  /// body(column, size) for columns 0, 16, 32 … of `columns`; the last piece
  /// may be shorter.
  void columns(int64_t columns,
               llvm::function_ref<void(mlir::Value, int64_t)> body);
  /// Sum over `columns` of term(column, size), vectors of f32: lane i adds the
  /// columns i, i + 16, …, then the lanes are summed. The same order always.
  mlir::Value
  sumColumns(int64_t columns,
             llvm::function_ref<mlir::Value(mlir::Value, int64_t)> term);
};

} // namespace qtale

#endif // QTALE_LIB_CODEGEN_CPU_KERNELBUILDER_H
