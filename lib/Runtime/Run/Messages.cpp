//===- Messages.cpp - What the run command says, and its exit code --------===//

#include "Messages.h"
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstring>

using namespace qtale::run;

static std::string program = "qtale-run";

void qtale::run::setProgramName(const char *path) {
  if (!path || !*path)
    return;
  const char *slash = std::strrchr(path, '/');
  program = slash ? slash + 1 : path;
}

const char *qtale::run::programName() { return program.c_str(); }

static void say(const char *kind, const char *format, va_list arguments) {
  std::fflush(stdout);
  std::fprintf(stderr, "%s: %s", program.c_str(), kind);
  std::vfprintf(stderr, format, arguments);
  std::fputc('\n', stderr);
}

int qtale::run::error(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  say("error: ", format, arguments);
  va_end(arguments);
  return kFailed;
}

int qtale::run::misuse(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  say("error: ", format, arguments);
  va_end(arguments);
  std::fprintf(stderr, "See '%s --help'.\n", program.c_str());
  return kMisused;
}

void qtale::run::note(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  say("", format, arguments);
  va_end(arguments);
}

bool qtale::run::print(const std::string &text) {
  static bool broken = false; // said once
  if (broken)
    return false;
  if (std::fwrite(text.data(), 1, text.size(), stdout) == text.size() &&
      std::fflush(stdout) == 0)
    return true;
  broken = true;
  error("cannot write to standard output: %s", std::strerror(errno));
  return false;
}
