//===- Detokenizer.cpp - Ids to text, over flat tables --------------------===//
//
//   ids --> pieces --> steps of the decoder --> bytes
//   403     ▁Once      ▁ becomes a space        "Once", first in the text
//   261     ▁a                                  " a"
//   198     <0xC3>     the byte itself          c3, half a character
//
//===----------------------------------------------------------------------===//

#include "Error.h"
#include "Tokenizer.h"
#include "TokenizerPattern.h"
#include <algorithm>
#include <new>

using namespace qtale;
using namespace qtale::rt;
using namespace qtale::tokenizer;

/// Whether `piece` is "<0xHH>", and its byte.
static bool parseByte(std::string_view piece, char &byte) {
  if (piece.size() != 6 || piece.substr(0, 3) != "<0x" || piece[5] != '>')
    return false;
  int value = 0;
  piece.remove_prefix(3);
  if (piece[0] == '+') // the definition reads "<0x+A>" so, too
    piece.remove_prefix(1);
  for (char digit : piece.substr(0, piece.size() - 1)) {
    int nibble = digit >= '0' && digit <= '9'   ? digit - '0'
                 : digit >= 'A' && digit <= 'F' ? digit - 'A' + 10
                 : digit >= 'a' && digit <= 'f' ? digit - 'a' + 10
                                                : -1;
    if (nibble < 0)
      return false;
    value = value * 16 + nibble;
  }
  byte = static_cast<char>(value);
  return true;
}

/// An empty `part` is neither at the begin nor at the end: damage gives one.
static bool startsWith(std::string_view text, std::string_view part) {
  return !part.empty() && text.substr(0, part.size()) == part;
}

static bool endsWith(std::string_view text, std::string_view part) {
  return !part.empty() && part.size() <= text.size() &&
         text.substr(text.size() - part.size()) == part;
}

/// `first`: it is the first token; `begins`: no text was made yet.
static std::string decode(const TokenizerView &tables, std::string_view piece,
                          bool first, bool &begins) {
  std::string result(piece);
  Section steps = tables.header().decode;
  for (uint32_t i = 0; i < steps.count; ++i) {
    Step step = tables.at<Step>(steps, i);
    std::string_view from = tables.text(step.from), to = tables.text(step.to);
    char byte;
    switch (step.kind) {
    case StepKind::Replace:
      replaceAll(result, from, to);
      break;
    case StepKind::Metaspace:
      replaceAll(result, from, first ? std::string_view() : to);
      break;
    case StepKind::ByteFallback:
      if (parseByte(result, byte))
        result.assign(1, byte);
      break;
    case StepKind::ReplacePattern:
      replaceAll(result, PatternMatcher(tables, step.index), to);
      break;
    case StepKind::Strip:
      for (uint32_t n = step.flags; n && startsWith(result, from); --n)
        result.erase(0, from.size());
      break;
    case StepKind::StripEnd:
      for (uint32_t n = step.flags; n && endsWith(result, from); --n)
        result.erase(result.size() - from.size());
      break;
    case StepKind::StripText:
      if (begins && !result.empty()) {
        begins = false;
        if (startsWith(result, from))
          result.erase(0, from.size());
      }
      break;
    default: // no step of a decoder
      break;
    }
  }
  return result;
}

int32_t qtale::rt::detokenize(const uint8_t *tables, uint64_t bytes,
                              int32_t previous, const int32_t *ids,
                              size_t count, char *text, size_t capacity,
                              size_t *length, qtale_error *error) {
  if ((!ids && count) || (!text && capacity) || !length)
    return fail(error, QTALE_INVALID_ARGUMENT, "detokenize: a pointer is null");
  TokenizerView view;
  if (int32_t code = view.open(tables, bytes, error))
    return code;
  Section pieces = view.header().pieces;
  bool begins =
      previous < 0 || static_cast<uint32_t>(previous) == view.header().bos;
  bool first = begins;
  size_t needed = 0;
  try {
    for (size_t i = 0; i < count; ++i) {
      if (ids[i] < 0)
        return fail(error, QTALE_INVALID_ARGUMENT,
                    "id %zu is %d; ids are not negative", i, ids[i]);
      // A model may have more ids than its tokenizer: they give nothing.
      if (static_cast<uint32_t>(ids[i]) >= pieces.count)
        continue;
      Piece piece = view.at<Piece>(pieces, ids[i]);
      if (piece.text.offset == kNone || piece.flags & kSpecial)
        continue;
      std::string decoded = decode(view, view.text(piece.text), first, begins);
      first = false;
      if (needed < capacity)
        std::memcpy(text + needed, decoded.data(),
                    std::min(decoded.size(), capacity - needed));
      needed += decoded.size();
    }
  } catch (const std::bad_alloc &) {
    return fail(error, QTALE_OUT_OF_MEMORY,
                "out of memory while decoding %zu ids", count);
  }
  *length = needed;
  if (needed > capacity)
    return fail(error, QTALE_LIMIT,
                "the text has %zu bytes, the buffer holds %zu", needed,
                capacity);
  return QTALE_OK;
}
