//===- TargetTest.cpp - lib/Target, without the passes before it ----------===//
//
//   qtale-target-test weights IN.mlir OUT.safetensors
//
// Prints what an artifact would know of the weights file, as JSON, and the
// memory that writing it took.
//
//===----------------------------------------------------------------------===//

#include "qtale/Dialect/QTale/IR/QTale.h"
#include "qtale/Target/WeightsFile.h"

#include "mlir/Parser/Parser.h"
#include "llvm/ADT/StringExtras.h"
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
  if (argc != 4 || StringRef(argv[1]) != "weights") {
    llvm::errs() << "usage: qtale-target-test weights IN.mlir OUT\n";
    return 2;
  }
  DialectRegistry registry;
  registry.insert<qtale::QTaleDialect>();
  MLIRContext context(registry);
  llvm::SourceMgr sources;
  SourceMgrDiagnosticHandler diagnostics(sources, &context);
  auto module = parseSourceFile<ModuleOp>(argv[2], sources, &context);
  if (!module)
    return 1;
  StringRef folder = llvm::sys::path::parent_path(argv[2]);
  return failed(weights(*module, folder, argv[3]));
}
