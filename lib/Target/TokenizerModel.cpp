//===- TokenizerModel.cpp - "model" and "added_tokens" --------------------===//
//
//   "vocab":  {"▁": 3, "t": 4, "▁t": 5}   a piece and its id
//   "merges": ["▁ t"] or [["▁", "t"]]     (3, 4) -> 5, rank 0
//   "added_tokens": [{"id": 1, "content": "<s>", "special": true, …}]
//
//===----------------------------------------------------------------------===//

#include "TokenizerDescription.h"
#include "llvm/ADT/DenseMap.h"

using namespace llvm;
using namespace qtale;
using namespace qtale::tokenizer;

/// What a BPE model may ask for.
static const StringRef kModelKeys[] = {
    "type",          "dropout",
    "unk_token",     "continuing_subword_prefix",
    "fuse_unk",      "end_of_word_suffix",
    "byte_fallback", "ignore_merges",
    "vocab",         "merges"};

static Error readVocabulary(TokenizerReader &reader,
                            const json::Object &model) {
  TokenizerDescription &result = reader.result;
  const json::Object *vocabulary = model.getObject("vocab");
  if (!vocabulary)
    return reader.error("\"model.vocab\" must be an object of pieces and ids");
  for (const auto &[key, value] : *vocabulary) {
    StringRef piece = key;
    std::optional<int64_t> id = value.getAsInteger();
    if (!id || *id < 0 || *id >= kMaxIds)
      return reader.error("\"model.vocab\": the id of \"" + piece +
                          "\" must be a whole number from 0 to " +
                          Twine(kMaxIds - 1));
    if (size_t(*id) >= result.pieces.size())
      result.pieces.resize(*id + 1);
    if (result.pieces[*id])
      return reader.error("\"model.vocab\": \"" + result.pieces[*id]->text +
                          "\" and \"" + piece + "\" have the same id " +
                          Twine(*id));
    result.pieces[*id].emplace();
    result.pieces[*id]->text = piece.str();
    result.vocabulary[piece] = static_cast<uint32_t>(*id);
  }
  return Error::success();
}

/// The two pieces of a merge, from "a b" or ["a", "b"].
static bool splitMerge(const json::Value &value, StringRef &left,
                       StringRef &right) {
  if (auto text = value.getAsString()) {
    std::tie(left, right) = text->split(' ');
    return !left.empty() && !right.empty() && !right.contains(' ');
  }
  const json::Array *pair = value.getAsArray();
  if (!pair || pair->size() != 2)
    return false;
  auto first = (*pair)[0].getAsString(), second = (*pair)[1].getAsString();
  if (!first || !second)
    return false;
  left = *first;
  right = *second;
  return true;
}

static Error readMerges(TokenizerReader &reader, const json::Object &model) {
  TokenizerDescription &result = reader.result;
  const json::Array *merges = model.getArray("merges");
  if (!merges)
    return reader.error("\"model.merges\" must be a list");
  DenseMap<std::pair<uint32_t, uint32_t>, size_t> known;
  uint32_t rank = 0;
  for (const json::Value &value : *merges) {
    if (auto text = value.getAsString(); text && text->starts_with("#version"))
      continue;
    auto at = [&] { return "\"model.merges\", number " + Twine(rank); };
    StringRef left, right;
    if (!splitMerge(value, left, right))
      return reader.error(at() + ": must be \"left right\" or two strings");
    for (StringRef piece : {left, right})
      if (!result.vocabulary.contains(piece))
        return reader.error(at() + ": \"" + piece + "\" is no piece");
    std::string merged = (left + right).str();
    auto found = result.vocabulary.find(merged);
    if (found == result.vocabulary.end())
      return reader.error(at() + ": \"" + merged + "\" is no piece");

    Merge merge{result.vocabulary[left], result.vocabulary[right], rank++,
                found->second};
    auto [entry, fresh] =
        known.try_emplace({merge.left, merge.right}, result.merges.size());
    if (fresh)
      result.merges.push_back(merge);
    else // as in tokenizers, the last one counts
      result.merges[entry->second] = merge;
  }
  return Error::success();
}

