//===- TokenizerForms.cpp - Unicode's normal forms ------------------------===//
//
//   Ậ       decompose     A ̂ ̣        each character by the map
//           reorder       A ̣ ̂        marks ascend by their class
//           compose       Ạ ̂, then Ậ  starter and mark by the pairs
//
// Hangul syllables follow a rule instead of the map (Unicode, 3.12).
//
//===----------------------------------------------------------------------===//

#include "TokenizerSteps.h"
#include "Utf8.h"
#include <algorithm>

using namespace qtale;
using namespace qtale::rt;
using namespace qtale::tokenizer;

namespace {

constexpr uint32_t kSyllable = 0xac00, kLead = 0x1100, kVowel = 0x1161,
                   kTail = 0x11a7; // one before the first tail
constexpr uint32_t kLeads = 19, kVowels = 21, kTails = 28;

struct Mark {
  uint32_t point;
  uint32_t order; /// canonical combining class; 0: a starter
  size_t place;   /// in the text, among marks of one class
};

class Form {
public:
  Form(const TokenizerView &tables, uint32_t map) : tables(tables), map(map) {}

  void decompose(std::string_view text);
  void compose();
  std::string text() const;

private:
  void add(uint32_t point);
  void decompose(uint32_t point);
  uint32_t orderOf(uint32_t point) const;
  uint32_t pair(uint32_t first, uint32_t second) const;

  const TokenizerView &tables;
  uint32_t map;
  std::vector<Mark> marks;
};

} // namespace

uint32_t Form::orderOf(uint32_t point) const {
  Section list = tables.header().combining;
  uint32_t low = 0, high = list.count;
  while (low < high) {
    uint32_t middle = low + (high - low) / 2;
    auto range = tables.at<CombiningRange>(list, middle);
    if (point < range.first)
      high = middle;
    else if (point > range.last)
      low = middle + 1;
    else
      return range.order;
  }
  return 0;
}

void Form::add(uint32_t point) {
  marks.push_back({point, point < 0x300 ? 0 : orderOf(point), marks.size()});
}

void Form::decompose(uint32_t point) {
  if (point >= kSyllable && point < kSyllable + kLeads * kVowels * kTails) {
    uint32_t index = point - kSyllable;
    add(kLead + index / (kVowels * kTails));
    add(kVowel + index / kTails % kVowels);
    if (index % kTails)
      add(kTail + index % kTails);
    return;
  }
  std::string_view to;
  if (point < 0xa0 || !mapCharacter(tables, map, point, to))
    return add(point);
  while (!to.empty()) {
    Character character = decodeCharacter(to);
    add(character.point);
    to.remove_prefix(character.length);
  }
}

void Form::decompose(std::string_view text) {
  while (!text.empty()) {
    Character character = decodeCharacter(text);
    decompose(character.point);
    text.remove_prefix(character.length);
  }
  // A run of marks is sorted at once: n log n, however long it is.
  for (size_t begin = 0; begin < marks.size(); ++begin) {
    size_t end = begin;
    while (end < marks.size() && marks[end].order)
      ++end;
    std::sort(marks.begin() + begin, marks.begin() + end,
              [](const Mark &a, const Mark &b) {
                return a.order != b.order ? a.order < b.order
                                          : a.place < b.place;
              });
    begin = end;
  }
}

/// What a starter and what follows it become, or kNone.
uint32_t Form::pair(uint32_t first, uint32_t second) const {
  if (first - kLead < kLeads && second - kVowel < kVowels)
    return kSyllable + ((first - kLead) * kVowels + second - kVowel) * kTails;
  if (first - kSyllable < kLeads * kVowels * kTails &&
      (first - kSyllable) % kTails == 0 && second > kTail &&
      second < kTail + kTails)
    return first + second - kTail;
  Section list = tables.header().compositions;
  uint32_t low = 0, high = list.count;
  while (low < high) {
    uint32_t middle = low + (high - low) / 2;
    Composition entry = tables.at<Composition>(list, middle);
    if (entry.first == first && entry.second == second)
      return entry.result;
    if (entry.first < first || (entry.first == first && entry.second < second))
      low = middle + 1;
    else
      high = middle;
  }
  return kNone;
}

/// Joins each starter with what follows it, unless a mark of the same class,
/// or another starter, stands between.
void Form::compose() {
  size_t starter = marks.size(), size = 0;
  uint32_t last = 0; // class of what stands before, behind the starter
  for (size_t i = 0; i < marks.size(); ++i) {
    Mark mark = marks[i];
    if (starter < size) {
      bool adjacent = starter + 1 == size;
      uint32_t joined = adjacent || (last && last < mark.order)
                            ? pair(marks[starter].point, mark.point)
                            : kNone;
      if (joined != kNone) {
        marks[starter].point = joined;
        continue;
      }
    }
    if (!mark.order)
      starter = size;
    last = mark.order;
    marks[size++] = mark;
  }
  marks.resize(size);
}

std::string Form::text() const {
  std::string result;
  for (const Mark &mark : marks)
    appendCharacter(result, mark.point);
  return result;
}

/// The end of the run from `begin` on in which bytes are whole characters.
static size_t validEnd(std::string_view text, size_t begin) {
  for (int length; begin < text.size(); begin += length) {
    length = characterLength(text.substr(begin));
    if (length <= 0)
      break;
  }
  return begin;
}

std::string qtale::rt::normalForm(const TokenizerView &tables, uint32_t map,
                                  bool compose, std::string_view text) {
  // ASCII is in every normal form.
  if (std::all_of(text.begin(), text.end(),
                  [](char byte) { return static_cast<uint8_t>(byte) < 0x80; }))
    return std::string(text);
  std::string result;
  // Bytes that are no characters stay as they are, and nothing joins over them.
  for (size_t begin = 0; begin < text.size();) {
    size_t end = validEnd(text, begin);
    Form form(tables, map);
    form.decompose(text.substr(begin, end - begin));
    if (compose)
      form.compose();
    result += form.text();
    if (end < text.size())
      result += text[end++];
    begin = end;
  }
  return result;
}
