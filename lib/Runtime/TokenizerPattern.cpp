//===- TokenizerPattern.cpp - Matching regular expressions ----------------===//
//
//   class of the next character
//     │      ' '   letter  digit  end
//   state 0   1       2      3     -       | \p{L}+ and the like, compiled to
//         1   -       2      3     -       | one row a state
//         2   A       2      A     A       A: a match ends here; go on while
//                                          there is a row, the last A counts
//
// One look at each character, no stack. A match is the one that backtracking
// would find first: the compiler has ordered alternatives into the states.
//
//===----------------------------------------------------------------------===//

#include "TokenizerPattern.h"
#include "Utf8.h"

using namespace qtale;
using namespace qtale::rt;
using namespace qtale::tokenizer;

PatternMatcher::PatternMatcher(const TokenizerView &tables, uint32_t index)
    : tables(tables) {
  // An index beyond the list, or a table of the wrong size, matches nothing.
  if (index >= tables.header().patterns.count)
    return;
  pattern = tables.at<Pattern>(tables.header().patterns, index);
  usable = tables.holds(pattern.ranges, sizeof(ClassRange)) &&
           tables.holds(pattern.ascii, 1) && tables.holds(pattern.table, 2) &&
           tables.holds(pattern.starts, 2) && pattern.ascii.count == 128 &&
           pattern.ranges.count > 0 && pattern.classes > 0 &&
           pattern.starts.count == pattern.classes &&
           pattern.end < pattern.classes;
  if (usable)
    states = pattern.table.count / pattern.classes;
}

uint32_t PatternMatcher::classOf(Character character) const {
  uint32_t klass;
  if (character.point < 128) {
    klass = tables.at<uint8_t>(pattern.ascii, character.point);
  } else {
    uint32_t low = 0, high = pattern.ranges.count;
    while (high - low > 1) {
      uint32_t middle = low + (high - low) / 2;
      if (tables.at<ClassRange>(pattern.ranges, middle).first <=
          character.point)
        low = middle;
      else
        high = middle;
    }
    klass = tables.at<ClassRange>(pattern.ranges, low).klass;
  }
  return klass < pattern.classes ? klass : pattern.end;
}

size_t PatternMatcher::match(std::string_view text, size_t begin) const {
  if (!usable || begin >= text.size())
    return begin;
  uint32_t before = pattern.end;
  if (begin) {
    std::string_view head = text.substr(0, begin);
    before = classOf(decodeCharacter(text.substr(begin - lastCharacter(head))));
  }
  size_t found = begin, at = begin;
  uint32_t state = tables.at<uint16_t>(pattern.starts, before);
  while (state < states) {
    Character character = {0, 0};
    uint32_t klass = pattern.end;
    if (at < text.size()) {
      character = decodeCharacter(text.substr(at));
      klass = classOf(character);
    }
    uint16_t entry =
        tables.at<uint16_t>(pattern.table, state * pattern.classes + klass);
    if (entry & kAccept)
      found = at;
    if (!character.length)
      break;
    at += character.length;
    state = entry & ~kAccept;
  }
  return found;
}

bool PatternMatcher::find(std::string_view text, size_t from, size_t &begin,
                          size_t &end) const {
  for (begin = from; begin < text.size();
       begin += decodeCharacter(text.substr(begin)).length) {
    end = match(text, begin);
    if (end > begin)
      return true;
  }
  return false;
}
