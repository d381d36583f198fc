//===- Object.cpp - Machine code of the CPU levels ------------------------===//
//
//   module @x86-64-v3 { llvm.func @main … }
//     │ translated to LLVM IR                       one after the other
//     ▼
//   @"qtale.main.x86-64-v3" hidden, all else internal
//     │ optimised (O3, no fast-math) for the level's CPU, emitted    in
//     parallel ▼
//   ELF object
//
//===----------------------------------------------------------------------===//

#include "Object.h"

#include "qtale/Dialect/QTale/IR/QTale.h"

#include "mlir/Target/LLVMIR/Dialect/Builtin/BuiltinToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/LLVMIR/LLVMToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Export.h"
#include "llvm/IR/DiagnosticInfo.h"
#include "llvm/IR/DiagnosticPrinter.h"
#include "llvm/IR/LLVMContext.h"
#include "llvm/IR/LegacyPassManager.h"
#include "llvm/IR/Module.h"
#include "llvm/IR/Verifier.h"
#include "llvm/MC/MCSubtargetInfo.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Passes/PassBuilder.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/Support/ThreadPool.h"
#include "llvm/TargetParser/Host.h"
#include <mutex>

using namespace mlir;
using namespace qtale;
using llvm::Error;
using llvm::Expected;
using llvm::StringRef;

std::string qtale::getTargetTriple(ModuleOp module) {
  if (auto triple = module->getAttrOfType<StringAttr>(attr::target))
    return llvm::Triple::normalize(triple.getValue());
  return llvm::sys::getDefaultTargetTriple();
}

Expected<std::unique_ptr<llvm::TargetMachine>>
qtale::makeMachine(StringRef triple, StringRef cpu, StringRef features) {
  static std::once_flag once;
  std::call_once(once, [] {
    llvm::InitializeAllTargetInfos();
    llvm::InitializeAllTargets();
    llvm::InitializeAllTargetMCs();
    llvm::InitializeAllAsmPrinters();
  });
  llvm::Triple target(triple);
  if (!target.isOSBinFormatELF() || !target.isArch64Bit())
    return llvm::createStringError(
        "code for '" + triple +
        "' can't be made: qtale writes 64-bit ELF (Linux) only");
  std::string why;
  const llvm::Target *found = llvm::TargetRegistry::lookupTarget(target, why);
  if (!found)
    return llvm::createStringError(
        "this LLVM can't make code for '" + triple +
        "'; use one built with its target (LLVM_TARGETS_TO_BUILD): " + why);
  llvm::TargetOptions options;
  // Products and sums are fused where the code says fma, nowhere else.
  options.AllowFPOpFusion = llvm::FPOpFusion::Strict;
  options.FunctionSections = true;
  // With the features alone, an unknown CPU is found before it is used.
  std::unique_ptr<llvm::MCSubtargetInfo> subtarget(
      found->createMCSubtargetInfo(target, "", ""));
  if (!cpu.empty() && !subtarget->isCPUStringValid(cpu))
    return llvm::createStringError("LLVM knows no CPU '" + cpu + "' of " +
                                   triple);
  return std::unique_ptr<llvm::TargetMachine>(found->createTargetMachine(
      target, cpu, features, options, llvm::Reloc::PIC_, std::nullopt,
      llvm::CodeGenOptLevel::Aggressive));
}

Expected<llvm::SmallVector<char, 0>>
qtale::emitObject(llvm::Module &module, llvm::TargetMachine &machine) {
  llvm::SmallVector<char, 0> object;
  llvm::raw_svector_ostream stream(object);
  llvm::legacy::PassManager passes;
  if (machine.addPassesToEmitFile(passes, stream, nullptr,
                                  llvm::CodeGenFileType::ObjectFile))
    return llvm::createStringError("this LLVM can't write objects for '" +
                                   machine.getTargetTriple().str() + "'");
  passes.run(module);
  return object;
}

namespace {

/// A level on its way. Each has an LLVM context, so that they go in parallel.
struct Job {
  ModuleOp source;
  LevelObject result;
  llvm::LLVMContext context;
  std::unique_ptr<llvm::Module> module;
  std::unique_ptr<llvm::TargetMachine> machine;
  std::string problem;

  LogicalResult translate(StringRef triple);
  void compile();

private:
  std::string takeEntry(StringRef name);
  void optimise();
};

StringRef textAttr(Operation *op, StringRef name) {
  auto text = op->getAttrOfType<StringAttr>(name);
  return text ? text.getValue() : StringRef();
}

} // namespace

