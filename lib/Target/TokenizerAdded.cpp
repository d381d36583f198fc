//===- TokenizerAdded.cpp - "added_tokens" --------------------------------===//
//
//   [{"id": 1, "content": "<s>", "special": true, "normalized": false, …}]
//
// A token that is matched in normalized text is normalized first, by the
// runtime's own steps, over tables that have nothing else yet.
//
//===----------------------------------------------------------------------===//

#include "../Runtime/TokenizerSteps.h"
#include "TokenizerDescription.h"
#include <functional>

using namespace llvm;
using namespace qtale;
using namespace qtale::tokenizer;

using Normalize = std::function<std::string(StringRef)>;

static Error readAddedToken(TokenizerReader &reader, const json::Object &token,
                            const Normalize &normalize) {
  TokenizerDescription &result = reader.result;
  Expected<std::string> content =
      reader.string("added_tokens", token, "content");
  if (!content)
    return content.takeError();
  if (Error error = reader.onlyKeys("added_tokens", token,
                                    {"id", "content", "single_word", "lstrip",
                                     "rstrip", "normalized", "special"}))
    return error;
  std::string at = "\"added_tokens\": \"" + *content + "\"";
  std::optional<int64_t> id = token.getInteger("id");
  if (!id || *id < 0 || *id >= kMaxIds)
    return reader.error(at + " needs an \"id\" from 0 to " +
                        Twine(kMaxIds - 1));
  if (content->empty())
    return reader.error("\"added_tokens\": the content of id " + Twine(*id) +
                        " is empty");
  bool values[5];
  const StringRef names[] = {"special", "single_word", "lstrip", "rstrip",
                             "normalized"};
  for (int i = 0; i < 5; ++i) {
    // As in tokenizers, special tokens are matched raw by default.
    Expected<bool> value =
        reader.flag("added_tokens", token, names[i], i == 4 && !values[0]);
    if (!value)
      return value.takeError();
    values[i] = *value;
  }
  auto [special, singleWord, lstrip, rstrip, norm] = values;
  if (singleWord && result.wordPattern == kNone) {
    Expected<uint32_t> pattern = reader.setPattern(plainWordCharacters());
    if (!pattern)
      return pattern.takeError();
    result.wordPattern = *pattern;
  }

  auto found = result.vocabulary.find(*content);
  if (found != result.vocabulary.end() && found->second != *id)
    return reader.error(at + " has the id " + Twine(*id) +
                        ", but \"model.vocab\" gives it " +
                        Twine(found->second));
  if (size_t(*id) >= result.pieces.size())
    result.pieces.resize(*id + 1);
  auto &piece = result.pieces[*id];
  if (piece && piece->text != *content)
    return reader.error(at + " has the id " + Twine(*id) +
                        ", which belongs to \"" + piece->text + "\"");
  // A token matched in normalized text stands for what it matched there; one
  // that is also a piece of the model keeps the name by which that finds it.
  std::string match = norm ? normalize(*content) : *content;
  if (match.empty())
    return reader.error(at + " is nothing once it is normalized");
  piece.emplace();
  piece->model = found != result.vocabulary.end();
  piece->text = found == result.vocabulary.end() ? match : *content;
  piece->special = special;

  uint32_t flags = (lstrip ? kStripLeft : 0) | (rstrip ? kStripRight : 0) |
                   (singleWord ? kSingleWord : 0);
  auto &list = norm ? result.normAdded : result.rawAdded;
  list.push_back({match, static_cast<uint32_t>(*id), flags});
  return Error::success();
}

Error TokenizerReader::readAddedTokens(const json::Value *addedTokens) {
  if (!addedTokens || addedTokens->kind() == json::Value::Null)
    return Error::success();
  const json::Array *tokens = addedTokens->getAsArray();
  if (!tokens)
    return error("\"added_tokens\" must be a list");
  // The steps of the normalizer, as the runtime will take them.
  TokenizerDescription steps;
  steps.normalize = result.normalize;
  steps.patterns = result.patterns;
  steps.maps = result.maps;
  steps.composes = result.composes;
  std::vector<uint8_t> tables = writeTables(steps);
  rt::TokenizerView view;
  if (view.open(tables.data(), tables.size(), nullptr))
    return error("the normalizer's tables can't be read back");
  rt::Normalizer normalizer(view);
  Normalize normalize = [&](StringRef text) {
    return normalizer({text.data(), text.size()});
  };
  for (const json::Value &value : *tokens) {
    const json::Object *token = value.getAsObject();
    if (!token)
      return error("\"added_tokens\" must hold objects");
    if (Error error = readAddedToken(*this, *token, normalize))
      return error;
  }
  return Error::success();
}
