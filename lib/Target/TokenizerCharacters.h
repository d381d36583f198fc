//===- TokenizerCharacters.h - Sets of characters -------------------------===//
//
//   [^\s\p{L}]   is   complement(union(space, L))
//
//   |--in--|----out----|--in--|--out--|     ascending ranges
//   0                                 10FFFF, kEnd
//
// One member more than Unicode has: kEnd, for "no character", at either end of
// a text. So a look ahead is a set too: (?!\S) is "white space or kEnd".
//
//===----------------------------------------------------------------------===//

#ifndef QTALE_LIB_TARGET_TOKENIZERCHARACTERS_H
#define QTALE_LIB_TARGET_TOKENIZERCHARACTERS_H

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace qtale {

class CharacterSet {
public:
  static constexpr uint32_t kEnd = 0x110000;

  CharacterSet() = default;
  CharacterSet(uint32_t first, uint32_t last) : list{{first, last}} {}

  CharacterSet &operator|=(const CharacterSet &other);
  CharacterSet &operator&=(const CharacterSet &other);
  /// All other characters; kEnd stays outside.
  CharacterSet complement() const;
  /// All others, and kEnd where it is not a member.
  CharacterSet complementWithEnd() const;

  bool contains(uint32_t point) const;
  bool empty() const { return list.empty(); }
  bool operator==(const CharacterSet &other) const {
    return list == other.list;
  }
  const std::vector<std::pair<uint32_t, uint32_t>> &ranges() const {
    return list;
  }

private:
  void normalize();
  CharacterSet invert(uint32_t last) const;

  std::vector<std::pair<uint32_t, uint32_t>> list; // apart, ascending
};

/// What \p{NAME} means: a general category, a script or Alphabetic.
std::optional<CharacterSet> characterProperty(llvm::StringRef name);

/// \w of the regular expressions of pre-tokenizers, alone and as [\w], and that
/// of the words of "Whitespace" and "single_word": tokenizers has three.
CharacterSet wordCharacters();
CharacterSet wordCharactersOfClass();
CharacterSet plainWordCharacters();

CharacterSet whiteSpace();
/// What "Digits" and "Punctuation" separate.
CharacterSet numericCharacters();
CharacterSet punctuationCharacters();

/// What a character map changes, ascending.
struct CharacterMapping {
  uint32_t from;
  std::string to; // UTF-8
};
std::vector<CharacterMapping> lowercaseMap();
/// Full decompositions, without those of Hangul syllables.
std::vector<CharacterMapping> decompositionMap(bool compatible);

struct CombiningClass {
  uint32_t first, last, order;
};
llvm::ArrayRef<CombiningClass> combiningClasses();

struct CharacterPair {
  uint32_t first, second, result;
};
llvm::ArrayRef<CharacterPair> characterPairs();

} // namespace qtale

#endif // QTALE_LIB_TARGET_TOKENIZERCHARACTERS_H