LogicalResult Job::translate(StringRef triple) {
  result.name = source.getSymName().value_or("").str();
  result.features = textAttr(source, "qtale.requires").str();
  if (result.name.empty())
    return emitError(source.getLoc(),
                     "a nested module has no name; it is that of the "
                     "CPU level its code is for");
  auto made = makeMachine(triple, textAttr(source, "qtale.cpu"),
                          textAttr(source, "qtale.features"));
  if (!made)
    return emitError(source.getLoc(), toString(made.takeError()));
  machine = std::move(*made);

  // Translation changes what it reads.
  OwningOpRef<ModuleOp> clone = source.clone();
  module = translateModuleToLLVMIR(*clone, context, result.name);
  if (!module)
    return emitError(source.getLoc(), "the code of CPU level '")
           << result.name
           << "' is not in the LLVM dialect; compile it up to the stage llvm";
  module->setTargetTriple(machine->getTargetTriple());
  module->setDataLayout(machine->createDataLayout());
  module->setPICLevel(llvm::PICLevel::BigPIC);

  result.main = takeEntry("main");
  result.step = takeEntry("step");
  result.stepScratch = takeEntry("step_scratch");
  if (result.main.empty() && result.step.empty())
    return emitError(source.getLoc(), "CPU level '")
           << result.name << "' has neither @main nor @step";
  for (llvm::Function &function : *module) {
    // Nothing throws, so no table for unwinding is needed.
    function.setDoesNotThrow();
    if (function.getName().starts_with("qtale_rt_")) // in the same artifact
      function.setVisibility(llvm::GlobalValue::HiddenVisibility);
    else if (!function.isDeclaration() && !function.hasHiddenVisibility())
      function.setLinkage(llvm::GlobalValue::InternalLinkage);
  }
  for (llvm::GlobalVariable &global : module->globals())
    if (!global.isDeclaration())
      global.setLinkage(llvm::GlobalValue::InternalLinkage);
  return success();
}

/// Makes a function visible to the link under a name of this level's own.
std::string Job::takeEntry(StringRef name) {
  llvm::Function *function = module->getFunction(name);
  if (!function || function->isDeclaration())
    return "";
  function->setName("qtale." + name + "." + result.name);
  function->setLinkage(llvm::GlobalValue::ExternalLinkage);
  function->setVisibility(llvm::GlobalValue::HiddenVisibility);
  return function->getName().str();
}

void Job::compile() {
  context.setDiagnosticHandlerCallBack(
      [](const llvm::DiagnosticInfo *info, void *job) {
        if (info->getSeverity() != llvm::DS_Error)
          return;
        std::string &problem = static_cast<Job *>(job)->problem;
        llvm::raw_string_ostream stream(problem);
        llvm::DiagnosticPrinterRawOStream printer(stream);
        info->print(printer);
      },
      this);
  llvm::raw_string_ostream stream(problem);
  if (llvm::verifyModule(*module, &stream))
    return;
  optimise();
  Expected<llvm::SmallVector<char, 0>> object = emitObject(*module, *machine);
  if (!object)
    problem = toString(object.takeError());
  else
    result.object = std::move(*object);
  module.reset();
}

void Job::optimise() {
  llvm::LoopAnalysisManager loops;
  llvm::FunctionAnalysisManager functions;
  llvm::CGSCCAnalysisManager callGraph;
  llvm::ModuleAnalysisManager modules;
  llvm::PassBuilder builder(machine.get());
  builder.registerModuleAnalyses(modules);
  builder.registerCGSCCAnalyses(callGraph);
  builder.registerFunctionAnalyses(functions);
  builder.registerLoopAnalyses(loops);
  builder.crossRegisterProxies(loops, functions, callGraph, modules);
  builder.buildPerModuleDefaultPipeline(llvm::OptimizationLevel::O3)
      .run(*module, modules);
}

FailureOr<std::vector<LevelObject>> qtale::emitLevels(ModuleOp module,
                                                      ProgressFn progress) {
  DialectRegistry registry;
  registerBuiltinDialectTranslation(registry);
  registerLLVMDialectTranslation(registry);
  module.getContext()->appendDialectRegistry(registry);

  std::string triple = getTargetTriple(module);
  std::vector<std::unique_ptr<Job>> jobs;
  for (auto nested : module.getOps<ModuleOp>()) {
    auto job = std::make_unique<Job>();
    job->source = nested;
    if (failed(job->translate(triple)))
      return failure();
    jobs.push_back(std::move(job));
  }
  if (jobs.empty()) {
    emitError(module.getLoc(),
              "holds no code: it has not reached the stage llvm, with a "
              "nested module for each CPU level");
    return failure();
  }

  std::mutex mutex;
  size_t done = 0;
  llvm::DefaultThreadPool pool;
  for (std::unique_ptr<Job> &job : jobs)
    pool.async([&, job = job.get()] {
      job->compile();
      std::lock_guard<std::mutex> lock(mutex);
      ++done;
      if (progress)
        progress("code", done, jobs.size());
    });
  pool.wait();

  std::vector<LevelObject> levels;
  for (std::unique_ptr<Job> &job : jobs) {
    if (!job->problem.empty()) {
      emitError(job->source.getLoc(), "LLVM can't compile CPU level '")
          << job->result.name << "': " << job->problem;
      return failure();
    }
    levels.push_back(std::move(job->result));
  }
  return levels;
}
