//===- TokenizerDecoder.cpp - "decoder" -----------------------------------===//
//
//   ByteLevel                                     GPT-2, Llama 3, Qwen
//   Replace ▁ by " ", ByteFallback, Fuse, Strip   Llama 2, Gemma
//
// Each token becomes text by itself, so that a text can be given out while it
// is made: what would need the end of the text is refused.
//
//===----------------------------------------------------------------------===//

#include "../Runtime/Utf8.h"
#include "TokenizerDescription.h"

using namespace llvm;
using namespace qtale;
using namespace qtale::tokenizer;

namespace {
/// Reads the decoder's steps in order. Replace and ByteFallback work on a
/// token, Fuse joins all, Strip works on what it is given: the whole text.
struct DecoderReader {
  TokenizerReader &reader;
  bool bytes = false, fused = false, stripped = false;

  Error read(const json::Object &step);
  Error readStrip(const json::Object &step);
  Error readMetaspaceStep(const json::Object &step);
};
} // namespace

Error DecoderReader::readStrip(const json::Object &step) {
  Expected<std::string> content = reader.string("decoder", step, "content");
  if (!content)
    return content.takeError();
  if (content->empty() ||
      rt::decodeCharacter(*content).length != content->size())
    return reader.error(
        "\"decoder.content\" of \"Strip\" must be one character");
  int64_t start = 0, stop = 0;
  constexpr int64_t kMost = 1000;
  for (auto [key, count] :
       {std::pair("start", &start), std::pair("stop", &stop)}) {
    const json::Value *value = step.get(key);
    std::optional<int64_t> given = value ? value->getAsInteger() : 0;
    if (!given)
      return reader.error("\"decoder." + Twine(key) +
                          "\" of \"Strip\" must be an integer");
    if (*given < 0 || *given > kMost)
      return reader.unsupported(("decoder." + Twine(key)).str(), Twine(*given),
                                "\"Strip\" of 0 to 1000");
    *count = *given;
  }
  std::vector<TokenizerDescription::Step> &steps = reader.result.decode;
  if (!fused) {
    if (start)
      steps.push_back({StepKind::Strip, *content, "", uint32_t(start)});
    if (stop)
      steps.push_back({StepKind::StripEnd, *content, "", uint32_t(stop)});
    return Error::success();
  }
  // Of the whole text, which is given out before its end is known.
  if (stop != 0)
    return reader.unsupported("decoder.stop", Twine(stop),
                              "0 in \"Strip\" behind \"Fuse\"");
  if (start > 1 || stripped)
    return reader.unsupported("decoder.start", Twine(start),
                              "one \"Strip\" with 0 or 1 behind \"Fuse\"");
  // The bytes of other characters may be spread over tokens.
  if (content->size() > 1)
    return reader.unsupported("decoder.content", "\"" + *content + "\"",
                              "ASCII in \"Strip\" behind \"Fuse\"");
  stripped = true;
  if (start == 1)
    steps.push_back({StepKind::StripText, *content, ""});
  return Error::success();
}

Error DecoderReader::readMetaspaceStep(const json::Object &step) {
  std::string marker, scheme;
  if (Error error = reader.readMetaspace("decoder", step, marker, scheme))
    return error;
  reader.result.decode.push_back(
      {scheme == "never" ? StepKind::Replace : StepKind::Metaspace, marker,
       " "});
  return Error::success();
}

Error DecoderReader::read(const json::Object &step) {
  StringRef type = step.getString("type").value_or("absent");
  if (type == "Strip" && (fused || !bytes))
    return readStrip(step);
  if (type == "Fuse") {
    fused = true;
    return Error::success();
  }
  bool known =
      is_contained({"Replace", "ByteFallback", "Metaspace", "Strip"}, type);
  if (!known || bytes || fused)
    return reader.unsupported(
        "decoder.type",
        "\"" + type + "\"" +
            (known ? " after \"ByteFallback\" or \"Fuse\"" : ""),
        "\"Replace\" or \"Metaspace\", then \"ByteFallback\", \"Fuse\" and "
        "\"Strip\", in a \"Sequence\"");
  if (type == "Replace")
    return reader.readReplace("decoder", step, reader.result.decode);
  if (type == "Metaspace")
    return readMetaspaceStep(step);
  bytes = true;
  reader.result.decode.push_back({StepKind::ByteFallback, "", ""});
  return Error::success();
}

/// The pieces of a byte-level vocabulary are kept as their bytes, which is all
/// that "ByteLevel" does.
static Error readByteLevel(TokenizerReader &reader,
                           ArrayRef<const json::Object *> steps) {
  TokenizerDescription &result = reader.result;
  for (const json::Object *step : steps)
    // Behind it all is one text, which is joined already.
    if (StringRef type = step->getString("type").value_or("absent");
        type != (step == steps[0] ? "ByteLevel" : "Fuse"))
      return reader.unsupported(
          "decoder.type",
          "\"" + type + "\"" + (step == steps[0] ? "" : " behind another step"),
          "\"ByteLevel\" alone where the pre-tokenizer is of that kind");
  for (std::optional<TokenizerDescription::Piece> &piece : result.pieces) {
    if (!piece)
      continue;
    std::optional<std::string> bytes = decodeByteLevel(piece->text);
    // No word is spelled with other characters than those of bytes.
    piece->model &= bytes.has_value();
    if (bytes)
      piece->text = *bytes;
  }
  return Error::success();
}

Error TokenizerReader::readDecoder(const json::Value *decoder) {
  auto list = steps("decoder", decoder, "decoders");
  if (!list)
    return list.takeError();
  if (list->empty())
    return unsupported("decoder",
                       decoder && decoder->getAsObject()
                           ? "a \"Sequence\" of nothing"
                           : "null",
                       "\"ByteLevel\", \"Metaspace\", or a \"Sequence\" of "
                       "\"Replace\", \"ByteFallback\", \"Fuse\" and \"Strip\"");
  if (result.flags & kByteLevel)
    return readByteLevel(*this, *list);
  DecoderReader reader{*this};
  for (const json::Object *step : *list)
    if (Error error = reader.read(*step))
      return error;
  return Error::success();
}
