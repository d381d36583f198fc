//===- Level.h - CPU levels that code is made for -------------------------===//

#ifndef QTALE_CODEGEN_CPU_LEVEL_H
#define QTALE_CODEGEN_CPU_LEVEL_H

#include "mlir/IR/BuiltinOps.h"
#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"

namespace qtale {

/// Tiles of a matmul that stay in registers: rows of activations by tiles of
/// 16 outputs.
struct RegisterBlock {
  int64_t rows, tiles;
};

struct Level {
  llvm::StringLiteral name;         // as in --cpu
  llvm::StringLiteral architecture; // of the target triple
  llvm::StringLiteral cpu;          // LLVM's -mcpu
  llvm::StringLiteral features;     // LLVM's, beyond the cpu's
  llvm::StringLiteral required;     // what the runtime asks the machine for
  RegisterBlock floatBlock;         // float kernels, many rows
  int64_t intRows;                  // integer kernels: rows by one tile
  /// 8-bit weights are made signed before their products: there is no
  /// instruction for unsigned by signed bytes.
  bool signedBytes = false;
};

/// Attributes on the module of a level.
namespace attr {
inline constexpr llvm::StringLiteral cpu = "qtale.cpu";
inline constexpr llvm::StringLiteral features = "qtale.features";
inline constexpr llvm::StringLiteral required = "qtale.requires";
} // namespace attr

/// All levels, each architecture's from least to most.
llvm::ArrayRef<Level> getLevels();

/// Null where there is none of that name.
const Level *getLevel(llvm::StringRef name);

/// The highest level that this machine runs.
const Level *getHostLevel();

/// The level of a nested module, by its name.
const Level *getLevel(mlir::ModuleOp module);

} // namespace qtale

#endif // QTALE_CODEGEN_CPU_LEVEL_H
