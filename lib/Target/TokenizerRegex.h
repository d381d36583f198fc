//===- TokenizerRegex.h - Regular expressions of tokenizers ---------------===//
//
//   " ?\p{L}+|\s+(?!\S)"  --compileRegex-->  an automaton as a table
//
//===----------------------------------------------------------------------===//

#ifndef QTALE_LIB_TARGET_TOKENIZERREGEX_H
#define QTALE_LIB_TARGET_TOKENIZERREGEX_H

#include "TokenizerCharacters.h"
#include "llvm/Support/Error.h"
#include <memory>

namespace qtale {

/// A regular expression as a tree.
struct RegexNode {
  enum Kind {
    Sequence,    // children, one after the other; none: the empty text
    Alternative, // children, the first that leads to a match counts
    Repeat,      // child, `min` to `max` times
    Set,         // one character of `set`
    Ahead,       // the next character, or kEnd, is of `set`
    Behind,      // the character before, or kEnd, is of `set`
  };
  static constexpr unsigned kUnlimited = ~0u;

  Kind kind = Sequence;
  CharacterSet set;
  std::vector<RegexNode> children;
  unsigned min = 0, max = 0;
  bool lazy = false;
};

/// Reads the syntax of Oniguruma, as far as tokenizers are written in it. The
/// message quotes what it does not know.
llvm::Expected<RegexNode> parseRegex(llvm::StringRef pattern);

/// A deterministic automaton (TokenizerTables.h, Pattern).
struct RegexAutomaton {
  std::vector<std::pair<uint32_t, uint32_t>> ranges; // first, class
  uint32_t classes = 0;
  uint32_t end = 0; // the class of kEnd
  std::vector<uint16_t> table;
  std::vector<uint16_t> starts; // by the class of the character before
};

/// Refuses what can match nothing, and what needs too many states.
llvm::Expected<RegexAutomaton> buildAutomaton(const RegexNode &root);

/// Both; a message quotes the pattern.
llvm::Expected<RegexAutomaton> compileRegex(llvm::StringRef pattern);

} // namespace qtale

#endif // QTALE_LIB_TARGET_TOKENIZERREGEX_H