Error TokenizerReader::readModel(const json::Object &model) {
  // Files of old versions name no type; only BPE has merges.
  StringRef type =
      model.getString("type").value_or(model.get("merges") ? "BPE" : "absent");
  if (type != "BPE")
    return unsupported("model.type", "\"" + type + "\"", "\"BPE\"");
  if (Error error = onlyKeys("model", model, kModelKeys))
    return error;
  if (model.getNumber("dropout").value_or(0) != 0)
    return unsupported("model.dropout", "a number", "null");
  for (StringRef key : {"continuing_subword_prefix", "end_of_word_suffix"})
    if (auto text = model.getString(key); text && !text->empty())
      return unsupported(("model." + key).str(), "\"" + *text + "\"", "null");
  struct {
    StringRef key;
    Flags flag;
  } flags[] = {{"byte_fallback", kByteFallback},
               {"fuse_unk", kFuseUnk},
               {"ignore_merges", kIgnoreMerges}};
  for (auto [key, bit] : flags) {
    Expected<bool> value = flag("model", model, key, false);
    if (!value)
      return value.takeError();
    if (*value)
      result.flags |= bit;
  }
  if (Error error = readVocabulary(*this, model))
    return error;
  if (auto unk = model.getString("unk_token")) {
    auto found = result.vocabulary.find(*unk);
    if (found == result.vocabulary.end())
      return error("\"model.unk_token\" is \"" + *unk +
                   "\", which is no piece of \"model.vocab\"");
    result.unk = found->second;
  }
  return readMerges(*this, model);
}

/// Normalizes an added token as a text is normalized.
static std::string normalized(const TokenizerDescription &description,
                              StringRef text) {
  std::string result = text.str();
  for (const TokenizerDescription::Step &step : description.normalize) {
    if (step.kind == StepKind::Prepend) {
      if (!result.empty())
        result.insert(0, step.to);
      continue;
    }
    for (size_t at = 0; (at = result.find(step.from, at)) != std::string::npos;
         at += step.to.size())
      result.replace(at, step.from.size(), step.to);
  }
  return result;
}

static Error readAddedToken(TokenizerReader &reader,
                            const json::Object &token) {
  TokenizerDescription &result = reader.result;
  Expected<std::string> content =
      reader.string("added_tokens", token, "content");
  if (!content)
    return content.takeError();
  if (Error error = reader.onlyKeys("added_tokens", token,
                                    {"id", "content", "single_word", "lstrip",
                                     "rstrip", "normalized", "special"}))
    return error;
  auto at = [&] { return "\"added_tokens\": \"" + *content + "\""; };
  std::optional<int64_t> id = token.getInteger("id");
  if (!id || *id < 0 || *id >= kMaxIds)
    return reader.error(at() + " needs an \"id\" from 0 to " +
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
  if (singleWord)
    return reader.unsupported("added_tokens.single_word",
                              "true for \"" + *content + "\"", "false");

  auto found = result.vocabulary.find(*content);
  if (found != result.vocabulary.end() && found->second != *id)
    return reader.error(at() + " has the id " + Twine(*id) +
                        ", but \"model.vocab\" gives it " +
                        Twine(found->second));
  if (size_t(*id) >= result.pieces.size())
    result.pieces.resize(*id + 1);
  auto &piece = result.pieces[*id];
  if (piece && piece->text != *content)
    return reader.error(at() + " has the id " + Twine(*id) +
                        ", which belongs to \"" + piece->text + "\"");
  // A token matched in normalized text stands for what it matched there; one
  // that is also a piece of the model keeps the name by which that finds it.
  std::string match = norm ? normalized(result, *content) : *content;
  piece.emplace();
  piece->text = found == result.vocabulary.end() ? match : *content;
  piece->special = special;

  uint32_t flags = (lstrip ? kStripLeft : 0) | (rstrip ? kStripRight : 0);
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
  for (const json::Value &value : *tokens) {
    const json::Object *token = value.getAsObject();
    if (!token)
      return error("\"added_tokens\" must hold objects");
    if (Error error = readAddedToken(*this, *token))
      return error;
  }
  return Error::success();
}
