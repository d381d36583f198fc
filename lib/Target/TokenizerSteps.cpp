//===- TokenizerSteps.cpp - What happens to a text around the model -------===//
//
//   normalizer      Prepend ▁, Replace " " by ▁     before the model
//   pre_tokenizer   Metaspace: the same, and words
//   post_processor  which token begins a sequence
//   decoder         Replace ▁ by " ", ByteFallback, Fuse, Strip
//
//===----------------------------------------------------------------------===//

#include "TokenizerDescription.h"

using namespace llvm;
using namespace qtale;
using namespace qtale::tokenizer;

static bool isNull(const json::Value *value) {
  return !value || value->kind() == json::Value::Null;
}

/// The steps of a component: those of a Sequence, or itself. Null: none.
static Expected<SmallVector<const json::Object *>>
stepsOf(TokenizerReader &reader, StringRef key, const json::Value *value,
        StringRef listName) {
  SmallVector<const json::Object *> steps;
  if (isNull(value))
    return steps;
  const json::Object *object = value->getAsObject();
  if (!object)
    return reader.error("\"" + key + "\" must be an object or null");
  if (object->getString("type").value_or("") != "Sequence") {
    steps.push_back(object);
    return steps;
  }
  const json::Array *list = object->getArray(listName);
  if (!list)
    return reader.error("\"" + key + "." + listName + "\" must be a list");
  for (const json::Value &step : *list) {
    if (!step.getAsObject())
      return reader.error("\"" + key + "." + listName + "\" must hold objects");
    steps.push_back(step.getAsObject());
  }
  return steps;
}

/// {"type": "Replace", "pattern": {"String": "▁"}, "content": " "}
static Error readReplace(TokenizerReader &reader, StringRef key,
                         const json::Object &step,
                         std::vector<TokenizerDescription::Step> &into) {
  const json::Object *pattern = step.getObject("pattern");
  std::optional<StringRef> from;
  if (pattern)
    from = pattern->getString("String");
  if (!from || from->empty())
    return reader.unsupported((key + ".pattern").str(),
                              "not {\"String\": TEXT}",
                              "only {\"String\": TEXT} in Replace");
  Expected<std::string> to = reader.string(key, step, "content");
  if (!to)
    return to.takeError();
  into.push_back({StepKind::Replace, from->str(), *to});
  return Error::success();
}

Error TokenizerReader::readNormalizer(const json::Value *normalizer) {
  auto steps = stepsOf(*this, "normalizer", normalizer, "normalizers");
  if (!steps)
    return steps.takeError();
  for (const json::Object *step : *steps) {
    StringRef type = step->getString("type").value_or("absent");
    if (type == "Prepend") {
      Expected<std::string> text = string("normalizer", *step, "prepend");
      if (!text)
        return text.takeError();
      result.normalize.push_back({StepKind::Prepend, "", *text});
    } else if (type == "Replace") {
      if (Error error =
              readReplace(*this, "normalizer", *step, result.normalize))
        return error;
    } else {
      return unsupported("normalizer.type", "\"" + type + "\"",
                         "\"Prepend\", \"Replace\", and \"Sequence\" of them");
    }
  }
  return Error::success();
}

/// Metaspace's replacement and prepend_scheme, for both directions.
static Error readMetaspace(TokenizerReader &reader, StringRef key,
                           const json::Object &object, std::string &marker,
                           std::string &scheme) {
  if (Error error = reader.onlyKeys(key, object,
                                    {"type", "replacement", "prepend_scheme",
                                     "add_prefix_space", "split", "str_rep"}))
    return error;
  Expected<std::string> replacement = reader.string(key, object, "replacement");
  if (!replacement)
    return replacement.takeError();
  if (replacement->empty())
    return reader.error("\"" + key + ".replacement\" is empty");
  marker = *replacement;
  Expected<bool> prefix = reader.flag(key, object, "add_prefix_space", true);
  if (!prefix)
    return prefix.takeError();
  scheme = object.getString("prepend_scheme")
               .value_or(*prefix ? "always" : "never")
               .str();
  if (!is_contained({"always", "first", "never"}, scheme))
    return reader.unsupported((key + ".prepend_scheme").str(),
                              "\"" + scheme + "\"",
                              "\"always\", \"first\" and \"never\"");
  return Error::success();
}

