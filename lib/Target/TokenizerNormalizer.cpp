//===- TokenizerNormalizer.cpp - "normalizer" -----------------------------===//
//
//   Prepend ▁, Replace " " by ▁        Llama 2, Gemma
//   NFC                                Qwen
//   NFD NFKC NFKD Lowercase Strip      others
//
//===----------------------------------------------------------------------===//

#include "../Runtime/Utf8.h"
#include "TokenizerDescription.h"

using namespace llvm;
using namespace qtale;
using namespace qtale::tokenizer;

/// A normal form and its maps.
static void addForm(TokenizerDescription &result, bool compatible,
                    bool composed) {
  result.maps.push_back(decompositionMap(compatible));
  result.composes = true;
  uint32_t index = result.maps.size() - 1;
  result.normalize.push_back(
      {composed ? StepKind::Compose : StepKind::Decompose, "", "", 0, index});
}

static Error readStrip(TokenizerReader &reader, const json::Object &step) {
  uint32_t sides = 0;
  for (auto [name, side] :
       {std::make_pair("strip_left", kLeft), {"strip_right", kRight}}) {
    Expected<bool> value = reader.flag("normalizer", step, name, true);
    if (!value)
      return value.takeError();
    if (*value)
      sides |= side;
  }
  reader.result.normalize.push_back({StepKind::Strip, "", "", sides});
  return Error::success();
}

static Error readStep(TokenizerReader &reader, const json::Object &step) {
  TokenizerDescription &result = reader.result;
  StringRef type = step.getString("type").value_or("absent");
  if (type == "Replace")
    return reader.readReplace("normalizer", step, result.normalize);
  if (type == "Strip")
    return readStrip(reader, step);
  if (type == "Prepend") {
    Expected<std::string> text = reader.string("normalizer", step, "prepend");
    if (!text)
      return text.takeError();
    result.normalize.push_back({StepKind::Prepend, "", *text});
    return Error::success();
  }
  if (type == "Lowercase") {
    result.maps.push_back(lowercaseMap());
    uint32_t index = result.maps.size() - 1;
    result.normalize.push_back({StepKind::Map, "", "", 0, index});
    return Error::success();
  }
  if (type == "NFC" || type == "NFD" || type == "NFKC" || type == "NFKD") {
    addForm(result, /*compatible=*/type.contains('K'),
            /*composed=*/type.ends_with("C"));
    return Error::success();
  }
  return reader.unsupported(
      "normalizer.type", "\"" + type + "\"",
      "\"NFC\", \"NFD\", \"NFKC\", \"NFKD\", \"Lowercase\", \"Strip\", "
      "\"Prepend\", \"Replace\", and \"Sequence\" of them");
}

Error TokenizerReader::readNormalizer(const json::Value *normalizer) {
  auto list = steps("normalizer", normalizer, "normalizers");
  if (!list)
    return list.takeError();
  for (const json::Object *step : *list)
    if (Error error = readStep(*this, *step))
      return error;
  movesBegin = llvm::any_of(result.normalize, [](const auto &step) {
    return step.kind == StepKind::Prepend ||
           step.kind == StepKind::ReplacePattern ||
           (step.kind == StepKind::Strip && step.flags & kLeft) ||
           (step.kind == StepKind::Replace &&
            (step.to.empty() ||
             rt::decodeCharacter(step.from).length != step.from.size()));
  });
  return Error::success();
}
