//===- TextMutator.cpp - Other texts of the same kind ---------------------===//

#include "TextMutator.h"

#include <algorithm>
#include <cctype>
#include <cstring>
#include <vector>

using namespace fuzz;

extern "C" size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t capacity);

int64_t fuzz::awkwardNumber(Random &random) {
  static constexpr int64_t numbers[] = {
      0,          1,         2,         3,         4,         7,
      8,          16,        31,        32,        33,        64,
      127,        128,       172,       255,       256,       512,
      1000,       65535,     65536,     INT32_MAX, 1ll << 31, 1ll << 32,
      1000000007, 1ll << 40, 1ll << 61, INT64_MAX, INT64_MIN, -1,
      -2,         -9,        INT32_MIN};
  return numbers[below(random, std::size(numbers))];
}

namespace {

struct Span {
  size_t begin, end;
};

bool isWord(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) ||
         std::strchr("_.$%@#!^", c);
}

/// What a word may be replaced by: words that begin like it.
int kindOf(const std::string &text, Span word) {
  char c = text[word.begin];
  if (std::isdigit(static_cast<unsigned char>(c)))
    return '0';
  return std::isalpha(static_cast<unsigned char>(c)) ? 'a' : c;
}

std::vector<Span> findLines(const std::string &text) {
  std::vector<Span> lines;
  for (size_t at = 0; at < text.size();) {
    size_t end = std::min(text.find('\n', at), text.size() - 1) + 1;
    lines.push_back({at, end});
    at = end;
  }
  return lines;
}

std::vector<Span> findWords(const std::string &text) {
  std::vector<Span> words;
  for (size_t at = 0; at < text.size();) {
    size_t begin = at;
    while (at < text.size() && text[at] && isWord(text[at]))
      ++at;
    if (at > begin)
      words.push_back({begin, at});
    else
      ++at;
  }
  return words;
}

/// Brackets and what they hold, up to a length that still says something.
std::vector<Span> findGroups(const std::string &text) {
  std::vector<Span> groups;
  std::vector<size_t> open;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] && std::strchr("([{<", text[i]))
      open.push_back(i);
    if (!text[i] || !std::strchr(")]}>", text[i]) || open.empty())
      continue;
    if (i && text[i] == '>' && text[i - 1] == '-')
      continue; // an arrow
    if (i - open.back() < 400)
      groups.push_back({open.back(), i + 1});
    open.pop_back();
  }
  return groups;
}

std::string cut(const std::string &text, Span span) {
  return text.substr(span.begin, span.end - span.begin);
}

void replace(std::string &text, Span span, const std::string &by) {
  text.replace(span.begin, span.end - span.begin, by);
}

void mutateLines(std::string &text, Random &random) {
  std::vector<Span> lines = findLines(text);
  if (lines.empty())
    return;
  Span one = lines[below(random, lines.size())];
  Span other = lines[below(random, lines.size())];
  switch (below(random, 3)) {
  case 0:
    text.erase(one.begin, one.end - one.begin);
    return;
  case 1:
    text.insert(one.begin, cut(text, other));
    return;
  default:
    if (one.begin > other.begin)
      std::swap(one, other);
    std::string first = cut(text, one), second = cut(text, other);
    replace(text, other, first);
    replace(text, one, second);
  }
}

void mutateWord(std::string &text, Random &random) {
  std::vector<Span> words = findWords(text), same;
  if (words.empty())
    return;
  Span word = words[below(random, words.size())];
  int kind = kindOf(text, word);
  if (kind == '0' && below(random, 3)) {
    // "16x8xf32" is a word, too: only its first number.
    size_t end = word.begin;
    while (end < word.end &&
           std::isdigit(static_cast<unsigned char>(text[end])))
      ++end;
    replace(text, {word.begin, end}, std::to_string(awkwardNumber(random)));
    return;
  }
  for (Span other : words)
    if (kindOf(text, other) == kind && cut(text, other) != cut(text, word))
      same.push_back(other);
  if (!same.empty())
    replace(text, word, cut(text, same[below(random, same.size())]));
}

void mutateGroup(std::string &text, Random &random) {
  std::vector<Span> groups = findGroups(text), same;
  if (groups.empty())
    return;
  Span group = groups[below(random, groups.size())];
  for (Span other : groups)
    if (text[other.begin] == text[group.begin])
      same.push_back(other);
  std::string by = cut(text, same[below(random, same.size())]);
  if (below(random, 6) == 0)
    by = {text[group.begin], text[group.end - 1]}; // empty
  replace(text, group, by);
}

/// Numbers within words, as the dimensions of tensor<16x8xf32>.
void mutateNumber(std::string &text, Random &random) {
  std::vector<Span> numbers;
  for (size_t at = 0; at < text.size();) {
    size_t begin = at;
    while (at < text.size() &&
           std::isdigit(static_cast<unsigned char>(text[at])))
      ++at;
    if (at > begin)
      numbers.push_back({begin, at});
    else
      ++at;
  }
  if (numbers.empty())
    return;
  Span number = numbers[below(random, numbers.size())];
  Span other = numbers[below(random, numbers.size())];
  replace(text, number,
          below(random, 2) ? cut(text, other)
                           : std::to_string(awkwardNumber(random)));
}

} // namespace

void fuzz::mutateText(std::string &text, Random &random) {
  switch (below(random, 4)) {
  case 0:
    return mutateLines(text, random);
  case 1:
    return mutateWord(text, random);
  case 2:
    return mutateGroup(text, random);
  default:
    return mutateNumber(text, random);
  }
}

size_t fuzz::mutateTextInput(uint8_t *data, size_t size, size_t capacity,
                             unsigned seed) {
  Random random(seed);
  if (size == 0 || below(random, 8) == 0)
    return LLVMFuzzerMutate(data, size, capacity);
  std::string text(reinterpret_cast<char *>(data), size);
  for (size_t edits = 1 + below(random, 3); edits; --edits)
    mutateText(text, random);
  size = std::min(text.size(), capacity);
  std::memcpy(data, text.data(), size);
  return size;
}
