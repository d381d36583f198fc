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

// Rows.cpp
void buildEmbedding(KernelBuilder &b, mlir::Value ids, mlir::Value table,
                    Matrix matrix, mlir::Value out);
void buildGatherRows(KernelBuilder &b, mlir::Value input, mlir::Value rows,
                     mlir::Value out);
void buildScatterRows(KernelBuilder &b, mlir::Value values, mlir::Value rows,
                      mlir::Value out);
void buildQuantizeRows(KernelBuilder &b, mlir::Value input, IntRowsAttr format,
                       mlir::Value out);

/// Rows that a kernel reads or writes: int8 where `format` is given, else float.
struct Activations {
  mlir::Value buffer;
  IntRowsAttr format;
};
/// Writes 32 values, a vector, as block `block` of a row of k int8 activations.
void storeQuantized(KernelBuilder &b, mlir::Value values, mlir::Value row,
                    mlir::Value block, int64_t k, Activations out);
/// `count` columns of a row of k from `first` on, from values(column, size):
/// columns counted from `first`, vectors of 16 or fewer. int8 takes whole blocks.
void storeColumns(KernelBuilder &b, mlir::Value row, mlir::Value first,
                  int64_t count, int64_t k, Activations out,
                  llvm::function_ref<mlir::Value(mlir::Value, int64_t)> values);
/// A whole row of k, with its padding.
void storeRow(KernelBuilder &b, mlir::Value row, int64_t k, Activations out,
              llvm::function_ref<mlir::Value(mlir::Value, int64_t)> values);

// Norm.cpp
/// 1 / sqrt(mean(x^2) + epsilon) of a row.
mlir::Value inverseRMS(KernelBuilder &b, mlir::Value input, mlir::Value row,
                       mlir::FloatAttr epsilon);
void buildRMSNorm(KernelBuilder &b, mlir::Value input, mlir::Value scale,
                  mlir::FloatAttr epsilon, Activations out);
void buildLayerNorm(KernelBuilder &b, mlir::Value input, mlir::Value scale,
                    mlir::Value bias, mlir::FloatAttr epsilon, Activations out);

// Rope.cpp
struct RopeShape {
  int64_t heads;
  bool interleaved;
};
void buildRope(KernelBuilder &b, mlir::Value input, mlir::Value cos,
               mlir::Value sin, mlir::Value positions, RopeShape shape,
               mlir::Value out);

// Matmul.cpp, FusedMatmul.cpp
/// Where a matmul's sums go: out = sums + bias + residual; both may be null.
struct Epilogue {
  mlir::Value bias, residual, out;
};
/// A weight, and where its sums go.
struct Product {
  mlir::Value weight;
  Matrix matrix;
  Epilogue epilogue;
};
void buildMatmul(KernelBuilder &b, const Level &level, Activations x,
                 const Product &product);
/// All products of x in one parallel loop.
void buildJointMatmul(KernelBuilder &b, const Level &level, Activations x,
                      llvm::ArrayRef<Product> products);
/// out = function(sums + bias of each weight); int8 where `format` is given.
struct FusedProduct {
  mlir::ValueRange weights, biases;
  Matrix matrix; // of each weight
  mlir::Region *function;
};
void buildFusedMatmul(KernelBuilder &b, const Level &level, Activations x,
                      const FusedProduct &product, Activations out);

/// What is summed up in registers: `rows` rows from `row` on by `tiles` tiles of
/// 16 outputs from `tile` on.
struct OutputBlock {
  mlir::Value row;
  int64_t rows;
  mlir::Value tile;
  int64_t tiles;
};
/// Rows that share the floats made of integer weights: a block too large for
/// registers, which forSums divides.
inline constexpr int64_t wideRows = 32;

/// body(part, sums) for the parts of a block that registers hold at once, most often
/// the whole block: sums of products, [row][tile]. What one output sums does not
/// depend on the block.
using SumsBody =
    llvm::function_ref<void(OutputBlock, llvm::MutableArrayRef<mlir::Value>)>;
/// `scratch` is sumsScratch, made outside of all loops.
void forSums(KernelBuilder &b, const Level &level, Activations x,
             mlir::Value weight, Matrix matrix, OutputBlock at,
             mlir::Value scratch, SumsBody body);
/// What forSums needs of a thread's stack; null if nothing.
mlir::Value sumsScratch(KernelBuilder &b, const Level &level, Activations x,
                        Matrix matrix); // IntMatmul.cpp
/// The sums of a block that registers hold.
llvm::SmallVector<mlir::Value> sumFloat(KernelBuilder &b, mlir::Value input,
                                        mlir::Value weight, Matrix matrix,
                                        OutputBlock at); // FloatMatmul.cpp
void forIntSums(KernelBuilder &b, const Level &level, Activations x,
                mlir::Value weight, Matrix matrix, OutputBlock at,
                mlir::Value scratch, SumsBody body); // IntMatmul.cpp
/// Blocks that forSums takes, from many rows to one.
llvm::SmallVector<RegisterBlock> blockShapes(const Level &level, Activations x,
                                             Matrix matrix);
/// body(first, count) for all tiles of n outputs, `groupTiles` or what is left of
/// them, in parallel.
void forTileGroups(KernelBuilder &b, int64_t n, int64_t groupTiles,
                   llvm::function_ref<void(mlir::Value, int64_t)> body);
/// body(row, shape) for all rows: as many blocks of the first shape as there are
/// rows for, then of the next.
void forRowBlocks(
    KernelBuilder &b, mlir::Value rows, llvm::ArrayRef<RegisterBlock> shapes,
    llvm::function_ref<void(mlir::Value, const RegisterBlock &)> body);
/// body(tile, size) for `count` tiles, `step` or what is left of them.
void forTiles(KernelBuilder &b, int64_t count, int64_t step,
              llvm::function_ref<void(mlir::Value, int64_t)> body);
/// Adds bias [n] or residual [row, n]; null adds nothing.
void addBias(KernelBuilder &b, llvm::MutableArrayRef<mlir::Value> sums,
             OutputBlock at, int64_t n, mlir::Value bias);
void addResidual(KernelBuilder &b, llvm::MutableArrayRef<mlir::Value> sums,
                 OutputBlock at, int64_t n, mlir::Value residual);
void storeBlock(KernelBuilder &b, llvm::ArrayRef<mlir::Value> values,
                OutputBlock at, int64_t n, mlir::Value out);

// ByteMatmul.cpp
/// A product of bytes; zero points may be null. A row of scratch holds
/// byteMatmulScratch(k) bytes.
struct ByteProduct {
  mlir::Value input, weight;
  Matrix matrix;
  mlir::Value inputZero, weightZero;
  bool unsignedInput;
  mlir::Value out, scratch;
};
int64_t byteMatmulScratch(int64_t k);
void buildByteMatmul(KernelBuilder &b, const Level &level,
                     const ByteProduct &product);

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
                    AttentionShape shape, Activations out);

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
