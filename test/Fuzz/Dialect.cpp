//===- Dialect.cpp - Fuzzes parser, verifiers and passes of the dialect ---===//
//
//   // qtale-pack-weights{…}       the passes to run, if any: the first line
//   module { … }  ─ parse, verify ─▶ print ─▶ passes, or all stages from its own
//
//===----------------------------------------------------------------------===//

#include "Compile.h"
#include "TextMutator.h"

#include "mlir/IR/OwningOpRef.h"
#include "mlir/Parser/Parser.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/MathExtras.h"
#include "llvm/Support/raw_ostream.h"

using namespace mlir;

static bool isNumber(StringRef item) {
  int64_t value;
  return !item.getAsInteger(10, value);
}

/// Whether `key = ` stands somewhere without a list of such items behind it.
static bool hasOddList(StringRef text, StringRef key,
                       llvm::function_ref<bool(StringRef)> isFit) {
  while (true) {
    text = text.split(key).second.ltrim();
    if (text.empty())
      return false;
    if (!text.consume_front("="))
      continue;
    StringRef list = text.ltrim().split(']').first;
    if (!list.consume_front("["))
      return true;
    for (StringRef item : llvm::split(list, ','))
      if (!item.trim().empty() && !isFit(item.trim()))
        return true;
  }
}

/// Whether an operation of such a name gives or takes a shaped type of so many
/// elements that a list of them can't be held, or of an unknown number.
static bool hasEndlessElements(StringRef text, StringRef name) {
  while (text.contains(name)) {
    text = text.split(name).second;
    StringRef line = text.split('\n').first.split(" loc(").first;
    StringRef shape = line.rsplit(" : ").second.split('<').second;
    uint64_t count = 1, size;
    while (!shape.consumeInteger(10, size) && shape.consume_front("x"))
      if (count = llvm::SaturatingMultiply(count, size); count > 1 << 20)
        return true;
    if (shape.starts_with("?"))
      return true;
  }
  return false;
}

/// What ends MLIR's own parser, and mlir-opt with it: not ours to mend.
static bool crashesUpstream(StringRef text) {
  // It is recursive, without a limit.
  unsigned depth = 0;
  for (char c : text) {
    if (StringRef("({[<").contains(c) && ++depth > 128)
      return true;
    if (StringRef(")}]>").contains(c) && depth)
      --depth;
  }
  // It makes room for as many results of an operation as a use names.
  for (StringRef rest = text.split('#').second; !rest.empty();
       rest = rest.split('#').second)
    if (rest.take_while(llvm::isDigit).size() > 6)
      return true;
  // Of an array's elements it asks how wide a float they are.
  if (text.contains("array<index") || text.contains("array<none"))
    return true;
  // tensor.expand_shape asks the first dimension of each group where it is from.
  for (StringRef rest = text.split("_shape ").second; !rest.empty();
       rest = rest.split("_shape ").second)
    if (StringRef groups = rest.split("]]").first;
        groups.contains("[]") || groups.ends_with("["))
      return true;
  // It lists the type of each element.
  if (hasEndlessElements(text, ".from_elements") ||
      hasEndlessElements(text, ".to_elements"))
    return true;
  // linalg.generic takes every iterator type for a string; linalg.transpose and its
  // like go on with a list that they could not read.
  return hasOddList(text, "iterator_types",
                    [](StringRef item) { return item.starts_with("\""); }) ||
         hasOddList(text, "permutation", isNumber) ||
         hasOddList(text, "dimensions", isNumber);
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  std::string text(reinterpret_cast<const char *>(data), size);
  if (crashesUpstream(text))
    return 0;
  OwningOpRef<ModuleOp> module =
      parseSourceString<ModuleOp>(text, ParserConfig(&fuzz::context()));
  if (!module)
    return 0;
  std::string printed;
  llvm::raw_string_ostream os(printed);
  module->print(os, OpPrintingFlags().enableDebugInfo(true, false));
  StringRef pipeline = StringRef(text).split('\n').first;
  if (pipeline.consume_front("// "))
    fuzz::runPasses(*module, pipeline);
  else
    fuzz::compile(*module);
  return 0;
}

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size,
                                          size_t capacity, unsigned seed) {
  return fuzz::mutateTextInput(data, size, capacity, seed);
}
