//===- TokenizerCharacters.cpp - Sets of characters -----------------------===//
//
//   ranges are kept apart and ascending; Unicode's own sets come from
//   TokenizerUnicode.inc, which utils/unicode-tables writes
//
//===----------------------------------------------------------------------===//

#include "TokenizerCharacters.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"
#include <algorithm>

using namespace llvm;
using namespace qtale;

namespace {
struct Range {
  uint32_t first, last;
};
struct Mapping {
  uint32_t from;
  const char *to;
};
using CombiningRange = CombiningClass;
using Composition = CharacterPair;
} // namespace

#include "TokenizerUnicode.inc"

void CharacterSet::normalize() {
  llvm::sort(list);
  size_t size = 0;
  for (auto range : list) {
    if (size && range.first <= list[size - 1].second + 1)
      list[size - 1].second = std::max(list[size - 1].second, range.second);
    else
      list[size++] = range;
  }
  list.resize(size);
}

CharacterSet &CharacterSet::operator|=(const CharacterSet &other) {
  list.insert(list.end(), other.list.begin(), other.list.end());
  normalize();
  return *this;
}

CharacterSet CharacterSet::invert(uint32_t last) const {
  CharacterSet result;
  uint32_t next = 0;
  for (auto [first, end] : list) {
    if (first > last)
      break;
    if (first > next)
      result.list.push_back({next, first - 1});
    next = end + 1;
  }
  if (next <= last)
    result.list.push_back({next, last});
  return result;
}

CharacterSet CharacterSet::complement() const { return invert(kEnd - 1); }

CharacterSet CharacterSet::complementWithEnd() const { return invert(kEnd); }

CharacterSet &CharacterSet::operator&=(const CharacterSet &other) {
  CharacterSet outside = complementWithEnd();
  outside |= other.complementWithEnd();
  return *this = outside.complementWithEnd();
}

bool CharacterSet::contains(uint32_t point) const {
  auto next = llvm::upper_bound(list, std::make_pair(point, UINT32_MAX));
  return next != list.begin() && std::prev(next)->second >= point;
}

static CharacterSet setOf(ArrayRef<Range> ranges) {
  CharacterSet result;
  for (Range range : ranges)
    result |= CharacterSet(range.first, range.last);
  return result;
}

namespace {
struct Property {
  StringRef name;
  ArrayRef<Range> ranges;
};
} // namespace

#define CATEGORY(NAME) {#NAME, category##NAME}
static const Property categories[] = {
    CATEGORY(Lu), CATEGORY(Ll), CATEGORY(Lt), CATEGORY(Lm), CATEGORY(Lo),
    CATEGORY(Mn), CATEGORY(Mc), CATEGORY(Me), CATEGORY(Nd), CATEGORY(Nl),
    CATEGORY(No), CATEGORY(Pc), CATEGORY(Pd), CATEGORY(Ps), CATEGORY(Pe),
    CATEGORY(Pi), CATEGORY(Pf), CATEGORY(Po), CATEGORY(Sm), CATEGORY(Sc),
    CATEGORY(Sk), CATEGORY(So), CATEGORY(Zs), CATEGORY(Zl), CATEGORY(Zp),
    CATEGORY(Cc), CATEGORY(Cf), CATEGORY(Co)};

#define SCRIPT(NAME) {#NAME, script##NAME}
static const Property scripts[] = {
    SCRIPT(Arabic),    SCRIPT(Armenian),   SCRIPT(Bengali),  SCRIPT(Bopomofo),
    SCRIPT(Cyrillic),  SCRIPT(Devanagari), SCRIPT(Ethiopic), SCRIPT(Georgian),
    SCRIPT(Greek),     SCRIPT(Gujarati),   SCRIPT(Gurmukhi), SCRIPT(Han),
    SCRIPT(Hangul),    SCRIPT(Hebrew),     SCRIPT(Hiragana), SCRIPT(Kannada),
    SCRIPT(Katakana),  SCRIPT(Khmer),      SCRIPT(Lao),      SCRIPT(Latin),
    SCRIPT(Malayalam), SCRIPT(Mongolian),  SCRIPT(Myanmar),  SCRIPT(Oriya),
    SCRIPT(Sinhala),   SCRIPT(Tamil),      SCRIPT(Telugu),   SCRIPT(Thai),
    SCRIPT(Tibetan)};

