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

namespace {
class AddedReader {
public:
  AddedReader(TokenizerReader &reader, Normalize normalize)
      : reader(reader), result(reader.result), normalize(std::move(normalize)) {
  }

  Error read(const json::Object &token);

private:
  struct Token {
    std::string content;
    uint32_t id;
    bool special, singleWord, lstrip, rstrip, normalized;
  };
  Expected<Token> readFields(const json::Object &object) const;
  Error checkId(const Token &token);
  Error add(const Token &token);
  std::string name(const Token &token) const {
    return "\"added_tokens\": \"" + token.content + "\"";
  }

  TokenizerReader &reader;
  TokenizerDescription &result;
  Normalize normalize;
  StringMap<json::Object> known; // by content
  StringMap<std::string> names;  // content, by what is matched when normalized
  StringMap<bool> texts;         // of a token: whether it is special
  std::optional<uint32_t> highest;
};
} // namespace

Expected<AddedReader::Token>
AddedReader::readFields(const json::Object &object) const {
  Token token;
  Expected<std::string> content =
      reader.string("added_tokens", object, "content");
  if (!content)
    return content.takeError();
  token.content = *content;
  if (Error error = reader.onlyKeys("added_tokens", object,
                                    {"id", "content", "single_word", "lstrip",
                                     "rstrip", "normalized", "special"}))
    return std::move(error);
  std::optional<int64_t> id = object.getInteger("id");
  if (!id || *id < 0 || *id >= kMaxIds)
    return reader.error(name(token) + " needs an \"id\" from 0 to " +
                        Twine(kMaxIds - 1));
  token.id = static_cast<uint32_t>(*id);
  if (content->empty())
    return reader.error("\"added_tokens\": the content of id " + Twine(*id) +
                        " is empty");
  token.special = false;
  const std::pair<StringRef, bool *> flags[] = {
      {"special", &token.special},
      {"single_word", &token.singleWord},
      {"lstrip", &token.lstrip},
      {"rstrip", &token.rstrip},
      {"normalized", &token.normalized}};
  for (auto [key, flag] : flags) {
    // As in tokenizers, special tokens are matched raw by default.
    Expected<bool> value = reader.flag("added_tokens", object, key,
                                       key == "normalized" && !token.special);
    if (!value)
      return value.takeError();
    *flag = *value;
  }
  return token;
}

/// tokenizers passes over the file's ids: a token that is no piece gets the
/// first id behind the vocabulary's count and the tokens added before it.
Error AddedReader::checkId(const Token &token) {
  auto found = result.vocabulary.find(token.content);
  if (found != result.vocabulary.end() && found->second != token.id)
    return reader.error(name(token) + " has the id " + Twine(token.id) +
                        ", but \"model.vocab\" gives it " +
                        Twine(found->second));
  if (token.id < result.pieces.size() && result.pieces[token.id] &&
      result.pieces[token.id]->text != token.content)
    return reader.error(name(token) + " has the id " + Twine(token.id) +
                        ", which belongs to \"" +
                        result.pieces[token.id]->text + "\"");
  uint32_t next = result.vocabulary.size();
  if (highest && *highest >= next)
    next = *highest + 1;
  if (found == result.vocabulary.end() && token.id != next)
    return reader.refuse(name(token) + " has the id " + Twine(token.id) +
                         ", but tokenizers, which counts pieces and tokens, "
                         "numbers it " +
                         Twine(next));
  highest = std::max(highest.value_or(0), token.id);
  return Error::success();
}

Error AddedReader::add(const Token &token) {
  bool isPiece = result.vocabulary.contains(token.content);
  // A token that is matched in normalized text stands for what it matched
  // there; one that is also a piece of the model keeps the name by which that
  // finds it.
  std::string match =
      token.normalized ? normalize(token.content) : token.content;
  if (match.empty())
    return reader.error(name(token) + " is nothing once it is normalized");
  if (isPiece && match != token.content && !token.special)
    return reader.refuse(name(token) + " is a piece of the model, and \"" +
                         match + "\" once it is normalized");
  if (token.normalized) {
    auto [entry, fresh] = names.try_emplace(match, token.content);
    if (!fresh)
      return reader.refuse(name(token) + " is \"" + match +
                           "\" once it is normalized, as is \"" +
                           entry->second + "\"");
  }
  if (token.id >= result.pieces.size())
    result.pieces.resize(token.id + 1);
  auto &piece = result.pieces[token.id];
  piece.emplace();
  piece->model = isPiece;
  piece->text = isPiece ? token.content : match;
  piece->special = token.special;
  auto [text, isFirst] = texts.try_emplace(piece->text, token.special);
  if (!isFirst && text->second != token.special)
    return reader.refuse(name(token) + " is \"" + piece->text +
                         "\" once it is normalized, as is another token; one "
                         "of the two is special");
  if (token.special && token.id < result.namedBos &&
      is_contained({"<s>", "<bos>", "<|begin_of_text|>"}, token.content))
    result.namedBos = token.id;

  uint32_t flags = (token.lstrip ? kStripLeft : 0) |
                   (token.rstrip ? kStripRight : 0) |
                   (token.singleWord ? kSingleWord : 0);
  auto &list = token.normalized ? result.normAdded : result.rawAdded;
  list.push_back({match, token.id, flags});
  return Error::success();
}

Error AddedReader::read(const json::Object &object) {
  Expected<Token> token = readFields(object);
  if (!token)
    return token.takeError();
  auto [entry, fresh] = known.try_emplace(token->content, object);
  if (!fresh && entry->second != object)
    return reader.refuse(name(*token) + " is there twice, with differences");
  if (!fresh)
    return Error::success();
  if (Error error = checkId(*token))
    return error;
  if (token->singleWord && result.wordPattern == kNone) {
    Expected<uint32_t> pattern = reader.setPattern(plainWordCharacters());
    if (!pattern)
      return pattern.takeError();
    result.wordPattern = *pattern;
  }
  return add(*token);
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
  AddedReader reader(*this, normalize);
  for (const json::Value &value : *tokens) {
    const json::Object *token = value.getAsObject();
    if (!token)
      return error("\"added_tokens\" must hold objects");
    if (Error error = reader.read(*token))
      return error;
  }
  // What begins behind such a token may still be of the text's first character.
  bool first = llvm::any_of(result.split, [](const auto &step) {
    return step.kind == StepKind::Metaspace && step.flags & kPrependFirst;
  });
  if (first && !result.normalize.empty() && !result.normAdded.empty())
    return unsupported("pre_tokenizer.prepend_scheme",
                       "\"first\", with a normalizer and added tokens that "
                       "are \"normalized\"",
                       "\"always\" and \"never\" there");
  return Error::success();
}
