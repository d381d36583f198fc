//===- TokenizerSplit.cpp - "pre_tokenizer" -------------------------------===//
//
//   ByteLevel                  GPT-2: Split by its pattern, words are bytes
//   Split, ByteLevel           Llama 3, Qwen, GPT-4o: by the model's pattern
//   Split " "                  Gemma
//   Metaspace                  Llama 2: " " is ▁, words begin with it
//
//===----------------------------------------------------------------------===//

#include "TokenizerDescription.h"
#include <set>

using namespace llvm;
using namespace qtale;
using namespace qtale::tokenizer;

/// The pattern of "ByteLevel" with "use_regex", GPT-2's own.
static constexpr StringRef kByteLevelPattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+)"
    R"(|\s+(?!\S)|\s+)";

namespace {
class SplitReader {
public:
  SplitReader(TokenizerReader &reader, const json::Object &step)
      : reader(reader), step(step),
        type(step.getString("type").value_or("absent")) {}

  Error read();

private:
  Error add(Expected<uint32_t> pattern, uint32_t flags) {
    if (!pattern)
      return pattern.takeError();
    reader.result.split.push_back({StepKind::Split, "", "", flags, *pattern});
    return Error::success();
  }
  Expected<uint32_t> behavior() const;
  Error readByteLevel();
  Error readMetaspace();
  Error readSplit();
  Error readDigits();
  Error readWhitespace();

  TokenizerReader &reader;
  const json::Object &step;
  StringRef type;
};
} // namespace

Expected<uint32_t> SplitReader::behavior() const {
  StringRef name = step.getString("behavior").value_or("Isolated");
  const std::pair<StringRef, uint32_t> known[] = {
      {"Isolated", kIsolated},
      {"Removed", kRemoved},
      {"MergedWithPrevious", kMergedWithPrevious},
      {"MergedWithNext", kMergedWithNext},
      {"Contiguous", kContiguous}};
  for (auto [text, value] : known)
    if (text == name)
      return value;
  return reader.unsupported(
      "pre_tokenizer.behavior", "\"" + name + "\"",
      "\"Isolated\", \"Removed\", \"MergedWithPrevious\", \"MergedWithNext\" "
      "and \"Contiguous\"");
}

static bool spellsAllBytes(const TokenizerDescription &description) {
  std::set<std::string> bytes;
  for (const auto &piece : description.vocabulary)
    if (auto spelled = decodeByteLevel(piece.first());
        spelled && spelled->size() == 1)
      bytes.insert(*spelled);
  return bytes.size() == 256;
}

Error SplitReader::readByteLevel() {
  if (Error error = reader.onlyKeys(
          "pre_tokenizer", step,
          {"type", "add_prefix_space", "trim_offsets", "use_regex"}))
    return error;
  Expected<bool> prefix =
      reader.flag("pre_tokenizer", step, "add_prefix_space", true);
  if (!prefix)
    return prefix.takeError();
  Expected<bool> useRegex =
      reader.flag("pre_tokenizer", step, "use_regex", true);
  if (!useRegex)
    return useRegex.takeError();
  if (reader.result.flags & kByteFallback && !spellsAllBytes(reader.result))
    return reader.unsupported(
        "model.byte_fallback", "true",
        "false with \"ByteLevel\", unless \"model.vocab\" "
        "has all of its 256 characters");
  reader.result.flags |= kByteLevel;
  if (*prefix)
    reader.result.split.push_back({StepKind::PrefixSpace, "", ""});
  if (!*useRegex)
    return Error::success();
  return add(reader.regex("pre_tokenizer", kByteLevelPattern), kIsolated);
}

