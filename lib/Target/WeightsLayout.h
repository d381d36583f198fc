//===- WeightsLayout.h - Where each weight stands in the file -------------===//
//
//   | u64 length | JSON, padded with spaces | tensor | tensor | … |
//                                           ^ a multiple of 64 bytes
//
// safetensors aligns nothing and allows no holes, so padding to 64 bytes lies
// within tensors: one whose bytes are no multiple of 64, and every packed one,
// is a U8 vector that includes the padding. What it holds is then said by the
// metadata ("qtale.NAME": its type).
//
//===----------------------------------------------------------------------===//

#ifndef QTALE_LIB_TARGET_WEIGHTSLAYOUT_H
#define QTALE_LIB_TARGET_WEIGHTSLAYOUT_H

#include "../Runtime/Sha256.h"
#include "qtale/Dialect/QTale/IR/QTale.h"
#include <string>
#include <vector>

namespace qtale {

using rt::Sha256;

/// A weight in the file's data section.
struct PlacedWeight {
  WeightOp op;
  mlir::RankedTensorType type;
  std::string name;    // the symbol
  uint64_t offset = 0; // in the data section
  uint64_t bytes = 0;  // what kernels read
  uint64_t padded = 0; // what the file holds
};

inline constexpr uint64_t weightAlignment = 64;

/// All weights of a module, in the order of their bytes. Fails where offsets
/// leave holes or a weight can't be stored.
mlir::FailureOr<std::vector<PlacedWeight>> placeWeights(mlir::ModuleOp module);

/// The bytes before the data section. Their number does not depend on the
/// hashes' values.
std::string buildHeader(llvm::ArrayRef<PlacedWeight> weights,
                        llvm::ArrayRef<Sha256::Digest> hashes);

/// The scheme of a packed weight as people write it: "int4/32", "f16".
std::string getSchemeName(PackedAttr packed);

} // namespace qtale

#endif // QTALE_LIB_TARGET_WEIGHTSLAYOUT_H
