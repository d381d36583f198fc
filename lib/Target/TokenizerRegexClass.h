//===- TokenizerRegexClass.h - One character of a regular expression ------===//
//
//   x   \n   \x{4e00}   \p{Lu}   \S   [^a-z\p{N}&&[^5]]
//
//===----------------------------------------------------------------------===//

#ifndef QTALE_LIB_TARGET_TOKENIZERREGEXCLASS_H
#define QTALE_LIB_TARGET_TOKENIZERREGEXCLASS_H

#include "TokenizerCharacters.h"
#include "llvm/Support/Error.h"

namespace qtale {

/// What is left of a pattern, and how its characters are read.
class RegexReader {
protected:
  explicit RegexReader(llvm::StringRef pattern) : rest(pattern) {}

  /// A literal or an escape.
  llvm::Expected<CharacterSet> character();
  /// "[…]", `rest` being at its begin.
  llvm::Expected<CharacterSet> bracket();
  /// Adds the other case under (?i), for ASCII; refuses other letters.
  llvm::Error foldCase(CharacterSet &set) const;

  llvm::Error refuse(const llvm::Twine &what) const;
  /// The next `count` characters of `rest`, to quote them whole.
  llvm::StringRef next(unsigned count) const;

  llvm::StringRef rest;
  bool ignoreCase = false;

private:
  llvm::Expected<CharacterSet> property();
  llvm::Expected<CharacterSet> number(llvm::StringRef escape);
  llvm::Expected<CharacterSet> escape();
  llvm::Expected<CharacterSet> classItem();
  /// Whether `rest` begins with an escape of many characters: "\w", "\p{L}".
  bool atClass() const;

  unsigned brackets = 0; // open at `rest`
};

} // namespace qtale

#endif // QTALE_LIB_TARGET_TOKENIZERREGEXCLASS_H