Error SplitReader::readMetaspace() {
  std::string marker, scheme;
  if (Error error = reader.readMetaspace("pre_tokenizer", step, marker, scheme))
    return error;
  // tokenizers asks whether a word is made of the text's first character, which
  // is not known any more where steps have moved it.
  std::vector<TokenizerDescription::Step> &steps = reader.result.split;
  bool first = scheme == "first";
  if (first && llvm::any_of(steps, [](const auto &before) {
        return before.kind == StepKind::Metaspace;
      }))
    return reader.unsupported("pre_tokenizer.prepend_scheme",
                              "\"first\" behind another \"Metaspace\"",
                              "it in the first one");
  if (first && reader.movesBegin)
    return reader.unsupported(
        "pre_tokenizer.prepend_scheme",
        "\"first\" behind a normalizer that may move the begin of a text",
        "it behind normal forms, \"Lowercase\", \"Strip\" at the right and "
        "\"Replace\" of one character");
  if (first && !reader.result.normalize.empty() && !steps.empty())
    return reader.unsupported("pre_tokenizer.prepend_scheme",
                              "\"first\" behind a normalizer and other steps",
                              "it in the first step");
  Expected<bool> words = reader.flag("pre_tokenizer", step, "split", true);
  if (!words)
    return words.takeError();
  uint32_t flags =
      (*words ? kSplitWords : 0) | (scheme == "always"  ? kPrependAlways
                                    : scheme == "first" ? kPrependFirst
                                                        : 0);
  steps.push_back({StepKind::Metaspace, marker, "", flags});
  return Error::success();
}

Error SplitReader::readSplit() {
  if (Error error = reader.onlyKeys("pre_tokenizer", step,
                                    {"type", "pattern", "behavior", "invert"}))
    return error;
  Expected<uint32_t> flags = behavior();
  if (!flags)
    return flags.takeError();
  Expected<bool> invert = reader.flag("pre_tokenizer", step, "invert", false);
  if (!invert)
    return invert.takeError();
  return add(reader.pattern("pre_tokenizer", step),
             *flags | (*invert ? kInvert : 0));
}

Error SplitReader::readDigits() {
  Expected<bool> single =
      reader.flag("pre_tokenizer", step, "individual_digits", false);
  if (!single)
    return single.takeError();
  return add(reader.setPattern(numericCharacters(), !*single), kIsolated);
}

/// Words, and runs of what is neither a word's nor white space.
Error SplitReader::readWhitespace() {
  CharacterSet word = plainWordCharacters(), other = word;
  other |= whiteSpace();
  RegexNode choice;
  choice.kind = RegexNode::Alternative;
  for (const CharacterSet &set : {word, other.complement()}) {
    RegexNode one, loop;
    one.kind = RegexNode::Set;
    one.set = set;
    loop.kind = RegexNode::Repeat;
    loop.min = 1;
    loop.max = RegexNode::kUnlimited;
    loop.children.push_back(one);
    choice.children.push_back(loop);
  }
  Expected<RegexAutomaton> automaton = buildAutomaton(choice);
  if (!automaton)
    return automaton.takeError();
  reader.result.patterns.push_back(std::move(*automaton));
  return add(reader.result.patterns.size() - 1, kRemoved | kInvert);
}

Error SplitReader::read() {
  if (reader.result.flags & kByteLevel)
    return reader.unsupported("pre_tokenizer.type",
                              "\"" + type + "\" behind \"ByteLevel\"",
                              "\"ByteLevel\" as the last step only");
  if (type == "ByteLevel")
    return readByteLevel();
  if (type == "Metaspace")
    return readMetaspace();
  if (type == "Split")
    return readSplit();
  if (type == "Digits")
    return readDigits();
  if (type == "Whitespace")
    return readWhitespace();
  if (type == "WhitespaceSplit")
    return add(reader.setPattern(whiteSpace()), kRemoved);
  if (type == "Punctuation") {
    Expected<uint32_t> flags = behavior();
    if (!flags)
      return flags.takeError();
    return add(reader.setPattern(punctuationCharacters()), *flags);
  }
  return reader.unsupported(
      "pre_tokenizer.type", "\"" + type + "\"",
      "\"ByteLevel\", \"Split\", \"Digits\", \"Metaspace\", \"Whitespace\", "
      "\"WhitespaceSplit\", \"Punctuation\", and \"Sequence\" of them");
}

Error TokenizerReader::readPreTokenizer(const json::Value *preTokenizer) {
  auto list = steps("pre_tokenizer", preTokenizer, "pretokenizers");
  if (!list)
    return list.takeError();
  for (const json::Object *step : *list)
    if (Error error = SplitReader(*this, *step).read())
      return error;
  return Error::success();
}
