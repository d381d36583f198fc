//===- Messages.h - What the run command says, and its exit code ----------===//
//
//   stdout   what was asked for: text, ids, tables
//   stderr   everything else, one line each: "qtale-run: error: …"
//
// Functions of the command return its exit code, 0 where all went well.
//
//===----------------------------------------------------------------------===//

#ifndef QTALE_LIB_RUNTIME_RUN_MESSAGES_H
#define QTALE_LIB_RUNTIME_RUN_MESSAGES_H

#include <string>

namespace qtale::run {

constexpr int kDone = 0;
constexpr int kFailed = 1; /// the input, the model or a file was at fault
constexpr int kMisused = 2;

/// The name that messages begin with: the last part of argv[0].
void setProgramName(const char *path);
const char *programName();

/// Says what was wrong; returns kFailed.
[[gnu::format(printf, 1, 2)]] int error(const char *format, ...);
/// Says what was wrong with the command line, and where help is; kMisused.
[[gnu::format(printf, 1, 2)]] int misuse(const char *format, ...);
/// A line for whoever watches.
[[gnu::format(printf, 1, 2)]] void note(const char *format, ...);

/// Text to stdout, at once. False after a failure, which was reported.
bool print(const std::string &text);

} // namespace qtale::run

#endif // QTALE_LIB_RUNTIME_RUN_MESSAGES_H
