//===- TokenizerRegexClass.cpp - One character of a regular expression ----===//
//
//   [^\s\p{L}a-c&&[^b]]   is   not ((space or L or a-c) and not b)
//
//===----------------------------------------------------------------------===//

#include "TokenizerRegexClass.h"
#include "../Runtime/Utf8.h"
#include "llvm/ADT/StringExtras.h"

using namespace llvm;
using namespace qtale;

static CharacterSet one(uint32_t point) { return CharacterSet(point, point); }

Error RegexReader::refuse(const Twine &what) const {
  return createStringError(inconvertibleErrorCode(), "it has " + what);
}

StringRef RegexReader::next(unsigned count) const {
  std::string_view behind(rest.data(), rest.size());
  for (; count && !behind.empty(); --count)
    behind.remove_prefix(rt::decodeCharacter(behind).length);
  return rest.drop_back(behind.size());
}

bool RegexReader::atClass() const {
  return rest.size() > 1 && rest[0] == '\\' &&
         StringRef("pPsSdDwW").contains(rest[1]);
}

/// \p{Lu}, \p{^Lu} and \P{Lu}, behind the letter.
Expected<CharacterSet> RegexReader::property() {
  size_t end = rest.find('}');
  if (!rest.starts_with("{") || end == StringRef::npos)
    return refuse("\"\\p\" without {NAME}");
  StringRef name = rest.slice(1, end);
  rest = rest.drop_front(end + 1);
  bool negative = name.consume_front("^");
  std::optional<CharacterSet> set = characterProperty(name);
  if (!set)
    return refuse("\"\\p{" + name + "}\", an unknown property");
  return negative ? set->complement() : *set;
}

/// \xHH, \x{HHHH} and \uHHHH, behind the letter.
Expected<CharacterSet> RegexReader::number(StringRef escape) {
  StringRef digits;
  bool braced = escape == "\\x" && rest.consume_front("{");
  if (braced) {
    size_t end = std::min(rest.find('}'), rest.size());
    digits = rest.take_front(end);
    rest = rest.drop_front(std::min(end + 1, rest.size()));
  } else {
    size_t count = escape == "\\u" ? 4 : 2;
    digits = next(count);
    rest = rest.drop_front(digits.size());
    if (digits.size() < count)
      digits = "";
  }
  uint32_t point;
  if (digits.size() > 8 || digits.getAsInteger(16, point) ||
      point >= CharacterSet::kEnd ||
      // Two digits above 7F are bytes of UTF-8, one by one.
      (escape == "\\x" && !braced && point > 0x7f))
    return refuse("\"" + escape + digits + "\", which is no character");
  return one(point);
}

Expected<CharacterSet> RegexReader::escape() {
  char letter = rest[1];
  StringRef quoted = next(2);
  rest = rest.drop_front(2);
  switch (letter) {
  case 'p':
    return property();
  case 'P': {
    Expected<CharacterSet> set = property();
    return set ? set->complement() : std::move(set);
  }
  case 's':
    return whiteSpace();
  case 'S':
    return whiteSpace().complement();
  case 'd':
    return *characterProperty("Nd");
  case 'D':
    return characterProperty("Nd")->complement();
  case 'w':
  case 'W': {
    CharacterSet set = brackets ? wordCharactersOfClass() : wordCharacters();
    return letter == 'w' ? set : set.complement();
  }
  case 'n':
    return one('\n');
  case 'r':
    return one('\r');
  case 't':
    return one('\t');
  case 'f':
    return one('\f');
  case 'v':
    return one('\v');
  case 'a':
    return one('\a');
  case 'e':
    return one(0x1b);
  case 'x':
  case 'u':
    return number(quoted);
  default:
    if (isAlnum(letter) || static_cast<uint8_t>(letter) > 0x7f)
      return refuse("\"" + quoted + "\"");
    return one(letter);
  }
}

Expected<CharacterSet> RegexReader::character() {
  if (rest[0] == '\\')
    return rest.size() > 1 ? escape() : refuse("a \"\\\" at its end");
  rt::Character first = rt::decodeCharacter({rest.data(), rest.size()});
  rest = rest.drop_front(first.length);
  return one(first.point);
}

/// "[:name:]" or "[:^name:]" at its begin.
static bool isPosixClass(StringRef text) {
  if (!text.consume_front("[:"))
    return false;
  text.consume_front("^");
  StringRef behind = text.drop_while(isAlpha);
  return behind.size() < text.size() && behind.starts_with(":]");
}

/// "x", "x-y", "\p{L}" or "[…]".
Expected<CharacterSet> RegexReader::classItem() {
  if (isPosixClass(rest))
    return refuse("\"" + rest.take_until([](char c) { return c == ']'; }) +
                  "]\", a POSIX class");
  if (rest[0] == '[')
    return bracket();
  StringRef written = rest;
  bool isClass = atClass();
  Expected<CharacterSet> set = character();
  if (!set || !rest.starts_with("-") || rest.starts_with("-]") ||
      rest.starts_with("-&&"))
    return set; // a "-" at the end stands for itself
  rest = rest.drop_front();
  if (rest.empty())
    return refuse("a class without an end");
  auto between = [&] {
    StringRef from = written.drop_back(rest.size());
    return ("\"" + from + next(rest[0] == '\\' ? 2 : 1) + "\"").str();
  };
  if (isClass || atClass() || rest[0] == '[')
    return refuse(between() + ", a range with a class at an end");
  Expected<CharacterSet> last = character();
  if (!last)
    return last;
  uint32_t from = set->ranges()[0].first, to = last->ranges()[0].first;
  if (to < from)
    return refuse("a range in a class that does not ascend");
  return CharacterSet(from, to);
}

Expected<CharacterSet> RegexReader::bracket() {
  if (++brackets > 100)
    return refuse("classes more than 100 deep");
  rest = rest.drop_front();
  bool negative = rest.consume_front("^");
  CharacterSet set;
  std::optional<CharacterSet> left; // of &&
  while (!rest.consume_front("]")) {
    if (rest.empty())
      return refuse("a class without an end");
    if (rest.consume_front("&&")) {
      left = left ? (*left &= set) : set;
      set = CharacterSet();
      continue;
    }
    Expected<CharacterSet> item = classItem();
    if (!item)
      return item;
    set |= *item;
  }
  if (set.empty()) // also "[]a]", of which engines make different things
    return refuse("an empty class");
  if (left)
    set &= *left;
  --brackets;
  return negative ? set.complement() : set;
}

Error RegexReader::foldCase(CharacterSet &set) const {
  if (!ignoreCase)
    return Error::success();
  for (const auto &range : set.ranges())
    if (range.second > 0x7f)
      return refuse("a character or class beyond ASCII under (?i)");
  CharacterSet folded = set;
  for (char c = 'a'; c <= 'z'; ++c)
    if (set.contains(c) || set.contains(toUpper(c))) {
      folded |= one(c);
      folded |= one(toUpper(c));
    }
  // Two letters beyond ASCII are the same but for their case.
  if (folded.contains('s'))
    folded |= one(0x17f); // long s
  if (folded.contains('k'))
    folded |= one(0x212a); // the sign of Kelvin
  set = folded;
  return Error::success();
}
