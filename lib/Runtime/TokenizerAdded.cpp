//===- TokenizerAdded.cpp - Finding added tokens in a text ----------------===//
//
//   "a<|im|>b"   tokens, by their bytes:  <|e|>  <|im  <|im|>  <|im|>x
//     ^ '<'      narrowed to those that go on so: "<|i" leaves three;
//                the last whole one is the longest
//
//===----------------------------------------------------------------------===//

#include "TokenizerSteps.h"
#include "Utf8.h"
#include <algorithm>

using namespace qtale;
using namespace qtale::rt;
using namespace qtale::tokenizer;

AddedTokens::AddedTokens(const TokenizerView &tables, Section added)
    : tables(tables), added(added),
      letter(tables, tables.header().wordPattern) {
  // Few bytes begin an added token; all others are passed over at once.
  for (uint32_t i = 0; i < added.count; ++i)
    if (std::string_view token = textOf(i); !token.empty())
      begins[static_cast<uint8_t>(token[0])] = true;
}

bool AddedTokens::longestMatch(std::string_view rest, Added &found) const {
  uint32_t low = 0, high = added.count;
  bool any = false;
  for (size_t depth = 0; low < high; ++depth) {
    // Tokens of the range agree in `depth` bytes; a whole one comes first.
    if (depth && textOf(low).size() == depth) {
      found = tables.at<Added>(added, low);
      any = true;
      if (++low == high)
        break;
    }
    if (depth == rest.size())
      break;
    int byte = static_cast<uint8_t>(rest[depth]);
    auto firstFrom = [&](int bound) {
      uint32_t begin = low, end = high;
      while (begin < end) {
        uint32_t middle = begin + (end - begin) / 2;
        std::string_view token = textOf(middle);
        int here =
            depth < token.size() ? static_cast<uint8_t>(token[depth]) : -1;
        if (here < bound)
          begin = middle + 1;
        else
          end = middle;
      }
      return begin;
    };
    uint32_t first = firstFrom(byte);
    high = firstFrom(byte + 1);
    low = first;
  }
  return any;
}

/// Bytes of white space at the end of `text`.
static size_t trailingSpace(std::string_view text) {
  size_t size = text.size();
  while (size) {
    size_t length = lastCharacter(text.substr(0, size));
    if (spaceLength(text.substr(size - length, length)) != length)
      break;
    size -= length;
  }
  return text.size() - size;
}

bool AddedTokens::standsAlone(std::string_view text, size_t begin,
                              size_t end) const {
  auto isLetter = [&](std::string_view character) {
    return letter.match(character, 0) > 0;
  };
  if (begin) {
    size_t length = lastCharacter(text.substr(0, begin));
    if (isLetter(text.substr(begin - length, length)))
      return false;
  }
  return end == text.size() ||
         !isLetter(text.substr(end, decodeCharacter(text.substr(end)).length));
}

std::vector<Part> AddedTokens::cut(std::string_view text) const {
  std::vector<Part> parts;
  size_t done = 0;
  for (size_t i = 0; i < text.size();) {
    Added token;
    if (!begins[static_cast<uint8_t>(text[i])] ||
        !longestMatch(text.substr(i), token)) {
      ++i;
      continue;
    }
    size_t begin = i, end = i + token.text.length;
    i = end;
    if (token.flags & kSingleWord && !standsAlone(text, begin, end))
      continue;
    if (token.flags & kStripLeft)
      begin = std::max(done, begin - trailingSpace(text.substr(0, begin)));
    if (token.flags & kStripRight)
      while (size_t space = spaceLength(text.substr(end)))
        end += space;
    if (done < begin)
      parts.push_back({text.substr(done, begin - done), kNone});
    if (begin < end) // else the token before took it along
      parts.push_back({text.substr(begin, end - begin), token.id});
    done = end;
  }
  if (done < text.size())
    parts.push_back({text.substr(done), kNone});
  return parts;
}
