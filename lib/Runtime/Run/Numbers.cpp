//===- Numbers.cpp - Numbers as users write them, strictly ----------------===//

#include "Numbers.h"
#include <cerrno>
#include <cstdlib>

using namespace qtale;

bool run::parseWhole(const std::string &text, int64_t low, int64_t high,
                     int64_t &value) {
  if (text.empty() ||
      text.find_first_not_of("0123456789", text[0] == '-') != std::string::npos)
    return false;
  char *end;
  errno = 0;
  long long parsed = std::strtoll(text.c_str(), &end, 10);
  if (errno || *end || end == text.c_str() || parsed < low || parsed > high)
    return false;
  value = parsed;
  return true;
}

bool run::parseReal(const std::string &text, double low, double high,
                    double &value) {
  // Leaves out what strtod would take as well: blanks, hex, inf and nan.
  if (text.empty() ||
      text.find_first_not_of("0123456789+-.eE") != std::string::npos)
    return false;
  char *end;
  double parsed = std::strtod(text.c_str(), &end);
  if (*end || end == text.c_str() || !(parsed >= low && parsed <= high))
    return false;
  value = parsed;
  return true;
}

bool run::parseIds(const std::string &text, std::vector<int32_t> &ids) {
  for (size_t begin = 0; begin <= text.size();) {
    size_t end = text.find(',', begin);
    if (end == std::string::npos)
      end = text.size();
    size_t first = text.find_first_not_of(' ', begin);
    if (first == std::string::npos || first >= end)
      return false;
    size_t last = text.find_last_not_of(' ', end - 1);
    int64_t id;
    if (!parseWhole(text.substr(first, last - first + 1), 0, INT32_MAX, id))
      return false;
    ids.push_back(static_cast<int32_t>(id));
    begin = end + 1;
  }
  return true;
}
