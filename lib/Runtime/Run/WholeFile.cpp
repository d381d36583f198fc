//===- WholeFile.cpp - A file that appears whole, or not at all -----------===//

#include "WholeFile.h"
#include "Messages.h"
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <sys/stat.h>
#include <unistd.h>

using namespace qtale::run;

int WholeFile::open(const std::string &path) {
  struct stat status;
  if (stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode))
    return error("'%s' is a folder; give a file", path.c_str());
  // A link stays one: what it names is replaced.
  to = path;
  if (char *target = realpath(path.c_str(), nullptr)) {
    to = target;
    std::free(target);
  }
  // Renaming would put a file in the place of a device or a pipe.
  bool replaces = stat(to.c_str(), &status) != 0 || S_ISREG(status.st_mode);
  size_t name = to.rfind('/') + 1; // 0 where there is no slash
  if (replaces)
    from = to.substr(0, name) + "." + to.substr(name) + "." +
           std::to_string(getpid());
  file =
      replaces ? std::fopen(from.c_str(), "wbx") : std::fopen(to.c_str(), "wb");
  if (!file)
    return error("cannot write '%s': %s", path.c_str(), std::strerror(errno));
  return kDone;
}

int WholeFile::commit(const std::string &content) {
  bool written =
      std::fwrite(content.data(), 1, content.size(), file) == content.size();
  // A full disk may only show when the last bytes leave.
  bool closed = std::fclose(file) == 0;
  file = nullptr;
  bool named = from.empty() || std::rename(from.c_str(), to.c_str()) == 0;
  if (!written || !closed || !named)
    return error("cannot write '%s': %s", to.c_str(), std::strerror(errno));
  from.clear();
  return kDone;
}

WholeFile::~WholeFile() {
  if (file)
    std::fclose(file);
  if (!from.empty())
    unlink(from.c_str());
}