Error TokenizerReader::readPreTokenizer(const json::Value *preTokenizer) {
  auto steps = stepsOf(*this, "pre_tokenizer", preTokenizer, "pretokenizers");
  if (!steps)
    return steps.takeError();
  if (steps->empty())
    return Error::success();
  for (const json::Object *step : *steps) {
    StringRef type = step->getString("type").value_or("absent");
    if (type != "Metaspace" || steps->size() > 1)
      return unsupported("pre_tokenizer.type", "\"" + type + "\"",
                         "one \"Metaspace\" or null");
  }
  const json::Object &metaspace = *steps->front();
  std::string scheme;
  if (Error error = readMetaspace(*this, "pre_tokenizer", metaspace,
                                  result.marker, scheme))
    return error;
  Expected<bool> split = flag("pre_tokenizer", metaspace, "split", true);
  if (!split)
    return split.takeError();
  result.flags |= kMetaspace | (*split ? kSplit : 0) |
                  (scheme == "always"  ? kPrependAlways
                   : scheme == "first" ? kPrependFirst
                                       : 0);
  return Error::success();
}

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
  auto steps = stepsOf(*this, "post_processor", postProcessor, "processors");
  if (!steps)
    return steps.takeError();
  for (const json::Object *step : *steps) {
    StringRef type = step->getString("type").value_or("absent");
    if (type == "TemplateProcessing") {
      if (Error error = readTemplate(*this, *step))
        return error;
    } else if (type != "ByteLevel") { // which only moves offsets
      return unsupported("post_processor.type", "\"" + type + "\"",
                         "\"TemplateProcessing\" and null");
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
  int64_t start = step.getInteger("start").value_or(0);
  int64_t stop = step.getInteger("stop").value_or(0);
  if (!fused)
    return reader.unsupported("decoder.type", "\"Strip\" before \"Fuse\"",
                              "\"Strip\" after it");
  if (stop != 0)
    return reader.unsupported("decoder.stop", Twine(stop), "0 in \"Strip\"");
  if (start < 0 || start > 1 || stripped)
    return reader.unsupported("decoder.start", Twine(start),
                              "one \"Strip\" with 0 or 1");
  stripped = true;
  if (start == 1)
    reader.result.decode.push_back({StepKind::Strip, *content, ""});
  return Error::success();
}

Error DecoderReader::readMetaspaceStep(const json::Object &step) {
  std::string marker, scheme;
  if (Error error = readMetaspace(reader, "decoder", step, marker, scheme))
    return error;
  reader.result.decode.push_back(
      {scheme == "never" ? StepKind::Replace : StepKind::Metaspace, marker,
       " "});
  return Error::success();
}

Error DecoderReader::read(const json::Object &step) {
  StringRef type = step.getString("type").value_or("absent");
  if (type == "Strip")
    return readStrip(step);
  if (type == "Fuse") {
    fused = true;
    return Error::success();
  }
  bool known =
      type == "Replace" || type == "ByteFallback" || type == "Metaspace";
  if (!known || bytes || fused)
    return reader.unsupported(
        "decoder.type",
        "\"" + type + "\"" +
            (known ? " after \"ByteFallback\" or \"Fuse\"" : ""),
        "\"Replace\" or \"Metaspace\", then \"ByteFallback\", \"Fuse\" and "
        "\"Strip\", in a \"Sequence\"");
  if (type == "Replace")
    return readReplace(reader, "decoder", step, reader.result.decode);
  if (type == "Metaspace")
    return readMetaspaceStep(step);
  bytes = true;
  reader.result.decode.push_back({StepKind::ByteFallback, "", ""});
  return Error::success();
}

Error TokenizerReader::readDecoder(const json::Value *decoder) {
  if (isNull(decoder))
    return unsupported("decoder", "null",
                       "a \"Sequence\" of \"Replace\", \"ByteFallback\", "
                       "\"Fuse\" and \"Strip\", or \"Metaspace\"");
  auto steps = stepsOf(*this, "decoder", decoder, "decoders");
  if (!steps)
    return steps.takeError();
  DecoderReader reader{*this};
  for (const json::Object *step : *steps)
    if (Error error = reader.read(*step))
      return error;
  return Error::success();
}
