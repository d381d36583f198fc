//===- Descriptor.h - What the runtime knows of a model -------------------===//

#ifndef QTALE_LIB_TARGET_DESCRIPTOR_H
#define QTALE_LIB_TARGET_DESCRIPTOR_H

#include "Object.h"
#include "qtale/Runtime/ModuleABI.h"
#include "qtale/Target/WeightsFile.h"
#include <optional>

namespace qtale {

/// The attribute qtale.routing (Routing.cpp).
struct Routing {
  int64_t layers = 0, units = 0; // units of a layer
  int64_t always = 0;            // positions below it always run
  double threshold = 0;
  llvm::SmallVector<uint8_t> routed; // [layers * units]
  std::string router, policy;

  /// `layers` where there is none.
  int64_t getFirstRoutedLayer() const;
};

/// Nothing where the model is not routed.
mlir::FailureOr<std::optional<Routing>> readRouting(mlir::ModuleOp module);

/// What a level's marks count (Operations.cpp).
struct OperationTable {
  mlir::Attribute source; // equal for equal tables
  std::vector<qtale_marked> marked;
  std::vector<uint8_t> names;
};

/// Empty where the level has no marks.
mlir::FailureOr<OperationTable> readOperations(mlir::ModuleOp level);

/// The module's attributes, checked, and its tokenizer.
struct Description {
  llvm::SmallVector<mlir::DictionaryAttr> inputs, outputs;
  llvm::SmallVector<uint64_t> blockBytes; // of each cache
  llvm::SmallVector<uint8_t> ragged;      // each cache: slots by count?
  std::optional<Routing> routing;
  llvm::SmallVector<int64_t> eos;
  int64_t vocab = 0, context = 0, bos = -1;
  bool hasSession = false;
  std::vector<uint8_t> tokenizer;
  std::vector<OperationTable> operations; // of each level
};

/// Errors are reported at the module.
mlir::FailureOr<Description> readDescription(mlir::ModuleOp module,
                                             llvm::ArrayRef<LevelObject> levels,
                                             llvm::StringRef sourceFolder);

/// `qtale_module_descriptor` of ModuleABI.h as an ELF object.
llvm::Expected<llvm::SmallVector<char, 0>>
emitDescriptor(mlir::ModuleOp module, const Description &description,
               llvm::ArrayRef<LevelObject> levels,
               const WeightsFileInfo &weights);

/// The JSON of --info, but for "levels".
std::string buildInfo(mlir::ModuleOp module, const Description &description,
                      const WeightsFileInfo &weights);

} // namespace qtale

#endif // QTALE_LIB_TARGET_DESCRIPTOR_H
