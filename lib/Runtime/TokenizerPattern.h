//===- TokenizerPattern.h - Matching regular expressions ------------------===//
//
//   find("it's 5", 0)  ->  [0, 2)  [2, 4)  [4, 5)  [5, 6)
//
// The automaton lies in the tables; damage makes it match nothing or too much,
// but never read outside of them.
//
//===----------------------------------------------------------------------===//

#ifndef QTALE_LIB_RUNTIME_TOKENIZERPATTERN_H
#define QTALE_LIB_RUNTIME_TOKENIZERPATTERN_H

#include "TokenizerView.h"
#include "Utf8.h"

namespace qtale::rt {

class PatternMatcher {
public:
  PatternMatcher(const TokenizerView &tables, uint32_t index);

  /// The end of the match that begins at `begin`; `begin` where there is none.
  size_t match(std::string_view text, size_t begin) const;

  /// The first match from `from` on. False: there is none.
  bool find(std::string_view text, size_t from, size_t &begin,
            size_t &end) const;

private:
  uint32_t classOf(Character character) const;

  const TokenizerView &tables;
  tokenizer::Pattern pattern;
  uint32_t states = 0;
  bool usable = false;
};

/// Replaces every match of a pattern by `to`.
void replaceAll(std::string &text, const PatternMatcher &pattern,
                std::string_view to);

} // namespace qtale::rt

#endif // QTALE_LIB_RUNTIME_TOKENIZERPATTERN_H
