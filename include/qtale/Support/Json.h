//===- Json.h - Before LLVM's JSON parser is asked ------------------------===//

#ifndef QTALE_SUPPORT_JSON_H
#define QTALE_SUPPORT_JSON_H

#include "llvm/ADT/StringRef.h"

namespace qtale {

/// As deep as lists and objects of a file may lie within each other.
inline constexpr unsigned maxJsonDepth = 100;

/// Whether they lie deeper: LLVM's parser and its values call themselves, and end
/// with the stack.
inline bool isJsonTooDeep(llvm::StringRef text) {
  unsigned open = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '"') {
      for (++i; i < text.size() && text[i] != '"'; ++i)
        if (text[i] == '\\')
          ++i;
    } else if (text[i] == '[' || text[i] == '{') {
      if (++open > maxJsonDepth)
        return true;
    } else if (open && (text[i] == ']' || text[i] == '}')) {
      --open;
    }
  }
  return false;
}

} // namespace qtale

#endif // QTALE_SUPPORT_JSON_H
