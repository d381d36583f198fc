//===- Tokenizer.cpp - tokenizer.json as flat tables ----------------------===//
//
//   { "model": …, "normalizer": …, "pre_tokenizer": …, "added_tokens": …,
//     "post_processor": …, "decoder": … }
//
// A key at a time; each either is understood to the last detail or refused by
// name, since a tokenizer that is almost right makes a model quietly worse.
//
//===----------------------------------------------------------------------===//

#include "qtale/Target/Tokenizer.h"
#include "../Runtime/Utf8.h"
#include "TokenizerDescription.h"
#include "qtale/Support/Json.h"
#include "llvm/Support/MemoryBuffer.h"

using namespace llvm;
using namespace qtale;

Error TokenizerReader::error(const Twine &message) const {
  return createStringError(inconvertibleErrorCode(), path + ": " + message);
}

Error TokenizerReader::refuse(const Twine &message) const {
  return error(message + "; pass ids (--ids), or compile the model without a "
                         "tokenizer");
}

Error TokenizerReader::unsupported(StringRef key, const Twine &value,
                                   StringRef supported) const {
  return refuse("\"" + key + "\" is " + value + ", but qtale supports " +
                supported);
}

Error TokenizerReader::onlyKeys(StringRef key, const json::Object &object,
                                ArrayRef<StringRef> known) const {
  for (const auto &[name, value] : object)
    if (!is_contained(known, StringRef(name)))
      return error("\"" + key + "\" has the key \"" + StringRef(name) +
                   "\", which qtale does not know");
  return Error::success();
}

Expected<bool> TokenizerReader::flag(StringRef key, const json::Object &object,
                                     StringRef name, bool fallback) const {
  const json::Value *value = object.get(name);
  if (!value || value->kind() == json::Value::Null)
    return fallback;
  if (auto boolean = value->getAsBoolean())
    return *boolean;
  return error("\"" + key + "." + name + "\" must be true or false");
}

Expected<std::string> TokenizerReader::string(StringRef key,
                                              const json::Object &object,
                                              StringRef name) const {
  if (auto value = object.getString(name))
    return value->str();
  return error("\"" + key + "." + name + "\" must be a string");
}

static Error readAll(TokenizerReader &reader, const json::Object &root) {
  if (Error error = reader.onlyKeys(
          "tokenizer", root,
          {"version", "truncation", "padding", "added_tokens", "normalizer",
           "pre_tokenizer", "post_processor", "decoder", "model"}))
    return error;
  const json::Object *model = root.getObject("model");
  if (!model)
    return reader.error("there is no object \"model\"; is this a "
                        "tokenizer.json of Hugging Face tokenizers?");
  if (Error error = reader.readModel(*model))
    return error;
  if (Error error = reader.readNormalizer(root.get("normalizer")))
    return error;
  if (Error error = reader.readPreTokenizer(root.get("pre_tokenizer")))
    return error;
  // Added tokens may be matched in normalized text, so they need the steps.
  if (Error error = reader.readAddedTokens(root.get("added_tokens")))
    return error;
  if (Error error = reader.readPostProcessor(root.get("post_processor")))
    return error;
  return reader.readDecoder(root.get("decoder"));
}

/// The four digits of "\\uXXXX" at the begin of `text`, or nothing.
static std::optional<uint32_t> escapedUnit(StringRef text) {
  uint32_t unit;
  if (!text.consume_front("\\u") || text.size() < 4 ||
      text.take_front(4).getAsInteger(16, unit))
    return std::nullopt;
  return unit;
}

/// `text` with pairs of escaped surrogates as the characters that they are:
/// LLVM 22 reads those of half of the planes as others ("\\udb40\\udc01" as
/// U+D0001).
static std::string joinSurrogates(StringRef text) {
  std::string result;
  while (!text.empty()) {
    size_t plain = std::min(text.find('\\'), text.size());
    result += text.take_front(plain);
    text = text.drop_front(plain);
    std::optional<uint32_t> high = escapedUnit(text), low;
    if (high && *high >= 0xd800 && *high < 0xdc00)
      low = escapedUnit(text.drop_front(6));
    if (low && *low >= 0xdc00 && *low < 0xe000) {
      rt::appendCharacter(result,
                          0x10000 + ((*high - 0xd800) << 10) + (*low - 0xdc00));
      text = text.drop_front(12);
    } else { // what is escaped is no begin of another escape
      result += text.take_front(2);
      text = text.drop_front(std::min<size_t>(2, text.size()));
    }
  }
  return result;
}

Expected<std::vector<uint8_t>> qtale::buildTokenizerTables(StringRef path) {
  TokenizerDescription description;
  TokenizerReader reader{path, description};
  auto buffer = MemoryBuffer::getFile(path);
  if (!buffer)
    return reader.error(buffer.getError().message());
  if (isJsonTooDeep((*buffer)->getBuffer()))
    return reader.error("has lists and objects more than " +
                        Twine(maxJsonDepth) +
                        " deep; is this a tokenizer.json?");
  Expected<json::Value> parsed =
      json::parse(joinSurrogates((*buffer)->getBuffer()));
  if (!parsed)
    return reader.error("not JSON: " + toString(parsed.takeError()));
  const json::Object *root = parsed->getAsObject();
  if (!root)
    return reader.error("must be a JSON object");
  if (Error error = readAll(reader, *root))
    return error;
  return writeTables(description);
}