/// The categories whose names begin so; Cn, also of "C", is what they all lack.
static std::optional<CharacterSet> category(StringRef name) {
  CharacterSet result;
  bool known = false;
  for (const Property &property : categories)
    if (property.name.starts_with_insensitive(name) && name.size() <= 2) {
      result |= setOf(property.ranges);
      known = true;
    }
  bool unassigned = name.equals_insensitive("Cn");
  if (!known && !unassigned)
    return std::nullopt;
  if (unassigned || name.equals_insensitive("C")) {
    CharacterSet all;
    for (const Property &property : categories)
      all |= setOf(property.ranges);
    result |= all.complement();
  }
  return result;
}

std::optional<CharacterSet> qtale::characterProperty(StringRef written) {
  std::string name;
  for (char c : written)
    if (c != ' ' && c != '_' && c != '-')
      name += c;
  if (name.empty())
    return std::nullopt;
  if (std::optional<CharacterSet> set = category(name))
    return set;
  for (const Property &script : scripts)
    if (script.name.equals_insensitive(name))
      return setOf(script.ranges);
  if (StringRef(name).equals_insensitive("Alphabetic")) {
    CharacterSet set = setOf(otherAlphabetic);
    set |= *category("L");
    return set |= *category("Nl");
  }
  return std::nullopt;
}

CharacterSet qtale::wordCharactersOfClass() {
  CharacterSet set = *characterProperty("Alphabetic");
  for (StringRef name : {"M", "Nd", "Pc"})
    set |= *category(name);
  return set;
}

CharacterSet qtale::wordCharacters() {
  CharacterSet set = wordCharactersOfClass();
  // Oniguruma's table of Latin 1 has its superscripts and fractions as well.
  for (uint32_t point : {0xb2, 0xb3, 0xb9, 0xbc, 0xbd, 0xbe})
    set |= CharacterSet(point, point);
  return set;
}

CharacterSet qtale::plainWordCharacters() {
  CharacterSet set = wordCharactersOfClass();
  return set |= CharacterSet(0x200c, 0x200d); // joiners
}

CharacterSet qtale::whiteSpace() {
  CharacterSet set(0x9, 0xd);
  set |= CharacterSet(0x85, 0x85);
  return set |= *category("Z");
}

CharacterSet qtale::numericCharacters() { return setOf(numeric); }

CharacterSet qtale::punctuationCharacters() { return setOf(punctuation); }

static std::vector<CharacterMapping> mapOf(ArrayRef<Mapping> list) {
  std::vector<CharacterMapping> result;
  for (const Mapping &mapping : list)
    result.push_back({mapping.from, mapping.to});
  return result;
}

std::vector<CharacterMapping> qtale::lowercaseMap() { return mapOf(lowercase); }

std::vector<CharacterMapping> qtale::decompositionMap(bool compatible) {
  std::vector<CharacterMapping> result;
  if (compatible)
    result = mapOf(::compatible);
  // The file lists of NFKD what differs from NFD.
  std::vector<CharacterMapping> both = mapOf(canonical);
  size_t known = result.size();
  for (CharacterMapping &mapping : both)
    if (!std::binary_search(
            result.begin(), result.begin() + known, mapping,
            [](const auto &a, const auto &b) { return a.from < b.from; }))
      result.push_back(std::move(mapping));
  llvm::sort(result,
             [](const auto &a, const auto &b) { return a.from < b.from; });
  return result;
}

ArrayRef<CombiningClass> qtale::combiningClasses() { return combining; }

ArrayRef<CharacterPair> qtale::characterPairs() { return compositions; }
