//===- VerbFunctions.cpp - Comparing functions with the built-in texts ----===//

#include "VerbFunctions.h"

#include "onnx/defs/parser.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringMap.h"

using namespace llvm;
using namespace qtale::onnx_import;

namespace {
struct Text {
  const char *name, *text;
};
constexpr Text texts[] = {
#include "VerbTexts.inc"
};
} // namespace

/// What a function computes, whatever its values are called: operators,
/// attributes, and values numbered in the order of their appearance.
static std::string fingerprint(const onnx::FunctionProto &function) {
  std::string result;
  StringMap<unsigned> numbers;
  auto value = [&](const std::string &name) {
    if (name.empty()) {
      result += " -";
      return;
    }
    unsigned number = numbers.try_emplace(name, numbers.size()).first->second;
    result += " " + std::to_string(number);
  };
  for (const auto &set : function.opset_import())
    if (set.domain().empty() || set.domain() == "ai.onnx")
      result += "opset " + std::to_string(set.version()) + "\n";
  for (const auto &attribute : function.attribute())
    result += attribute + "\n";
  for (const auto &input : function.input())
    value(input);
  for (const auto &node : function.node()) {
    result += "\n" + node.domain() + "::" + node.op_type();
    SmallVector<std::string> attributes;
    for (onnx::AttributeProto attribute : node.attribute()) {
      attribute.clear_doc_string();
      attributes.push_back(attribute.SerializeAsString());
    }
    llvm::sort(attributes);
    result += llvm::join(attributes, "|") + " <-";
    llvm::for_each(node.input(), value);
    result += " ->";
    llvm::for_each(node.output(), value);
  }
  result += "\n=>";
  llvm::for_each(function.output(), value);
  return result;
}

bool qtale::onnx_import::isVerb(const onnx::FunctionProto &function) {
  for (const Text &known : texts) {
    if (function.name() != known.name)
      continue;
    onnx::FunctionProto verb;
    if (!onnx::OnnxParser::Parse(verb, known.text).IsOK())
      llvm::report_fatal_error("a built-in verb function does not parse");
    return fingerprint(verb) == fingerprint(function);
  }
  return false;
}
