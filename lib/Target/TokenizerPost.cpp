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

/// The id that a TemplateProcessing means by `name`, or kNone where that is not
/// one that there is.
static uint32_t idOf(const TokenizerDescription &description,
                     const json::Object &object, StringRef name) {
  const json::Object *tokens = object.getObject("special_tokens");
  const json::Object *token = tokens ? tokens->getObject(name) : nullptr;
  const json::Array *ids = token ? token->getArray("ids") : nullptr;
  if (!ids || ids->size() != 1)
    return kNone;
  uint64_t id = ids->front().getAsUINT64().value_or(kMaxIds);
  bool known = id < description.pieces.size() && description.pieces[id];
  return known ? static_cast<uint32_t>(id) : kNone;
}

/// What a TemplateProcessing puts before a text: its begin of sequence. What it
/// would put behind one is refused: a model would be asked to go on after an
/// end.
static Error readTemplate(TokenizerReader &reader, const json::Object &object) {
  const json::Array *single = object.getArray("single");
  if (!single)
    return reader.error("\"post_processor.single\" must be a list");
  auto refuse = [&](const Twine &value) {
    return reader.unsupported(
        "post_processor.single", "a template with " + value,
        "one special token before the text \"A\", or none");
  };
  bool afterText = false;
  for (const json::Value &value : *single) {
    const json::Object *part = value.getAsObject();
    const json::Object *text = part ? part->getObject("Sequence") : nullptr;
    const json::Object *token =
        part ? part->getObject("SpecialToken") : nullptr;
    std::optional<StringRef> name;
    if (text || token)
      name = (text ? text : token)->getString("id");
    if (!name)
      return reader.error("\"post_processor.single\" must hold SpecialToken "
                          "and Sequence objects");
    if (text && (afterText || *name != "A"))
      return refuse("another text, \"" + *name + "\"");
    if (text) {
      afterText = true;
      continue;
    }
    if (afterText)
      return refuse("\"" + *name + "\" after the text");
    if (reader.result.bos != kNone)
      return refuse("\"" + *name + "\" as a second token");
    reader.result.bos = idOf(reader.result, object, *name);
    if (reader.result.bos == kNone)
      return refuse("\"" + *name +
                    "\", which \"special_tokens\" gives no id, "
                    "or not a single one that is known");
  }
  return afterText ? Error::success() : refuse("no text");
}

Error TokenizerReader::readPostProcessor(const json::Value *postProcessor) {
  auto list = steps("post_processor", postProcessor, "processors");
  if (!list)
    return list.takeError();
  bool templated = false;
  for (const json::Object *step : *list) {
    StringRef type = step->getString("type").value_or("absent");
    if (type == "TemplateProcessing") {
      if (std::exchange(templated, true))
        return unsupported("post_processor", "several templates", "one");
      if (Error error = readTemplate(*this, *step))
        return error;
    } else if (type != "ByteLevel") { // which only moves offsets
      return unsupported("post_processor.type", "\"" + type + "\"",
                         "\"TemplateProcessing\", \"ByteLevel\" and null");
    }
  }
  // Without a template, tokenizers of old are known to begin with it all the
  // same; where one leaves it out, it may still be given as an id.
  if (result.bos != kNone || !templated)
    result.flags |= kBeginsWithBos;
  if (result.bos == kNone)
    result.bos = result.namedBos;
  return Error::success();
}
