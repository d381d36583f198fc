//===- TokenizerPost.cpp - "post_processor" -------------------------------===//
//
//   TemplateProcessing   "<s> $A": which token begins a sequence
//   ByteLevel            nothing: it only moves offsets
//
//===----------------------------------------------------------------------===//

#include "TokenizerDescription.h"

using namespace llvm;
using namespace qtale;
using namespace qtale::tokenizer;

/// The first id that a TemplateProcessing means by `name`, or kNone.
static uint32_t idOf(const json::Object &object, StringRef name) {
  const json::Object *tokens = object.getObject("special_tokens");
  const json::Object *token = tokens ? tokens->getObject(name) : nullptr;
  const json::Array *ids = token ? token->getArray("ids") : nullptr;
  if (!ids || ids->empty())
    return kNone;
  int64_t id = ids->front().getAsInteger().value_or(-1);
  return id >= 0 && id < kMaxIds ? static_cast<uint32_t>(id) : kNone;
}

/// What a TemplateProcessing puts before a text: its begin of sequence. What it
/// would put behind one is refused: a model would be asked to go on after an
/// end.
static Error readTemplate(TokenizerReader &reader, const json::Object &object) {
  const json::Array *single = object.getArray("single");
  if (!single)
    return reader.error("\"post_processor.single\" must be a list");
  bool afterText = false;
  for (const json::Value &value : *single) {
    const json::Object *part = value.getAsObject();
    if (part && part->get("Sequence")) {
      afterText = true;
      continue;
    }
    const json::Object *token =
        part ? part->getObject("SpecialToken") : nullptr;
    std::optional<StringRef> name;
    if (token)
      name = token->getString("id");
    if (!name)
      return reader.error("\"post_processor.single\" must hold SpecialToken "
                          "and Sequence objects");
    if (afterText)
      return reader.unsupported("post_processor.single",
                                "a template with \"" + *name +
                                    "\" after the text",
                                "special tokens before it");
    if (reader.result.bos == kNone)
      reader.result.bos = idOf(object, *name);
  }
  return Error::success();
}

Error TokenizerReader::readPostProcessor(const json::Value *postProcessor) {
  auto list = steps("post_processor", postProcessor, "processors");
  if (!list)
    return list.takeError();
  for (const json::Object *step : *list) {
    StringRef type = step->getString("type").value_or("absent");
    if (type == "TemplateProcessing") {
      if (Error error = readTemplate(*this, *step))
        return error;
    } else if (type != "ByteLevel") { // which only moves offsets
      return unsupported("post_processor.type", "\"" + type + "\"",
                         "\"TemplateProcessing\", \"ByteLevel\" and null");
    }
  }
  if (result.bos != kNone)
    return Error::success();
  for (const std::optional<TokenizerDescription::Piece> &piece : result.pieces)
    if (piece && piece->special &&
        is_contained({"<s>", "<bos>", "<|begin_of_text|>"}, piece->text)) {
      result.bos = &piece - result.pieces.data();
      break;
    }
  return Error::success();
}
