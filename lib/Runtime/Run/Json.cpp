//===- Json.cpp - The model's description, for people ---------------------===//

#include "Json.h"
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <utility>
#include <vector>

using namespace qtale::run;

namespace {

struct Value {
  enum Kind { Scalar, List, Object } kind = Scalar;
  std::string text; /// of a scalar, without quotes
  std::vector<std::pair<std::string, Value>> members; /// a list's have no name
};

class Parser {
public:
  explicit Parser(const std::string &json) : json(json) {}

  bool parse(Value &value) {
    return readValue(value, 0) && (skip(), at == json.size());
  }

private:
  static constexpr int kDepth = 32;

  void skip() {
    while (at < json.size() &&
           std::string(" \t\r\n").find(json[at]) != std::string::npos)
      ++at;
  }
  bool take(char wanted) {
    skip();
    if (at == json.size() || json[at] != wanted)
      return false;
    ++at;
    return true;
  }
  bool readValue(Value &value, int depth);
  bool readString(std::string &text);
  bool readMembers(Value &value, char close, int depth);

  const std::string &json;
  size_t at = 0;
};

} // namespace

static void appendUtf8(std::string &text, uint32_t point) {
  if (point < 0x80) {
    text += static_cast<char>(point);
    return;
  }
  if (point < 0x800) {
    text += static_cast<char>(0xc0 | point >> 6);
  } else {
    text += static_cast<char>(0xe0 | point >> 12);
    text += static_cast<char>(0x80 | (point >> 6 & 63));
  }
  text += static_cast<char>(0x80 | (point & 63));
}

bool Parser::readString(std::string &text) {
  if (!take('"'))
    return false;
  for (; at < json.size() && json[at] != '"'; ++at) {
    if (json[at] != '\\') {
      text += json[at];
      continue;
    }
    if (++at == json.size())
      return false;
    static const std::string from = "nrtbf", to = "\n\r\t\b\f";
    size_t known = from.find(json[at]);
    if (known != std::string::npos) {
      text += to[known];
    } else if (json[at] == 'u' && at + 4 < json.size()) {
      appendUtf8(text, static_cast<uint32_t>(std::strtoul(
                           json.substr(at + 1, 4).c_str(), nullptr, 16)));
      at += 4;
    } else {
      text += json[at]; // \" \\ and \/
    }
  }
  return take('"');
}

bool Parser::readMembers(Value &value, char close, int depth) {
  if (take(close))
    return true;
  do {
    auto &[name, member] = value.members.emplace_back();
    if (value.kind == Value::Object && (!readString(name) || !take(':')))
      return false;
    if (!readValue(member, depth + 1))
      return false;
  } while (take(','));
  return take(close);
}

bool Parser::readValue(Value &value, int depth) {
  skip();
  if (at == json.size() || depth > kDepth)
    return false;
  if (json[at] == '"')
    return readString(value.text);
  if (json[at] == '{' || json[at] == '[') {
    bool object = json[at++] == '{';
    value.kind = object ? Value::Object : Value::List;
    return readMembers(value, object ? '}' : ']', depth);
  }
  size_t end = std::min(json.find_first_of(",]} \n", at), json.size());
  value.text = json.substr(at, end - at);
  at = end;
  if (value.text == "null")
    value.text = "none";
  return !value.text.empty();
}

/// A value in one line. Values of an object follow their names.
static std::string inLine(const std::string &name, const Value &value) {
  if (value.kind == Value::Scalar) {
    if (name != "bytes")
      return value.text;
    char size[48];
    std::snprintf(size, sizeof(size), "%s (%.1f MiB)", value.text.c_str(),
                  std::strtod(value.text.c_str(), nullptr) / (1 << 20));
    return size;
  }
  std::string line;
  for (const auto &[key, member] : value.members) {
    line += line.empty() ? "" : ", ";
    bool known = key == "name" || key == "dtype"; // they explain themselves
    if (value.kind == Value::Object && !known)
      line += key + " ";
    line += inLine(key, member);
  }
  if (value.kind == Value::List)
    return "[" + line + "]";
  return line.empty() ? "none" : line;
}

std::string qtale::run::jsonTable(const std::string &json) {
  Value root;
  if (!Parser(json).parse(root) || root.kind != Value::Object)
    return json + "\n";
  size_t width = 0;
  for (const auto &[key, value] : root.members)
    width = std::max(width, key.size() + 2);
  std::string table;
  for (const auto &[key, value] : root.members) {
    // An object of a list has a line of its own.
    std::vector<std::string> lines;
    if (value.kind == Value::List)
      for (const auto &[name, member] : value.members)
        if (member.kind == Value::Object)
          lines.push_back(inLine(name, member));
    if (lines.empty())
      lines.push_back(inLine(key, value));
    for (size_t i = 0; i < lines.size(); ++i) {
      std::string left = i ? "" : key;
      left.resize(width, ' ');
      table += left + lines[i] + "\n";
    }
  }
  return table;
}

std::string qtale::run::jsonString(const std::string &text) {
  std::string quoted = "\"";
  for (char letter : text) {
    if (letter == '"' || letter == '\\')
      quoted += '\\';
    if (static_cast<unsigned char>(letter) < 0x20) {
      char escape[8];
      std::snprintf(escape, sizeof(escape), "\\u%04x", letter);
      quoted += escape;
    } else {
      quoted += letter;
    }
  }
  return quoted + "\"";
}
