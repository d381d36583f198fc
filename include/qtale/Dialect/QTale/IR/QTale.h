//===- QTale.h - The qtale dialect: types, attributes, operations ---------===//

#ifndef QTALE_DIALECT_QTALE_IR_QTALE_H
#define QTALE_DIALECT_QTALE_IR_QTALE_H

#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpDefinition.h"
#include "mlir/IR/SymbolTable.h"
#include "mlir/IR/TensorEncoding.h"
#include "mlir/Interfaces/ControlFlowInterfaces.h"
#include "mlir/Interfaces/DestinationStyleOpInterface.h"
#include "mlir/Interfaces/FunctionInterfaces.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

#include "qtale/Dialect/QTale/IR/QTaleAttrInterfaces.h.inc"
#include "qtale/Dialect/QTale/IR/QTaleDialect.h.inc"
#include "qtale/Dialect/QTale/IR/QTaleEnums.h.inc"

#define GET_ATTRDEF_CLASSES
#include "qtale/Dialect/QTale/IR/QTaleAttributes.h.inc"
#define GET_TYPEDEF_CLASSES
#include "qtale/Dialect/QTale/IR/QTaleTypes.h.inc"

namespace qtale {
/// What `kv_append` writes and `attention` reads.
struct CacheResource : public mlir::SideEffects::Resource::Base<CacheResource> {
  llvm::StringRef getName() final { return "qtale KV cache"; }
};
/// What `record` writes, for whoever asks which layers ran.
struct RecordResource
    : public mlir::SideEffects::Resource::Base<RecordResource> {
  llvm::StringRef getName() final { return "qtale routing record"; }
};
} // namespace qtale

#define GET_OP_CLASSES
#include "qtale/Dialect/QTale/IR/QTaleOps.h.inc"

namespace qtale {

/// Attributes on modules, functions, arguments and results.
namespace attr {
/// Module: the stage that it has reached.
inline constexpr llvm::StringLiteral stage = "qtale.stage";
/// Module: the options it is compiled with (a dictionary).
inline constexpr llvm::StringLiteral options = "qtale.options";
/// Module: the triple it is compiled for, where that is not this machine's.
inline constexpr llvm::StringLiteral target = "llvm.target_triple";
/// Module: positions below this (i64); beginning and end of sequence (i64,
/// array); tokenizer.json, relative to the file (string).
inline constexpr llvm::StringLiteral context = "qtale.context";
inline constexpr llvm::StringLiteral bos = "qtale.bos";
inline constexpr llvm::StringLiteral eos = "qtale.eos";
inline constexpr llvm::StringLiteral tokenizer = "qtale.tokenizer";
/// Module, from `kernels` on: ports of @main (arrays of dictionaries of name,
/// dtype, shape), caches of @step (array of types), columns of its logits.
inline constexpr llvm::StringLiteral inputs = "qtale.inputs";
inline constexpr llvm::StringLiteral outputs = "qtale.outputs";
inline constexpr llvm::StringLiteral caches = "qtale.caches";
inline constexpr llvm::StringLiteral vocab = "qtale.vocab";
/// Module, where layers are routed: a dictionary of layers, units (per layer),
/// always (positions below it always run; i64), threshold (the default, f32),
/// routed (array<i8>, 1 for each of layers * units that has a router), router,
/// policy (strings).
inline constexpr llvm::StringLiteral routing = "qtale.routing";
/// A level's module, from `kernels` on: what qtale.mark counts, an array of
/// dictionaries of operation, node (strings), layer, bytes, row_bytes, macs
/// (i64; what is absent is 0, the layer: none).
inline constexpr llvm::StringLiteral operations = "qtale.operations";
/// cf.assert: the qtale_code that the entry returns (i32).
inline constexpr llvm::StringLiteral code = "qtale.code";
/// Argument and result of an entry: the model's name for it, and its dtype as
/// NumPy spells it ("float32", "uint8", "bool").
inline constexpr llvm::StringLiteral name = "qtale.name";
inline constexpr llvm::StringLiteral dtype = "qtale.dtype";
} // namespace attr

/// The context of a call, a function's first parameter; null where it takes none,
/// or has no body.
mlir::Value contextOf(mlir::FunctionOpInterface function);

/// Rows of a matrix that are padded to whole units.
inline int64_t roundUp(int64_t value, int64_t unit) {
  return (value + unit - 1) / unit * unit;
}

/// The operands that are matrices in an order of the kernel's choice: weights of
/// products, tables of lookups, large matrices of routers.
llvm::SmallVector<mlir::OpOperand *> getMatrixOperands(mlir::Operation *op);

/// The recipe without detours: permutations and reshapes composed, slices of
/// slices merged, what changes nothing dropped.
RecipeAttrInterface simplifyRecipe(RecipeAttrInterface recipe);

/// What recipes are at most: recipes in one, and within each other.
inline constexpr int64_t maxRecipeParts = 1 << 16, maxRecipeDepth = 1 << 9;

/// Whether recipes have as many recipes in them, or within each other: counted as
/// a tree, each as often as it is named. Null ones count nothing.
bool isLarge(llvm::ArrayRef<RecipeAttrInterface> recipes, int64_t parts,
             int64_t depth);

/// Bytes of a static tensor in the weights file, by its storage format.
int64_t getStorageBytes(mlir::RankedTensorType type);

/// The type that a tensor has as a buffer: encodings become bytes.
///   tensor<64x172xf32, #qtale.packed<…>>   -> memref<22016xi8>
///   tensor<?x64xf32, #qtale.int_rows<…>>   -> memref<?x80xi8>
mlir::MemRefType getBufferType(mlir::RankedTensorType type);

} // namespace qtale

#endif // QTALE_DIALECT_QTALE_IR_QTALE_H
