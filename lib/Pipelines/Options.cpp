//===- Options.cpp - Defaults, and options as a module attribute ----------===//

#include "qtale/Pipelines/Options.h"

#include "qtale/Codegen/CPU/Level.h"
#include "qtale/Dialect/QTale/IR/QTale.h"

#include "mlir/IR/Builders.h"
#include "llvm/ADT/SetVector.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/TargetParser/Host.h"
#include "llvm/TargetParser/Triple.h"

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

/// A printed stage holds what its author typed.
static LogicalResult checkValue(StringRef key, StringRef value,
                                ArrayRef<StringRef> allowed,
                                CompileOptions::EmitError emitError) {
  if (llvm::is_contained(allowed, value))
    return success();
  return emitError() << "option " << key << " is " << llvm::join(allowed, ", ")
                     << ", not '" << value << "'";
}

// CPUs of the last ten years: servers, and desktops without AVX-512. Results are
// the same on all, so that more levels would only be faster on few machines.
static const llvm::StringLiteral usualLevels[] = {
    "x86-64-v4+vnni", "x86-64-v3+avxvnni", "x86-64-v3",
    "armv8.6-a+i8mm", "armv8.2-a+dotprod", "armv8-a"};

std::optional<std::string> CompileOptions::parseTarget(StringRef name) {
  llvm::Triple host(llvm::sys::getDefaultTargetTriple());
  llvm::Triple triple(llvm::Triple::normalize(name));
  bool same = triple.getArch() == host.getArch() &&
              triple.getOS() == host.getOS() &&
              (triple.getEnvironment() == host.getEnvironment() ||
               triple.getEnvironment() == llvm::Triple::UnknownEnvironment);
  if (name.empty() || same)
    return "";
  bool gnu = triple.getEnvironment() == llvm::Triple::GNU ||
             triple.getEnvironment() == llvm::Triple::UnknownEnvironment;
  StringRef architecture = llvm::Triple::getArchTypeName(triple.getArch());
  bool known = llvm::any_of(getLevels(), [&](const Level &level) {
    return level.architecture == architecture;
  });
  if (!known || !triple.isOSLinux() || !gnu)
    return std::nullopt;
  return (architecture + "-linux-gnu").str();
}

/// Names become levels of the target's architecture, the best first.
static LogicalResult resolveLevels(StringRef target,
                                   std::vector<std::string> &names,
                                   CompileOptions::EmitError emitError) {
  llvm::Triple triple(target.empty() ? llvm::sys::getDefaultTargetTriple()
                                     : target.str());
  StringRef architecture = llvm::Triple::getArchTypeName(triple.getArch());
  auto isOurs = [&](const Level *level) {
    return level && level->architecture == architecture;
  };
  if (names.empty())
    for (StringRef name : usualLevels)
      if (isOurs(getLevel(name)))
        names.push_back(name.str());
  llvm::SmallSetVector<const Level *, 4> levels;
  for (const std::string &name : names) {
    if (name == "native" && !target.empty())
      return emitError() << "CPU level 'native' is this machine's, but code is "
                            "made for "
                         << target << "; name one of its levels with --cpu";
    const Level *level = name == "native" ? getHostLevel() : getLevel(name);
    if (!level && name == "native")
      return emitError() << "this machine's CPU is below every level that "
                            "code is made for; name one with --cpu";
    if (isOurs(level)) {
      levels.insert(level);
      continue;
    }
    auto diagnostic = emitError();
    if (level)
      diagnostic << "CPU level '" << name << "' is of " << level->architecture
                 << ", but code is made for " << architecture;
    else
      diagnostic << "there is no CPU level '" << name << "'";
    diagnostic << "; levels are ";
    llvm::interleaveComma(getLevels(), diagnostic, [&](const Level &level) {
      diagnostic << level.name;
    });
    return diagnostic;
  }
  // The table goes from least to most.
  llvm::SmallVector<const Level *> ordered(levels.takeVector());
  llvm::sort(ordered, std::greater<>());
  names.clear();
  for (const Level *level : ordered)
    names.push_back(level->name.str());
  return success();
}

LogicalResult CompileOptions::resolve(ModuleOp module, EmitError emitError) {
  bool integers = weights == "int8" || weights == "int4";
  if (activations.empty())
    activations = integers ? "int8" : "float";
  if (kv.empty()) {
    bool stayF32 =
        weights == "f32" || (weights == "keep" && hasFloat32Matrix(module));
    kv = stayF32 ? "f32" : "f16";
  }
  std::optional<std::string> known = parseTarget(target);
  if (!known)
    return emitError() << "no code is made for '" << target
                       << "'; targets are x86_64-linux-gnu and "
                          "aarch64-linux-gnu";
  target = *known;
  if (failed(resolveLevels(target, levels, emitError)))
    return failure();
  if (failed(checkValue("weights", weights,
                        {"keep", "f32", "f16", "bf16", "int8", "int4"},
                        emitError)) ||
      failed(checkValue("activations", activations, {"int8", "float"},
                        emitError)) ||
      failed(checkValue("kv", kv, {"f32", "f16", "int8"}, emitError)) ||
      failed(checkValue("group", std::to_string(group), {"32", "64", "128"},
                        emitError)))
    return failure();
  return success();
}

void CompileOptions::write(ModuleOp module) const {
  Builder b(module.getContext());
  if (target.empty())
    module->removeAttr(attr::target);
  else
    module->setAttr(attr::target, b.getStringAttr(target));
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

FailureOr<CompileOptions> CompileOptions::read(ModuleOp module,
                                               EmitError emitError) {
  CompileOptions options;
  auto dictionary = module->getAttrOfType<DictionaryAttr>(attr::options);
  if (!dictionary)
    return emitError() << "its module has no " << attr::options;
  bool ok = true;
  // Calls `set` with the attribute of that name, which must have its type.
  auto read = [&](StringRef key, auto set) {
    Attribute attribute = dictionary.get(key);
    if (!attribute || set(attribute) || !ok)
      return;
    emitError() << "option " << key << " in " << attr::options
                << " can't be read: " << attribute;
    ok = false;
  };
  auto text = [](std::string &value) {
    return [&](Attribute attribute) {
      auto string = dyn_cast<StringAttr>(attribute);
      value = string ? string.str() : value;
      return bool(string);
    };
  };
  read("weights", text(options.weights));
  read("activations", text(options.activations));
  read("kv", text(options.kv));
  read("group", [&](Attribute attribute) {
    auto number = dyn_cast<IntegerAttr>(attribute);
    if (!number || number.getValue().getSignificantBits() > 64)
      return false;
    options.group = number.getValue().getSExtValue();
    return true;
  });
  read("asymmetric", [&](Attribute attribute) {
    auto flag = dyn_cast<BoolAttr>(attribute);
    options.asymmetric = flag && flag.getValue();
    return bool(flag);
  });
  read("levels", [&](Attribute attribute) {
    auto levels = dyn_cast<ArrayAttr>(attribute);
    for (Attribute level : levels ? levels.getValue() : ArrayRef<Attribute>())
      if (auto name = dyn_cast<StringAttr>(level))
        options.levels.push_back(name.str());
    return levels && levels.size() == options.levels.size();
  });
  if (!ok)
    return failure();
  if (auto target = module->getAttrOfType<StringAttr>(attr::target))
    options.target = target.str();
  return options;
}
