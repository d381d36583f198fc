//===- CommandLine.cpp - What the user asked for --------------------------===//

#include "CommandLine.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringSwitch.h"
#include "llvm/Support/CommandLine.h"
#include "llvm/Support/raw_ostream.h"

using namespace llvm;
using namespace qtale;

static const char overview[] =
    "qtale-compile: a language model in ONNX becomes native code and packed "
    "weights\n\n"
    "  qtale-compile model.onnx -o model.so                  as it is\n"
    "  qtale-compile model.onnx -o model.so --weights=int4   smaller and "
    "faster\n"
    "  qtale-compile model.onnx -o story --emit=exe --bundle one program\n"
    "  qtale-compile model.onnx --emit=packed                look inside\n\n"
    "INPUT is .onnx, .onnxtxt, or a stage that --emit printed (.mlir).\n"
    "The weights of model.so lie beside it, in model.safetensors.\n";

namespace {

/// The options while they are parsed; nothing global remains.
struct Options {
  cl::OptionCategory category{"Options of qtale-compile"};
  cl::opt<std::string> input{cl::Positional, cl::desc("INPUT"),
                             cl::cat(category)};
  cl::opt<std::string> output{"o", cl::desc("File to write"),
                              cl::value_desc("OUTPUT"), cl::cat(category)};
  cl::opt<std::string> weights{
      "weights",
      cl::desc("Format of matrices: keep (as in the model; default), f32, f16, "
               "bf16, int8 or int4"),
      cl::value_desc("FORMAT"), cl::cat(category)};
  cl::opt<int64_t> group{
      "group",
      cl::desc("Integer weights that share a scale: 32 (default), 64 or 128"),
      cl::value_desc("N"), cl::cat(category)};
  cl::opt<bool> asymmetric{
      "asymmetric", cl::desc("Give integer weights zero points besides scales"),
      cl::cat(category)};
  cl::opt<std::string> activations{
      "activations",
      cl::desc("With integer weights, compute in int8 (default with "
               "--weights=int8 or int4) or float (default with integers that "
               "the model brings)"),
      cl::value_desc("int8|float"), cl::cat(category)};
  cl::opt<std::string> kv{
      "kv",
      cl::desc("Elements of the key/value cache: f32 (default where weights "
               "stay f32), f16 (default otherwise) or int8"),
      cl::value_desc("f32|f16|int8"), cl::cat(category)};
  cl::list<std::string> cpu{
      "cpu", cl::CommaSeparated,
      cl::desc("CPU levels to compile for, as x86-64-v3 or "
               "armv8.2-a+dotprod; the best that a machine has is chosen "
               "there. native is this machine's; the default are those that "
               "people have"),
      cl::value_desc("LEVEL[,LEVEL...]"), cl::cat(category)};
  cl::opt<std::string> target{
      "target",
      cl::desc("Machine to compile for: x86_64-linux-gnu or aarch64-linux-gnu "
               "(default: this one's)"),
      cl::value_desc("TRIPLE"), cl::cat(category)};
  cl::opt<std::string> emit{
      "emit", cl::init("lib"),
      cl::desc("lib (default), exe (a program), obj, or a stage to print: "
               "imported, quantized, packed, unrouted, kernels, llvm"),
      cl::value_desc("WHAT"), cl::cat(category)};
  cl::opt<bool> bundle{"bundle",
                       cl::desc("Put the weights into the artifact's own file"),
                       cl::cat(category)};
  cl::opt<bool> operators{
      "print-operators",
      cl::desc("Print, as JSON, which of ONNX's operators are compiled: "
               "versions, types, attributes, and what is refused"),
      cl::cat(category)};
  cl::opt<std::string> tokenizer{
      "tokenizer",
      cl::desc("tokenizer.json (default: the one beside INPUT, if any)"),
      cl::value_desc("FILE"), cl::cat(category)};
};

template <typename T, typename Option> std::optional<T> given(Option &option) {
  if (!option.getNumOccurrences())
    return std::nullopt;
  return T(option);
}

bool isOneOf(const std::optional<std::string> &value,
             std::initializer_list<StringRef> allowed, StringRef option) {
  if (!value || is_contained(allowed, *value))
    return true;
  errs() << "qtale-compile: --" << option << " is " << join(allowed, ", ")
         << ", not '" << *value << "'\n";
  return false;
}

/// Checks what does not need the model.
bool fill(Options &options, CommandLine &line) {
  auto usage = [](const Twine &message) {
    errs() << "qtale-compile: " << message << "\n";
    return false;
  };
  line.input = options.input;
  line.output = options.output;
  line.tokenizer = options.tokenizer;
  line.bundle = options.bundle;
  line.weights = given<std::string>(options.weights);
  line.activations = given<std::string>(options.activations);
  line.kv = given<std::string>(options.kv);
  line.group = given<int64_t>(options.group);
  line.asymmetric = given<bool>(options.asymmetric);
  if (options.cpu.getNumOccurrences())
    line.levels.emplace(options.cpu.begin(), options.cpu.end());

  line.operators = options.operators;
  if (line.operators)
    return true;
  if (line.input.empty())
    return usage("which model? Give INPUT; --help shows how");
  if (!isOneOf(line.weights, {"keep", "f32", "f16", "bf16", "int8", "int4"},
               "weights") ||
      !isOneOf(line.activations, {"int8", "float"}, "activations") ||
      !isOneOf(line.kv, {"f32", "f16", "int8"}, "kv"))
    return false;
  if (line.group && !is_contained({32, 64, 128}, *line.group))
    return usage("--group is 32, 64 or 128, not " + Twine(*line.group));
  if (options.target.getNumOccurrences()) {
    line.target = CompileOptions::parseTarget(options.target);
    if (!line.target)
      return usage("--target=" + options.target +
                   ": no code is made for it; targets are x86_64-linux-gnu "
                   "and aarch64-linux-gnu");
  }

  line.printed = getStage(options.emit);
  if (!line.printed) {
    auto kind = StringSwitch<std::optional<ArtifactOptions::Kind>>(options.emit)
                    .Case("lib", ArtifactOptions::Library)
                    .Case("exe", ArtifactOptions::Executable)
                    .Case("obj", ArtifactOptions::Object)
                    .Default(std::nullopt);
    if (!kind)
      return usage("--emit is lib, exe, obj or a stage (imported, quantized, "
                   "packed, unrouted, kernels, llvm), not '" +
                   options.emit + "'");
    line.kind = *kind;
    if (line.output.empty())
      return usage("where to? Give -o OUTPUT");
  }
  if (line.bundle && (line.printed || line.kind == ArtifactOptions::Object))
    return usage("--bundle goes with --emit=lib or exe");
  return true;
}

} // namespace

std::optional<CommandLine> qtale::parseCommandLine(int argc, char **argv,
                                                   int &code) {
  Options options;
  cl::HideUnrelatedOptions(options.category);
  cl::SetVersionPrinter(
      [](raw_ostream &os) { os << "qtale-compile " QTALE_VERSION "\n"; });
  code = 2;
  if (!cl::ParseCommandLineOptions(argc, argv, overview, &errs()))
    return std::nullopt;
  CommandLine line;
  if (!fill(options, line))
    return std::nullopt;
  return line;
}
