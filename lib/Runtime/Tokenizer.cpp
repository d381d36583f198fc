//===- Tokenizer.cpp - Text to ids, over flat tables ----------------------===//
//
//   "<s>Hi there"   cut at added tokens     <s> | Hi there
//                   normalize the rest            ▁Hi▁there
//                   encode each word              [▁Hi, ▁there]
//
//===----------------------------------------------------------------------===//

#include "Tokenizer.h"
#include "Error.h"
#include "TokenizerView.h"
#include "Utf8.h"
#include <algorithm>
#include <new>

using namespace qtale;
using namespace qtale::rt;
using namespace qtale::tokenizer;

void qtale::rt::replaceAll(std::string &text, std::string_view from,
                           std::string_view to) {
  if (from.empty() || text.find(from) == std::string::npos)
    return;
  std::string result;
  size_t begin = 0;
  for (size_t found; (found = text.find(from, begin)) != std::string::npos;
       begin = found + from.size()) {
    result.append(text, begin, found - begin);
    result += to;
  }
  result.append(text, begin);
  text = std::move(result);
}

namespace {

/// A part of a text: an added token, or (id == kNone) what stands between.
struct Part {
  std::string_view text;
  uint32_t id;
};

/// Cuts texts at one list of added tokens: leftmost first, then longest.
class Cutter {
public:
  Cutter(const TokenizerView &tables, Section added)
      : tables(tables), added(added) {
    // Few bytes begin an added token; all others are passed over at once.
    for (uint32_t i = 0; i < added.count; ++i) {
      std::string_view token = tables.text(entry(i).text);
      if (token.empty())
        continue;
      uint8_t byte = static_cast<uint8_t>(token[0]);
      if (first[byte] == kNone)
        first[byte] = i;
    }
  }

  std::vector<Part> cut(std::string_view text) const;

private:
  Added entry(uint32_t index) const { return tables.at<Added>(added, index); }
  bool match(std::string_view rest, Added &found) const;

  const TokenizerView &tables;
  Section added;
  struct First {
    uint32_t index[256];
    First() { std::memset(index, 0xff, sizeof(index)); }
    uint32_t &operator[](uint8_t byte) { return index[byte]; }
    uint32_t operator[](uint8_t byte) const { return index[byte]; }
  } first;
};

} // namespace

bool Cutter::match(std::string_view rest, Added &found) const {
  for (uint32_t i = first[static_cast<uint8_t>(rest[0])]; i < added.count;
       ++i) {
    found = entry(i);
    std::string_view token = tables.text(found.text);
    if (token.empty() || token[0] != rest[0])
      return false;
    if (rest.substr(0, token.size()) == token)
      return true;
  }
  return false;
}

/// Bytes of white space at the end of `text`.
static size_t trailingSpace(std::string_view text) {
  size_t size = text.size();
  for (bool found = true; found && size;) {
    found = false;
    for (size_t length = 1; length <= 3 && length <= size && !found; ++length)
      if (spaceLength(text.substr(size - length, length)) == length) {
        size -= length;
        found = true;
      }
  }
  return text.size() - size;
}

std::vector<Part> Cutter::cut(std::string_view text) const {
  std::vector<Part> parts;
  size_t done = 0;
  for (size_t i = 0; i < text.size();) {
    Added token;
    if (!match(text.substr(i), token)) {
      ++i;
      continue;
    }
    size_t begin = i, end = i + token.text.length;
    i = end;
    if (token.flags & kStripLeft)
      begin = std::max(done, begin - trailingSpace(text.substr(0, begin)));
    if (token.flags & kStripRight)
      while (size_t space = spaceLength(text.substr(end)))
        end += space;
    if (done < begin)
      parts.push_back({text.substr(done, begin - done), kNone});
    parts.push_back({text.substr(begin, end - begin), token.id});
    done = end;
  }
  if (done < text.size())
    parts.push_back({text.substr(done), kNone});
  return parts;
}

static std::string normalize(const TokenizerView &tables,
                             std::string_view text) {
  std::string result(text);
  Section steps = tables.header().normalize;
  for (uint32_t i = 0; i < steps.count; ++i) {
    Step step = tables.at<Step>(steps, i);
    if (step.kind == StepKind::Prepend && !result.empty())
      result.insert(0, tables.text(step.to));
    else if (step.kind == StepKind::Replace)
      replaceAll(result, tables.text(step.from), tables.text(step.to));
  }
  return result;
}

/// Metaspace, then the words. `atBegin`: the whole text begins here.
static void encodePart(const TokenizerView &tables, std::string_view part,
                       bool atBegin, std::vector<uint32_t> &ids) {
  if (!tables.has(kMetaspace))
    return encodeWord(tables, part, ids);
  std::string_view marker = tables.text(tables.header().marker);
  std::string text(part);
  replaceAll(text, " ", marker);
  bool prepend =
      tables.has(kPrependAlways) || (tables.has(kPrependFirst) && atBegin);
  if (prepend && text.compare(0, marker.size(), marker) != 0)
    text.insert(0, marker);
  if (!tables.has(kSplit) || marker.empty())
    return encodeWord(tables, text, ids);
  for (size_t begin = 0; begin < text.size();) {
    size_t end = std::min(text.find(marker, begin + 1), text.size());
    encodeWord(tables, std::string_view(text).substr(begin, end - begin), ids);
    begin = end;
  }
}

static std::vector<uint32_t> encode(const TokenizerView &tables,
                                    std::string_view text) {
  std::vector<uint32_t> ids;
  Cutter raw(tables, tables.header().rawAdded);
  Cutter normalized(tables, tables.header().normAdded);
  for (Part outer : raw.cut(text)) {
    if (outer.id != kNone) {
      ids.push_back(outer.id);
      continue;
    }
    std::string rest = normalize(tables, outer.text);
    for (Part inner : normalized.cut(rest)) {
      if (inner.id != kNone)
        ids.push_back(inner.id);
      else
        encodePart(tables, inner.text,
                   outer.text.data() == text.data() &&
                       inner.text.data() == rest.data(),
                   ids);
    }
  }
  return ids;
}

int32_t qtale::rt::tokenize(const uint8_t *tables, uint64_t bytes,
                            const char *text, size_t length, int32_t *ids,
                            size_t capacity, size_t *count,
                            qtale_error *error) {
  if ((!text && length) || (!ids && capacity) || !count)
    return fail(error, QTALE_INVALID_ARGUMENT, "tokenize: a pointer is null");
  // Symbols are counted in 32 bits, and steps may triple the bytes.
  if (length > (size_t(1) << 30))
    return fail(error, QTALE_LIMIT,
                "a text of %zu bytes is too long to tokenize at once; the "
                "limit is 1 GiB",
                length);
  TokenizerView view;
  if (int32_t code = view.open(tables, bytes, error))
    return code;
  try {
    std::vector<uint32_t> found = encode(view, {text, length});
    *count = found.size();
    for (size_t i = 0; i < found.size() && i < capacity; ++i)
      ids[i] = static_cast<int32_t>(found[i]);
    if (found.size() > capacity)
      return fail(error, QTALE_LIMIT,
                  "the text has %zu tokens, the buffer holds %zu", found.size(),
                  capacity);
    return QTALE_OK;
  } catch (const std::bad_alloc &) {
    return fail(error, QTALE_OUT_OF_MEMORY,
                "out of memory while tokenizing %zu bytes", length);
  }
}
