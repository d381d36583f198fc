//===- SafetensorsHeader.cpp - What a weights file says of itself ---------===//
//
//   { "__metadata__": { "sha256.blk.0": "6b86…" },
//     "blk.0": { "dtype": "U8", "shape": [64], "data_offsets": [0, 64] } }…
//
// A recursive descent over exactly this shape of JSON: anything else is an
// error with its position. Nothing recurses deeper than the shape itself.
//
//===----------------------------------------------------------------------===//

#include "SafetensorsHeader.h"

using namespace qtale::rt;

namespace {

class Parser {
public:
  Parser(std::string_view text, SafetensorsHeader &header)
      : text(text), header(header) {}

  bool parse() {
    bool whole = object([&](std::string &&name) {
      if (name == "__metadata__")
        return metadata();
      return tensor(std::move(name));
    });
    if (!whole)
      return false;
    space();
    return at == text.size() || wrong("text after the header's end");
  }

  const char *problem = nullptr;
  size_t at = 0;

private:
  bool wrong(const char *what) {
    problem = what;
    return false;
  }

  void space() {
    while (at < text.size() && (text[at] == ' ' || text[at] == '\n' ||
                                text[at] == '\t' || text[at] == '\r'))
      ++at;
  }

  bool take(char c) {
    space();
    if (at == text.size() || text[at] != c)
      return false;
    ++at;
    return true;
  }

  /// { "key": member, … }
  template <typename Member> bool object(Member member) {
    if (!take('{'))
      return wrong("expected '{'");
    if (take('}'))
      return true;
    do {
      std::string key;
      if (!string(key))
        return false;
      if (!take(':'))
        return wrong("expected ':'");
      if (!member(std::move(key)))
        return false;
    } while (take(','));
    return take('}') || wrong("expected ',' or '}'");
  }

  /// [ number, … ]
  template <typename Element> bool numbers(Element element) {
    if (!take('['))
      return wrong("expected '['");
    if (take(']'))
      return true;
    do {
      uint64_t value;
      if (!number(value) || !element(value))
        return false;
    } while (take(','));
    return take(']') || wrong("expected ',' or ']'");
  }

  bool number(uint64_t &value) {
    space();
    size_t first = at;
    value = 0;
    for (; at < text.size() && text[at] >= '0' && text[at] <= '9'; ++at) {
      uint64_t digit = text[at] - '0';
      if (value > (UINT64_MAX - digit) / 10)
        return wrong("number beyond 64 bits");
      value = value * 10 + digit;
    }
    if (at == first)
      return wrong("expected a whole number");
    return true;
  }

  bool hex4(uint32_t &unit) {
    unit = 0;
    for (int i = 0; i < 4; ++i, ++at) {
      if (at == text.size())
        return wrong("a string does not end");
      char c = text[at];
      uint32_t digit = c >= '0' && c <= '9'   ? c - '0'
                       : c >= 'a' && c <= 'f' ? c - 'a' + 10
                       : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                              : 16;
      if (digit == 16)
        return wrong("\\u without four hex digits");
      unit = unit * 16 + digit;
    }
    return true;
  }

  /// What follows "\u", as UTF-8.
  bool unicode(std::string &out) {
    uint32_t code, low;
    if (!hex4(code))
      return false;
    if (code >= 0xD800 && code < 0xE000) {
      if (code >= 0xDC00 || text.substr(at, 2) != "\\u")
        return wrong("half a surrogate pair");
      at += 2;
      if (!hex4(low))
        return false;
      if (low < 0xDC00 || low >= 0xE000)
        return wrong("half a surrogate pair");
      code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
    }
    if (code < 0x80) {
      out += char(code);
      return true;
    }
    int rest = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
    static const uint8_t lead[] = {0, 0xC0, 0xE0, 0xF0};
    out += char(lead[rest] | code >> (6 * rest));
    while (rest--)
      out += char(0x80 | (code >> (6 * rest) & 0x3F));
    return true;
  }

  bool string(std::string &out) {
    if (!take('"'))
      return wrong("expected a string");
    while (at < text.size()) {
      char c = text[at++];
      if (c == '"')
        return true;
      if (static_cast<unsigned char>(c) < 0x20)
        return wrong("control character in a string");
      if (c != '\\') {
        out += c;
        continue;
      }
      char escape = at < text.size() ? text[at++] : 0;
      static constexpr std::string_view from = "\"\\/bfnrt",
                                        to = "\"\\/\b\f\n\r\t";
      size_t known = from.find(escape);
      if (escape == 'u') {
        if (!unicode(out))
          return false;
      } else if (known == from.npos) {
        return wrong("unknown escape in a string");
      } else {
        out += to[known];
      }
    }
    return wrong("a string does not end");
  }

  bool metadata() {
    return object([&](std::string &&key) {
      std::string value;
      if (!string(value))
        return false;
      if (!header.metadata.emplace(std::move(key), std::move(value)).second)
        return wrong("a metadata key stands twice");
      return true;
    });
  }

  bool tensor(std::string &&name) {
    uint64_t offsets[2];
    size_t count = 0;
    bool whole = object([&](std::string &&key) {
      std::string dtype;
      if (key == "dtype")
        return string(dtype);
      if (key == "shape")
        return numbers([](uint64_t) { return true; });
      if (key != "data_offsets")
        return wrong("unknown key of a tensor");
      return numbers([&](uint64_t value) {
        if (count == 2)
          return wrong("more than two data_offsets");
        offsets[count++] = value;
        return true;
      });
    });
    if (!whole)
      return false;
    if (count != 2 || offsets[0] > offsets[1])
      return wrong("a tensor without a range of bytes");
    if (!header.tensors.emplace(std::move(name), tensorAt(offsets)).second)
      return wrong("a tensor stands twice");
    return true;
  }

  static SafetensorsHeader::Tensor tensorAt(const uint64_t offsets[2]) {
    SafetensorsHeader::Tensor tensor;
    tensor.begin = offsets[0];
    tensor.end = offsets[1];
    return tensor;
  }

  std::string_view text;
  SafetensorsHeader &header;
};

} // namespace

const char *qtale::rt::parseSafetensorsHeader(std::string_view json,
                                              SafetensorsHeader &header,
                                              size_t &position) {
  Parser parser(json, header);
  if (parser.parse())
    return nullptr;
  position = parser.at;
  return parser.problem;
}
