//===- Options.cpp - Defaults, and options as a module attribute ----------===//

#include "qtale/Pipelines/Options.h"

#include "qtale/Codegen/CPU/Level.h"
#include "qtale/Dialect/QTale/IR/QTale.h"

#include "mlir/IR/Builders.h"

using namespace mlir;
using namespace qtale;

/// Whether a matrix keeps f32 values when weights are kept as they come.
static bool hasFloat32Matrix(ModuleOp module) {
  return module
      .walk([](MatmulOp matmul) {
        return matmul.getWeight().getType().getElementType().isF32()
                   ? WalkResult::interrupt()
                   : WalkResult::advance();
      })
      .wasInterrupted();
}

LogicalResult CompileOptions::resolve(ModuleOp module) {
  bool integers = weights == "int8" || weights == "int4";
  if (activations.empty())
    activations = integers ? "int8" : "float";
  if (kv.empty()) {
    bool stayF32 =
        weights == "f32" || (weights == "keep" && hasFloat32Matrix(module));
    kv = stayF32 ? "f32" : "f16";
  }
  if (levels.empty() || levels == std::vector<std::string>{"native"}) {
    const Level *host = getHostLevel();
    if (!host)
      return module.emitError("this machine's CPU is below every level that "
                              "code is made for; name one with --cpu");
    levels = {host->name.str()};
  }
  for (const std::string &name : levels)
    if (!getLevel(name)) {
      auto diagnostic = module.emitError("there is no CPU level '")
                        << name << "'; levels are ";
      llvm::interleaveComma(getLevels(), diagnostic, [&](const Level &level) {
        diagnostic << level.name;
      });
      return diagnostic;
    }
  return success();
}

void CompileOptions::write(ModuleOp module) const {
  Builder b(module.getContext());
  SmallVector<Attribute> names;
  for (const std::string &level : levels)
    names.push_back(b.getStringAttr(level));
  module->setAttr(
      attr::options,
      b.getDictionaryAttr({
          b.getNamedAttr("weights", b.getStringAttr(weights)),
          b.getNamedAttr("group", b.getI64IntegerAttr(group)),
          b.getNamedAttr("asymmetric", b.getBoolAttr(asymmetric)),
          b.getNamedAttr("activations", b.getStringAttr(activations)),
          b.getNamedAttr("kv", b.getStringAttr(kv)),
          b.getNamedAttr("levels", b.getArrayAttr(names)),
      }));
}

FailureOr<CompileOptions> CompileOptions::read(ModuleOp module) {
  CompileOptions options;
  auto dictionary = module->getAttrOfType<DictionaryAttr>(attr::options);
  if (!dictionary)
    return module.emitError("has no attribute ") << attr::options;
  auto text = [&](StringRef key, std::string &value) {
    if (auto attribute = dictionary.getAs<StringAttr>(key))
      value = attribute.str();
  };
  text("weights", options.weights);
  text("activations", options.activations);
  text("kv", options.kv);
  if (auto group = dictionary.getAs<IntegerAttr>("group"))
    options.group = group.getInt();
  if (auto asymmetric = dictionary.getAs<BoolAttr>("asymmetric"))
    options.asymmetric = asymmetric.getValue();
  if (auto levels = dictionary.getAs<ArrayAttr>("levels"))
    for (auto level : levels.getAsRange<StringAttr>())
      options.levels.push_back(level.str());
  return options;
}
