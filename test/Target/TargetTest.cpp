//===- TargetTest.cpp - lib/Target, without the passes before it ----------===//
//
//   qtale-target-test weights IN.mlir OUT.safetensors
//   qtale-target-test lib|exe|obj [--bundle] IN.mlir OUT
//
// `weights` prints what an artifact would know of the weights file, as JSON,
// and the memory that writing it took.
//
//===----------------------------------------------------------------------===//

#include "qtale/Dialect/QTale/IR/QTale.h"
#include "qtale/Target/Artifact.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Parser/Parser.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringSwitch.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/SourceMgr.h"
#include <sys/resource.h>

using namespace mlir;

static long peakKiB() {
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss;
}

static LogicalResult weights(ModuleOp module, StringRef folder,
                             StringRef output) {
  long before = peakKiB();
  FailureOr<qtale::WeightsFileInfo> info =
      qtale::writeWeights(module, folder, output);
  if (failed(info))
    return failure();
  llvm::outs() << llvm::json::Value(llvm::json::Object{
                      {"file", info->fileName},
                      {"bytes", info->bytes},
                      {"header", info->headerBytes},
                      {"hash", llvm::toHex(info->headerHash, true)},
                      {"peak_kib", peakKiB() - before}})
               << "\n";
  return success();
}

int main(int argc, char **argv) {
  SmallVector<StringRef> words(argv + 1, argv + argc);
  bool bundle = words.size() == 4 && words[1] == "--bundle";
  if (bundle)
    words.erase(words.begin() + 1);
  if (words.size() != 3) {
    llvm::errs() << "usage: qtale-target-test weights|lib|exe|obj [--bundle] "
                    "IN.mlir OUT\n";
    return 2;
  }
  DialectRegistry registry;
  registry.insert<qtale::QTaleDialect, LLVM::LLVMDialect>();
  MLIRContext context(registry);
  llvm::SourceMgr sources;
  SourceMgrDiagnosticHandler diagnostics(sources, &context);
  auto module = parseSourceFile<ModuleOp>(words[1], sources, &context);
  if (!module)
    return 1;
  StringRef folder = llvm::sys::path::parent_path(words[1]);
  if (words[0] == "weights")
    return failed(weights(*module, folder, words[2]));

  qtale::ArtifactOptions options;
  options.kind = llvm::StringSwitch<qtale::ArtifactOptions::Kind>(words[0])
                     .Case("exe", qtale::ArtifactOptions::Executable)
                     .Case("obj", qtale::ArtifactOptions::Object)
                     .Default(qtale::ArtifactOptions::Library);
  options.output = words[2].str();
  options.bundle = bundle;
  options.sourceFolder = folder.str();
  options.toolPath = argv[0];
  return failed(qtale::writeArtifact(*module, options));
}
