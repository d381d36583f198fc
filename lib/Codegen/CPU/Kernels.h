//===- Kernels.h - The body of each kernel --------------------------------===//
//
// A builder stands in an empty function whose arguments are the verb's operands
// as buffers, then its results, then scratch. Buffers are [rows, columns] with the last
// dimension dense; matrices of weights are bytes in the layout of
// `#qtale.packed`, activations in integers bytes in that of `#qtale.int_rows`.
//
//===----------------------------------------------------------------------===//

#ifndef QTALE_LIB_CODEGEN_CPU_KERNELS_H
#define QTALE_LIB_CODEGEN_CPU_KERNELS_H

#include "KernelBuilder.h"

namespace qtale {

/// A packed matrix and its logical shape.
struct Matrix {
  explicit Matrix(mlir::RankedTensorType type)
      : packed(llvm::cast<PackedAttr>(type.getEncoding())),
        n(type.getDimSize(0)), k(type.getDimSize(1)) {}
  PackedAttr packed;
  int64_t n, k;
};

/// Where a matmul's sums go: out = sums + bias + residual; both may be null.
struct Epilogue {
  mlir::Value bias, residual, out;
};

// Rows.cpp
void buildEmbedding(KernelBuilder &b, mlir::Value ids, mlir::Value table,
                    Matrix matrix, mlir::Value out);
void buildGatherRows(KernelBuilder &b, mlir::Value input, mlir::Value rows,
                     mlir::Value out);
void buildScatterRows(KernelBuilder &b, mlir::Value values, mlir::Value rows,
                      mlir::Value out);
void buildQuantizeRows(KernelBuilder &b, mlir::Value input, IntRowsAttr format,
                       mlir::Value out);

// Norm.cpp
/// 1 / sqrt(mean(x^2) + epsilon) of a row.
mlir::Value inverseRMS(KernelBuilder &b, mlir::Value input, mlir::Value row,
                       mlir::FloatAttr epsilon);
void buildRMSNorm(KernelBuilder &b, mlir::Value input, mlir::Value scale,
                  mlir::FloatAttr epsilon, mlir::Value out);
void buildLayerNorm(KernelBuilder &b, mlir::Value input, mlir::Value scale,
                    mlir::Value bias, mlir::FloatAttr epsilon, mlir::Value out);

// Rope.cpp
struct RopeShape {
  int64_t heads;
  bool interleaved;
};
void buildRope(KernelBuilder &b, mlir::Value input, mlir::Value cos,
               mlir::Value sin, mlir::Value positions, RopeShape shape,
               mlir::Value out);

// FloatMatmul.cpp, IntMatmul.cpp
void buildFloatMatmul(KernelBuilder &b, const Level &level, mlir::Value input,
                      mlir::Value weight, Matrix matrix, Epilogue epilogue);
/// Integer weights; int8 activations where `format` is given, else float.
void buildIntMatmul(KernelBuilder &b, const Level &level, mlir::Value input,
                    IntRowsAttr format, mlir::Value weight, Matrix matrix,
                    Epilogue epilogue);

/// Float or integer, as the matrix says.
void buildMatmul(KernelBuilder &b, const Level &level, mlir::Value input,
                 IntRowsAttr format, mlir::Value weight, Matrix matrix,
                 Epilogue epilogue);

/// block(row, rows, tile, tiles) for all rows and tiles of 16 outputs: groups
/// of tiles in parallel; in each, blocks of the level's shape while there are
/// rows, then single rows. What one output sums does not depend on the block.
void forBlocks(
    KernelBuilder &b, mlir::Value rows, int64_t n, RegisterBlock many,
    llvm::function_ref<void(mlir::Value, int64_t, mlir::Value, int64_t)> block);
/// Writes sums [row + m][tile + t] through the epilogue.
void storeBlock(KernelBuilder &b, llvm::ArrayRef<mlir::Value> sums,
                mlir::Value row, int64_t rows, mlir::Value tile, int64_t tiles,
                int64_t n, Epilogue epilogue);

// KVCache.cpp; `context`, `index`: the cache's handle
struct CacheHandle {
  mlir::Value context, index;
  KVCacheType type;
};
void buildKVAppend(KernelBuilder &b, CacheHandle cache, mlir::Value keys,
                   mlir::Value values, mlir::Value sequences,
                   mlir::Value slots);
/// slots[row] and code[0], by one thread.
void buildKVReserve(KernelBuilder &b, CacheHandle cache, mlir::Value keep,
                    mlir::Value sequences, mlir::Value positions,
                    mlir::Value slots, mlir::Value code);
/// From the cache `belowIndex`, which has the same type.
void buildKVCopy(KernelBuilder &b, CacheHandle cache, mlir::Value belowIndex,
                 mlir::Value keep, mlir::Value sequences, mlir::Value slots);
/// Whether values are integers, with a scale for each slot and head.
bool hasScales(CacheHandle cache);
KVBlockOp loadBlock(KernelBuilder &b, CacheHandle cache, mlir::Value sequence,
                    mlir::Value block);

// Attention.cpp
struct AttentionShape {
  int64_t heads;
  mlir::FloatAttr scale, softcap; // softcap may be null
};
void buildAttention(KernelBuilder &b, CacheHandle cache, mlir::Value query,
                    mlir::Value sequences, mlir::Value slots,
                    AttentionShape shape, mlir::Value out);

// Router.cpp; `scratch` has routerScratch(…) columns
int64_t routerScratch(RouterOp router);
void buildRouter(KernelBuilder &b, const Level &level, RouterOp router,
                 mlir::Value input, mlir::ValueRange weights, mlir::Value out,
                 mlir::Value scratch);

// Decisions.cpp; one thread each
struct KeepInputs {
  mlir::Value probability, thresholds, budgets, sequences, positions;
};
void buildKeep(KernelBuilder &b, mlir::Value unit, KeepInputs inputs,
               int64_t always, mlir::Value keep, mlir::Value left);
void buildRecord(KernelBuilder &b, mlir::Value context, mlir::Value unit,
                 mlir::Value probability, mlir::Value keep);
void buildCompact(KernelBuilder &b, mlir::Value keep, bool skipped,
                  mlir::Value rows, mlir::Value count);

} // namespace qtale

#endif // QTALE_LIB_CODEGEN_CPU_KERNELS_H
