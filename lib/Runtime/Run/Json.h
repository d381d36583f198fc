//===- Json.h - The model's description, for people -----------------------===//
//
//   {"hash": "12", "levels": ["a", "b"],      hash     12
//    "session": {"layers": 5, "kv": "f32"}}   levels   a, b
//                                             session  layers 5, kv f32
//
//===----------------------------------------------------------------------===//

#ifndef QTALE_LIB_RUNTIME_RUN_JSON_H
#define QTALE_LIB_RUNTIME_RUN_JSON_H

#include <string>

namespace qtale::run {

/// A JSON object as a table, a line for each of its keys. Keys that come with
/// later versions are shown like all others. What is no JSON object is given
/// back as it is.
std::string jsonTable(const std::string &json);

/// A JSON string, with its quotes.
std::string jsonString(const std::string &text);

} // namespace qtale::run

#endif // QTALE_LIB_RUNTIME_RUN_JSON_H
