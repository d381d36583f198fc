//===- TokenizerSteps.cpp - What the components have in common ------------===//
//
//   "type": "Sequence"           its steps, also of a Sequence within
//   "pattern": {"Regex": "…"}    an automaton, numbered
//   "type": "Replace"            in the normalizer and in the decoder
//   "type": "Metaspace"          in the pre-tokenizer and in the decoder
//
//===----------------------------------------------------------------------===//

#include "../Runtime/Utf8.h"
#include "TokenizerDescription.h"

using namespace llvm;
using namespace qtale;
using namespace qtale::tokenizer;

Expected<SmallVector<const json::Object *>>
TokenizerReader::steps(StringRef key, const json::Value *value,
                       StringRef listName) const {
  SmallVector<const json::Object *> result;
  if (!value || value->kind() == json::Value::Null)
    return result;
  // What is still to be read, the next one last.
  SmallVector<const json::Value *> open = {value};
  while (!open.empty()) {
    const json::Value *top = open.pop_back_val();
    const json::Object *object = top->getAsObject();
    if (!object)
      return error("\"" + key +
                   (top == value
                        ? "\" must be an object or null"
                        : "." + listName.str() + "\" must hold objects"));
    if (object->getString("type").value_or("") != "Sequence") {
      result.push_back(object);
      continue;
    }
    const json::Array *list = object->getArray(listName);
    if (!list)
      return error("\"" + key + "." + listName + "\" must be a list");
    for (const json::Value &step : llvm::reverse(*list))
      open.push_back(&step);
  }
  return result;
}

Expected<uint32_t> TokenizerReader::regex(StringRef key, StringRef text) {
  Expected<RegexAutomaton> automaton = compileRegex(text);
  if (!automaton)
    return refuse("\"" + key + "\": the regular expression \"" + text +
                  "\" is not supported: " + toString(automaton.takeError()));
  result.patterns.push_back(std::move(*automaton));
  return result.patterns.size() - 1;
}

Expected<uint32_t> TokenizerReader::setPattern(CharacterSet set,
                                               bool repeated) {
  RegexNode node;
  node.kind = RegexNode::Set;
  node.set = std::move(set);
  if (repeated) {
    RegexNode loop;
    loop.kind = RegexNode::Repeat;
    loop.min = 1;
    loop.max = RegexNode::kUnlimited;
    loop.children.push_back(std::move(node));
    node = std::move(loop);
  }
  Expected<RegexAutomaton> automaton = buildAutomaton(node);
  if (!automaton)
    return automaton.takeError();
  result.patterns.push_back(std::move(*automaton));
  return result.patterns.size() - 1;
}

/// A text, with a backslash before what means something in a pattern.
static std::string literally(StringRef text) {
  std::string result;
  for (char c : text) {
    if (StringRef("\\.+*?()|[]{}^$#&-~").contains(c))
      result += '\\';
    result += c;
  }
  return result;
}

Expected<uint32_t> TokenizerReader::pattern(StringRef key,
                                            const json::Object &step) {
  const json::Object *pattern = step.getObject("pattern");
  std::string name = (key + ".pattern").str();
  if (pattern && pattern->size() == 1) {
    if (auto text = pattern->getString("String"); text && !text->empty())
      return regex(name, literally(*text));
    if (auto text = pattern->getString("Regex"))
      return regex(name, *text);
  }
  return unsupported(name, "something else",
                     "{\"String\": TEXT} and {\"Regex\": PATTERN}");
}

Error TokenizerReader::readReplace(
    StringRef key, const json::Object &step,
    std::vector<TokenizerDescription::Step> &into) {
  if (Error error = onlyKeys(key, step, {"type", "pattern", "content"}))
    return error;
  Expected<std::string> to = string(key, step, "content");
  if (!to)
    return to.takeError();
  const json::Object *given = step.getObject("pattern");
  if (given && given->size() == 1)
    if (auto from = given->getString("String"); from && !from->empty()) {
      into.push_back({StepKind::Replace, from->str(), *to});
      return Error::success();
    }
  Expected<uint32_t> index = pattern(key, step);
  if (!index)
    return index.takeError();
  into.push_back({StepKind::ReplacePattern, "", *to, 0, *index});
  return Error::success();
}

/// Metaspace's replacement and prepend_scheme, for both directions.
Error TokenizerReader::readMetaspace(StringRef key, const json::Object &object,
                                     std::string &marker,
                                     std::string &scheme) const {
  if (Error error = onlyKeys(key, object,
                             {"type", "replacement", "prepend_scheme",
                              "add_prefix_space", "split", "str_rep"}))
    return error;
  Expected<std::string> replacement = string(key, object, "replacement");
  if (!replacement)
    return replacement.takeError();
  if (replacement->empty() ||
      rt::decodeCharacter(*replacement).length != replacement->size())
    return this->error("\"" + key + ".replacement\" must be one character");
  marker = *replacement;
  Expected<bool> prefix = flag(key, object, "add_prefix_space", true);
  if (!prefix)
    return prefix.takeError();
  scheme = object.getString("prepend_scheme").value_or("always").str();
  if (!is_contained({"always", "first", "never"}, scheme))
    return unsupported((key + ".prepend_scheme").str(), "\"" + scheme + "\"",
                       "\"always\", \"first\" and \"never\"");
  if (!*prefix && scheme != "never")
    return this->error("\"" + key + ".add_prefix_space\" is false, but \"" +
                       key + ".prepend_scheme\" is \"" + scheme + "\"");
  return Error::success();
}
