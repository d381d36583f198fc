//===- Numbers.h - Numbers as users write them, strictly ------------------===//

#ifndef QTALE_LIB_RUNTIME_RUN_NUMBERS_H
#define QTALE_LIB_RUNTIME_RUN_NUMBERS_H

#include <cstdint>
#include <string>
#include <vector>

namespace qtale::run {

/// A whole number in [low, high], nothing before or behind it.
bool parseWhole(const std::string &text, int64_t low, int64_t high,
                int64_t &value);

/// A finite number in [low, high], nothing before or behind it.
bool parseReal(const std::string &text, double low, double high, double &value);

/// "1,2,3" or "1, 2, 3"; at least one id of 0 to 2³¹ - 1.
bool parseIds(const std::string &text, std::vector<int32_t> &ids);

} // namespace qtale::run

#endif // QTALE_LIB_RUNTIME_RUN_NUMBERS_H
