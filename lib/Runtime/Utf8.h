//===- Utf8.h - Where the characters of a byte string end -----------------===//
//
//   61        c3 a9       f0 9f 98 80        ff          e2 82
//   1 byte    2 bytes     4 bytes            invalid     incomplete at the end
//
//===----------------------------------------------------------------------===//

#ifndef QTALE_LIB_RUNTIME_UTF8_H
#define QTALE_LIB_RUNTIME_UTF8_H

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace qtale::rt {

constexpr int kInvalid = 0;
constexpr int kIncomplete = -1;

/// Bytes of the character at the begin of `text`: 1 to 4; kInvalid where no
/// character begins so (overlong forms, surrogates and numbers above 10FFFF
/// are none); kIncomplete where more bytes could make one.
inline int characterLength(std::string_view text) {
  if (text.empty())
    return kIncomplete;
  uint8_t lead = static_cast<uint8_t>(text[0]);
  if (lead < 0x80)
    return 1;
  if (lead < 0xc2 || lead > 0xf4)
    return kInvalid;
  int length = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
  // Four leads narrow their first follower (Unicode, table 3-7).
  uint8_t low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
  uint8_t high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
  for (int i = 1; i < length; ++i) {
    if (static_cast<size_t>(i) == text.size())
      return kIncomplete;
    uint8_t byte = static_cast<uint8_t>(text[i]);
    if (byte < low || byte > high)
      return kInvalid;
    low = 0x80;
    high = 0xbf;
  }
  return length;
}

/// Bytes of the white space (Unicode's White_Space) at the begin of `text`;
/// 0 where there is none.
inline size_t spaceLength(std::string_view text) {
  auto starts = [&](std::string_view prefix) {
    return text.substr(0, prefix.size()) == prefix;
  };
  if (text.empty())
    return 0;
  if (text[0] == ' ' || (text[0] >= '\t' && text[0] <= '\r'))
    return 1;
  if (starts("\xc2\x85") || starts("\xc2\xa0"))
    return 2;
  if (text.size() < 3)
    return 0;
  uint8_t last = static_cast<uint8_t>(text[2]);
  if (starts("\xe2\x80") && ((last >= 0x80 && last <= 0x8a) || last == 0xa8 ||
                             last == 0xa9 || last == 0xaf))
    return 3;
  return starts("\xe1\x9a\x80") || starts("\xe2\x81\x9f") ||
                 starts("\xe3\x80\x80")
             ? 3
             : 0;
}

/// A character, and how many bytes it takes. A byte that is part of none
/// counts as U+FFFD.
struct Character {
  uint32_t point;
  uint32_t length;
};

/// The character at the begin of `text`, which is not empty.
inline Character decodeCharacter(std::string_view text) {
  uint8_t lead = static_cast<uint8_t>(text[0]);
  if (lead < 0x80)
    return {lead, 1};
  int length = characterLength(text);
  if (length <= 0)
    return {0xfffd, 1};
  uint32_t point = lead & (0x7f >> length);
  for (int i = 1; i < length; ++i)
    point = point << 6 | (static_cast<uint8_t>(text[i]) & 0x3f);
  return {point, static_cast<uint32_t>(length)};
}

/// Bytes of the character that ends `text`, which is not empty.
inline size_t lastCharacter(std::string_view text) {
  for (size_t length = 2; length <= 4 && length <= text.size(); ++length)
    if (characterLength(text.substr(text.size() - length)) ==
        static_cast<int>(length))
      return length;
  return 1;
}

/// Appends a code point, which is no surrogate and at most 10FFFF.
template <typename String> void appendCharacter(String &text, uint32_t point) {
  if (point < 0x80) {
    text += static_cast<char>(point);
    return;
  }
  int length = point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
  text +=
      static_cast<char>((0xf00u >> length & 0xff) | point >> 6 * (length - 1));
  for (int i = length - 2; i >= 0; --i)
    text += static_cast<char>(0x80 | (point >> 6 * i & 0x3f));
}

} // namespace qtale::rt

#endif // QTALE_LIB_RUNTIME_UTF8_H
