//===- Compile.cpp - The body of qtale-compile ----------------------------===//
//
//   .onnx, .onnxtxt ─ import ─┐
//   .mlir ─────────── parse ──┴─▶ options ─▶ stages ─▶ print, or artifact
//
//===----------------------------------------------------------------------===//

#include "qtale/Driver/Compile.h"

#include "CommandLine.h"
#include "Diagnostics.h"
#include "OutOfMemory.h"
#include "Paths.h"
#include "qtale/Dialect/QTale/IR/QTale.h"
#include "qtale/Import/Onnx/Import.h"
#include "qtale/Target/Tokenizer.h"

#include "mlir/IR/AsmState.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/Parser/Parser.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/InitLLVM.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/Process.h"
#include "llvm/Support/raw_ostream.h"
#include <csignal>

using namespace mlir;
using namespace qtale;

namespace {

InFlightDiagnostic fileError(MLIRContext *context, StringRef file) {
  return emitError(FileLineColLoc::get(context, file, 0, 0));
}

//===----------------------------------------------------------------------===//
// Reading
//===----------------------------------------------------------------------===//

OwningOpRef<ModuleOp> readModel(const CommandLine &line, MLIRContext *context) {
  StringRef extension = llvm::sys::path::extension(line.input);
  if (extension == ".onnx" || extension == ".onnxtxt")
    return importOnnx(line.input, context);
  if (extension == ".mlir") {
    if (!llvm::sys::fs::exists(line.input)) {
      fileError(context, line.input) << "there is no such file";
      return nullptr;
    }
    return parseSourceFile<ModuleOp>(line.input, ParserConfig(context));
  }
  fileError(context, line.input)
      << "INPUT is a model (.onnx, .onnxtxt) or a printed stage (.mlir); "
         "checkpoints become .onnx with 'qtale export'";
  return nullptr;
}

FailureOr<Stage> readStage(const CommandLine &line, ModuleOp module) {
  auto name = module->getAttrOfType<StringAttr>(attr::stage);
  std::optional<Stage> stage = name ? getStage(name.getValue()) : std::nullopt;
  if (!stage)
    return fileError(module.getContext(), line.input)
           << "its module has no stage in " << attr::stage
           << "; only what --emit printed can be compiled on";
  if (line.printed && *line.printed < *stage)
    return fileError(module.getContext(), line.input)
           << "is at stage '" << getName(*stage) << "', beyond '"
           << getName(*line.printed) << "'";
  return *stage;
}

//===----------------------------------------------------------------------===//
// Options
//===----------------------------------------------------------------------===//

/// What the module was compiled with, or by the user's wish. Beyond the first
/// stage a wish can't change what is done.
FailureOr<CompileOptions> chooseOptions(const CommandLine &line, Stage stage,
                                        ModuleOp module) {
  auto emitError = [&] { return fileError(module.getContext(), line.input); };
  CompileOptions options;
  if (stage != Stage::Imported || module->hasAttr(attr::options)) {
    FailureOr<CompileOptions> read = CompileOptions::read(module, emitError);
    if (failed(read))
      return failure();
    options = *read;
  }

  bool ok = true;
  auto wish = [&](const auto &given, auto &value, StringRef flag) {
    if (!given || *given == value)
      return;
    if (stage != Stage::Imported) {
      emitError() << "is at stage '" << getName(stage) << "'; --" << flag
                  << " can't be changed any more";
      ok = false;
    }
    value = *given;
  };
  // Another format, or machine, brings its own defaults.
  if (line.weights && *line.weights != options.weights &&
      stage == Stage::Imported)
    options.activations = options.kv = "";
  if (line.target && *line.target != options.target && stage == Stage::Imported)
    options.levels.clear();
  wish(line.weights, options.weights, "weights");
  wish(line.group, options.group, "group");
  wish(line.asymmetric, options.asymmetric, "asymmetric");
  wish(line.activations, options.activations, "activations");
  wish(line.kv, options.kv, "kv");
  wish(line.target, options.target, "target");
  wish(line.levels, options.levels, "cpu");
  if (!ok || failed(options.resolve(module, emitError)))
    return failure();
  options.write(module);
  return options;
}

LogicalResult chooseTokenizer(const CommandLine &line, ModuleOp module) {
  if (line.tokenizer.empty())
    return success();
  if (!llvm::sys::fs::exists(line.tokenizer))
    return fileError(module.getContext(), line.tokenizer)
           << "there is no such tokenizer";
  module->setAttr(
      attr::tokenizer,
      StringAttr::get(module.getContext(),
                      relativeTo(folderOf(line.input), line.tokenizer)));
  return success();
}

/// A tokenizer that can't be carried is told before the work, not behind it.
LogicalResult checkTokenizer(const CommandLine &line, ModuleOp module) {
  auto path = module->getAttrOfType<StringAttr>(attr::tokenizer);
  if (!path || line.printed)
    return success();
  SmallString<128> file(path.getValue());
  if (llvm::sys::path::is_relative(file)) {
    file = folderOf(line.input);
    llvm::sys::path::append(file, path.getValue());
  }
  auto tables = buildTokenizerTables(file);
  if (!tables)
    return emitError(module.getLoc(), llvm::toString(tables.takeError()));
  return success();
}

//===----------------------------------------------------------------------===//
// Writing
//===----------------------------------------------------------------------===//

/// What a compile reads, it must not replace.
LogicalResult checkOutputs(const CommandLine &line, ModuleOp module) {
  std::set<std::string> inputs = getFiles(module, folderOf(line.input));
  inputs.insert(line.input);
  SmallVector<std::string> outputs = {line.output};
  if (!line.printed && !line.bundle)
    outputs.push_back(getWeightsPath(line.output));
  for (const std::string &output : outputs)
    for (const std::string &input : inputs)
      if (llvm::sys::fs::equivalent(output, input))
        return fileError(module.getContext(), output)
               << "would be overwritten, but is what is compiled; choose "
                  "another OUTPUT";
  return success();
}

std::error_code writeTo(int file, StringRef text) {
  llvm::raw_fd_ostream os(file, /*shouldClose=*/false);
  os << text;
  os.flush();
  std::error_code error = os.error();
  os.clear_error();
  return error;
}

/// A file appears whole or not at all. A device or pipe is written to: renaming
/// a file would take its place.
LogicalResult writeText(MLIRContext *context, StringRef text,
                        StringRef output) {
  auto fail = [&](llvm::Error error) -> LogicalResult {
    return fileError(context, output)
           << "can't be written: " << llvm::toString(std::move(error));
  };
  llvm::sys::fs::file_status status;
  if (!llvm::sys::fs::status(output, status) &&
      !llvm::sys::fs::is_regular_file(status)) {
    int file = 0;
    std::error_code error = llvm::sys::fs::openFileForWrite(
        output, file, llvm::sys::fs::CD_OpenExisting);
    if (!error) {
      error = writeTo(file, text);
      (void)llvm::sys::Process::SafelyCloseFileDescriptor(file);
    }
    return error ? fail(llvm::errorCodeToError(error)) : success();
  }
  auto temporary = llvm::sys::fs::TempFile::create(output + ".tmp-%%%%%%");
  if (!temporary)
    return fail(temporary.takeError());
  if (std::error_code error = writeTo(temporary->FD, text)) {
    llvm::consumeError(temporary->discard());
    return fail(llvm::errorCodeToError(error));
  }
  if (llvm::Error error = temporary->keep(output))
    return fail(std::move(error));
  return success();
}

LogicalResult printStage(const CommandLine &line, ModuleOp module) {
  bool toStdout = line.output.empty() || line.output == "-";
  rebasePaths(module, folderOf(line.input),
              toStdout ? "." : folderOf(line.output));
  // Locations are the model's names: without them later errors have none.
  std::string text;
  llvm::raw_string_ostream os(text);
  module->print(os, OpPrintingFlags().enableDebugInfo(true, false));
  if (!toStdout)
    return writeText(module.getContext(), text, line.output);
  llvm::outs() << text;
  llvm::outs().flush();
  if (!llvm::outs().has_error())
    return success();
  std::error_code error = llvm::outs().error();
  llvm::outs().clear_error();
  return fileError(module.getContext(), "<stdout>")
         << "can't be written: " << error.message();
}

/// A line on stderr that moves, where that is a terminal.
void showProgress(StringRef what, uint64_t done, uint64_t all) {
  if (!llvm::sys::Process::StandardErrIsDisplayed() || !all)
    return;
  llvm::errs() << "\r" << what << " " << 100 * done / all << "% ";
  if (done == all)
    llvm::errs() << "\r\033[K";
}

LogicalResult compile(const CommandLine &line, StringRef toolPath,
                      MLIRContext *context) {
  OwningOpRef<ModuleOp> module = readModel(line, context);
  if (!module)
    return failure();
  FailureOr<Stage> stage = readStage(line, *module);
  if (failed(stage))
    return failure();
  FailureOr<CompileOptions> options = chooseOptions(line, *stage, *module);
  if (failed(options) || failed(chooseTokenizer(line, *module)) ||
      failed(checkTokenizer(line, *module)) ||
      failed(checkOutputs(line, *module)))
    return failure();

  PassManager pm(context);
  buildStages(pm, *stage, line.printed.value_or(Stage::LLVM), *options);
  if (failed(pm.run(*module)))
    return failure();
  if (line.printed)
    return printStage(line, *module);

  ArtifactOptions artifact;
  artifact.kind = line.kind;
  artifact.output = line.output;
  artifact.bundle = line.bundle;
  artifact.sourceFolder = folderOf(line.input);
  artifact.toolPath = toolPath;
  artifact.progress = showProgress;
  return writeArtifact(*module, artifact);
}

} // namespace

int qtale::compileMain(int argc, char **argv) {
  llvm::InitLLVM init(argc, argv);
  // A file beyond the limit of its size is a failed write, not a crash.
  std::signal(SIGXFSZ, SIG_IGN);
  endCleanlyOutOfMemory();
  int code = 0;
  std::optional<CommandLine> line = parseCommandLine(argc, argv, code);
  if (!line)
    return code;
  if (line->operators) {
    printOperators(llvm::outs());
    return 0;
  }

  DialectRegistry registry;
  registerDialects(registry);
  MLIRContext context(registry);
  context.loadAllAvailableDialects();
  // Users know their nodes by name; whole modules in a message help nobody.
  context.printOpOnDiagnostic(false);
  DiagnosticPrinter printer(&context);
  std::string toolPath = llvm::sys::fs::getMainExecutable(
      argv[0], reinterpret_cast<void *>(&compileMain));
  return failed(compile(*line, toolPath, &context));
}
