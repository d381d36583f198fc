//===- TokenizerDescription.h - A tokenizer, read and checked -------------===//
//
//   tokenizer.json --readTokenizer--> description --writeTables--> bytes
//   Tokenizer*.cpp                                   TokenizerTables.cpp
//
//===----------------------------------------------------------------------===//

#ifndef QTALE_LIB_TARGET_TOKENIZERDESCRIPTION_H
#define QTALE_LIB_TARGET_TOKENIZERDESCRIPTION_H

#include "qtale/Runtime/TokenizerTables.h"
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
  };
  struct Added {
    std::string text;
    uint32_t id;
    uint32_t flags;
  };
  struct Step {
    tokenizer::StepKind kind;
    std::string from, to;
  };

  uint32_t flags = 0;
  uint32_t unk = tokenizer::kNone;
  uint32_t bos = tokenizer::kNone;
  std::string marker;
  llvm::StringMap<uint32_t> vocabulary;     // of the model alone
  std::vector<std::optional<Piece>> pieces; // by id, with the added tokens
  std::vector<tokenizer::Merge> merges;     // no pair twice
  std::vector<Added> rawAdded, normAdded;
  std::vector<Step> normalize, decode;
};

/// A tokenizer.json while it is read: its file for messages, and what was
/// understood so far.
struct TokenizerReader {
  llvm::StringRef path;
  TokenizerDescription &result;

  llvm::Error error(const llvm::Twine &message) const;
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

  /// One for each top-level key, in the order in which they are needed.
  llvm::Error readModel(const llvm::json::Object &model);
  llvm::Error readNormalizer(const llvm::json::Value *normalizer);
  llvm::Error readPreTokenizer(const llvm::json::Value *preTokenizer);
  llvm::Error readAddedTokens(const llvm::json::Value *addedTokens);
  llvm::Error readPostProcessor(const llvm::json::Value *postProcessor);
  llvm::Error readDecoder(const llvm::json::Value *decoder);
};

std::vector<uint8_t> writeTables(const TokenizerDescription &description);

} // namespace qtale

#endif // QTALE_LIB_TARGET_TOKENIZERDESCRIPTION_H
