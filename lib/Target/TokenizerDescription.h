//===- TokenizerDescription.h - A tokenizer, read and checked -------------===//
//
//   tokenizer.json --readTokenizer--> description --writeTables--> bytes
//   Tokenizer*.cpp                                   TokenizerTables.cpp
//
//===----------------------------------------------------------------------===//

#ifndef QTALE_LIB_TARGET_TOKENIZERDESCRIPTION_H
#define QTALE_LIB_TARGET_TOKENIZERDESCRIPTION_H

#include "TokenizerRegex.h"
#include "qtale/Runtime/TokenizerTables.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/Support/Error.h"
#include "llvm/Support/JSON.h"
#include <optional>
#include <string>
#include <vector>

namespace qtale {

struct TokenizerDescription {
  struct Piece {
    std::string text;
    bool special = false;
    bool model = false; // a piece of the model's own vocabulary
  };
  struct Added {
    std::string text;
    uint32_t id;
    uint32_t flags;
  };
  struct Step {
    tokenizer::StepKind kind;
    std::string from, to;
    uint32_t flags = 0;
    uint32_t index = tokenizer::kNone;
  };

  uint32_t flags = 0;
  uint32_t unk = tokenizer::kNone;
  uint32_t bos = tokenizer::kNone;
  uint32_t namedBos = tokenizer::kNone; // by what it is called
  uint32_t wordPattern = tokenizer::kNone;
  llvm::StringMap<uint32_t> vocabulary;     // of the model alone
  std::vector<std::optional<Piece>> pieces; // by id, with the added tokens
  std::vector<tokenizer::Merge> merges;     // no pair twice
  std::vector<Added> rawAdded, normAdded;
  std::vector<Step> normalize, split, decode;
  std::vector<RegexAutomaton> patterns;
  std::vector<std::vector<CharacterMapping>> maps;
  bool composes = false; // so that marks and pairs are needed
};

/// A tokenizer.json while it is read: its file for messages, and what was
/// understood so far.
struct TokenizerReader {
  llvm::StringRef path;
  TokenizerDescription &result;
  bool movesBegin = false; // the normalizer may, of a text

  llvm::Error error(const llvm::Twine &message) const;
  /// What is right in a file but not implemented: says what to do instead.
  llvm::Error refuse(const llvm::Twine &message) const;
  /// "FILE: KEY is VALUE, but qtale supports SUPPORTED; …".
  llvm::Error unsupported(llvm::StringRef key, const llvm::Twine &value,
                          llvm::StringRef supported) const;

  /// Refuses keys of `object` outside `known`: they may change the ids.
  llvm::Error onlyKeys(llvm::StringRef key, const llvm::json::Object &object,
                       llvm::ArrayRef<llvm::StringRef> known) const;
  /// A Boolean, `fallback` where it is absent or null.
  llvm::Expected<bool> flag(llvm::StringRef key,
                            const llvm::json::Object &object,
                            llvm::StringRef name, bool fallback) const;
  /// A string that must be there.
  llvm::Expected<std::string> string(llvm::StringRef key,
                                     const llvm::json::Object &object,
                                     llvm::StringRef name) const;

  /// The number of a pattern: {"String": TEXT} or {"Regex": TEXT}, or already
  /// a regular expression.
  llvm::Expected<uint32_t> pattern(llvm::StringRef key,
                                   const llvm::json::Object &step);
  llvm::Expected<uint32_t> regex(llvm::StringRef key, llvm::StringRef text);
  llvm::Expected<uint32_t> setPattern(CharacterSet set, bool repeated = false);
  /// The steps of a component: those of a Sequence, also of one within, or
  /// itself. Null: none.
  llvm::Expected<llvm::SmallVector<const llvm::json::Object *>>
  steps(llvm::StringRef key, const llvm::json::Value *value,
        llvm::StringRef listName) const;
  /// {"type": "Replace", "pattern": …, "content": " "}, appended.
  llvm::Error readReplace(llvm::StringRef key, const llvm::json::Object &step,
                          std::vector<TokenizerDescription::Step> &into);
  /// Metaspace's replacement and prepend_scheme, for both directions.
  llvm::Error readMetaspace(llvm::StringRef key,
                            const llvm::json::Object &object,
                            std::string &marker, std::string &scheme) const;

  /// One for each top-level key, in the order in which they are needed.
  llvm::Error readModel(const llvm::json::Object &model);
  llvm::Error readNormalizer(const llvm::json::Value *normalizer);
  llvm::Error readPreTokenizer(const llvm::json::Value *preTokenizer);
  llvm::Error readAddedTokens(const llvm::json::Value *addedTokens);
  llvm::Error readPostProcessor(const llvm::json::Value *postProcessor);
  llvm::Error readDecoder(const llvm::json::Value *decoder);
};

/// A piece of a vocabulary of byte level, as bytes; none where a character is
/// none of the 256 that stand for bytes.
std::optional<std::string> decodeByteLevel(llvm::StringRef piece);

std::vector<uint8_t> writeTables(const TokenizerDescription &description);

} // namespace qtale

#endif // QTALE_LIB_TARGET_TOKENIZERDESCRIPTION_H
