//===- TokenizerModel.cpp - "model" ---------------------------------------===//
//
//   "vocab":  {"▁": 3, "t": 4, "▁t": 5}   a piece and its id
//   "merges": ["▁ t"] or [["▁", "t"]]     (3, 4) -> 5, rank 0
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
    result.pieces[*id]->model = true;
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
    auto at = [&] { return ("\"model.merges\", number " + Twine(rank)).str(); };
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
  for (StringRef key :
       {"type", "unk_token", "continuing_subword_prefix", "end_of_word_suffix"})
    if (const json::Value *value = model.get(key);
        value && value->kind() != json::Value::String &&
        (value->kind() != json::Value::Null || key == "type"))
      return error("\"model." + key + "\" must be a string");
  // Files of old versions name no type; only BPE has merges.
  StringRef type =
      model.getString("type").value_or(model.get("merges") ? "BPE" : "absent");
  if (type != "BPE")
    return unsupported("model.type", "\"" + type + "\"",
                       "\"BPE\" (also of byte level)");
  if (Error error = onlyKeys("model", model, kModelKeys))
    return error;
  if (const json::Value *dropout = model.get("dropout");
      dropout && dropout->kind() != json::Value::Null &&
      dropout->getAsNumber() != 0.0)
    return unsupported("model.dropout", "not 0", "null");
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
