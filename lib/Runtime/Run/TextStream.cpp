//===- TextStream.cpp - Bytes of tokens as whole characters ---------------===//

#include "TextStream.h"
#include "../Utf8.h"

using namespace qtale::run;
using qtale::rt::characterLength;

static const char *const kReplacement = "\xef\xbf\xbd";

/// Bytes of `rest` that could have begun a character, but did not go on so.
static size_t brokenLength(std::string_view rest) {
  size_t length = 1;
  while (length < rest.size() &&
         characterLength(rest.substr(0, length + 1)) == qtale::rt::kIncomplete)
    ++length;
  return length;
}

std::string TextStream::push(const std::string &bytes) {
  pending += bytes;
  std::string whole;
  std::string_view rest = pending;
  while (!rest.empty()) {
    int length = characterLength(rest);
    if (length == qtale::rt::kIncomplete)
      break;
    size_t taken =
        length > 0 ? static_cast<size_t>(length) : brokenLength(rest);
    if (length > 0)
      whole += rest.substr(0, taken);
    else
      whole += kReplacement;
    rest.remove_prefix(taken);
  }
  pending = std::string(rest);
  return whole;
}

std::string TextStream::finish() {
  bool left = !pending.empty();
  pending.clear();
  return left ? kReplacement : "";
}
