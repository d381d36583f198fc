//===- Compile.cpp - What qtale-compile does with a module, in memory -----===//

#include "Compile.h"

#include "qtale/Dialect/QTale/IR/QTale.h"
#include "qtale/Pipelines/Stages.h"

#include "mlir/IR/Diagnostics.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Pass/PassRegistry.h"
#include "llvm/Support/raw_ostream.h"
#include <memory>

using namespace mlir;
using namespace qtale;

/// Inputs after which a context is made anew.
static constexpr unsigned lifetime = 256;

static std::unique_ptr<MLIRContext> makeContext() {
  static const DialectRegistry *registry = [] {
    auto *all = new DialectRegistry();
    registerDialects(*all);
    registerPasses();
    return all;
  }();
  // Threads would make coverage depend on chance.
  auto made = std::make_unique<MLIRContext>(*registry,
                                            MLIRContext::Threading::DISABLED);
  made->loadAllAvailableDialects();
  made->getDiagEngine().registerHandler([](Diagnostic &diagnostic) {
    // Text is made of what the diagnostic refers to, which must still be there.
    llvm::raw_null_ostream nowhere;
    diagnostic.print(nowhere);
    for (Diagnostic &note : diagnostic.getNotes())
      note.print(nowhere);
    return success();
  });
  return made;
}

MLIRContext &fuzz::context() {
  static std::unique_ptr<MLIRContext> current;
  static unsigned uses = 0;
  if (uses++ % lifetime == 0) {
    current.reset();
    current = makeContext();
  }
  return *current;
}

void fuzz::compile(ModuleOp module) {
  auto emitError = [&] { return module.emitError(); };
  auto name = module->getAttrOfType<StringAttr>(attr::stage);
  std::optional<Stage> stage = name ? getStage(name.getValue()) : std::nullopt;
  if (!stage)
    return;
  CompileOptions options;
  if (*stage != Stage::Imported || module->hasAttr(attr::options)) {
    FailureOr<CompileOptions> read = CompileOptions::read(module, emitError);
    if (failed(read))
      return;
    options = *read;
  }
  if (failed(options.resolve(module, emitError)))
    return;
  options.levels.resize(1); // the others are made by the same code
  options.write(module);
  PassManager pm(module.getContext());
  buildStages(pm, *stage, Stage::LLVM, options);
  (void)pm.run(module);
}

void fuzz::runPasses(ModuleOp module, StringRef pipeline) {
  StringRef rest = pipeline;
  while (!rest.empty()) {
    // Names stand outside of braces, which hold options.
    StringRef name = rest.take_while(
        [](char c) { return llvm::isAlnum(c) || c == '-' || c == '.'; });
    bool ours = name.starts_with("qtale-") || name == "canonicalize" ||
                name == "cse" || name == "builtin.module" ||
                name == "func.func" || name.empty();
    if (!ours)
      return;
    rest = rest.drop_front(name.size());
    if (rest.starts_with("{"))
      rest = rest.drop_front(std::min(rest.find('}'), rest.size() - 1));
    rest = rest.drop_front(rest.empty() ? 0 : 1);
  }
  PassManager pm(module.getContext(), ModuleOp::getOperationName(),
                 OpPassManager::Nesting::Implicit);
  StringRef text = pipeline;
  if (text.consume_front("builtin.module("))
    (void)text.consume_back(")");
  if (succeeded(parsePassPipeline(text, pm, llvm::nulls())))
    (void)pm.run(module);
}
