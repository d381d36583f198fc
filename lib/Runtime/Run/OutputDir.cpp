//===- OutputDir.cpp - A folder that gets all files or none ---------------===//

#include "OutputDir.h"
#include "Messages.h"
#include "Npy.h"
#include <cerrno>
#include <cstring>
#include <sys/stat.h>
#include <unistd.h>

using namespace qtale::run;

int OutputDir::open(const std::string &path) {
  folder = path;
  for (size_t slash = path.find('/', 1);; slash = path.find('/', slash + 1)) {
    std::string part = path.substr(0, slash);
    if (mkdir(part.c_str(), 0777) == 0)
      made.push_back(part);
    else if (errno != EEXIST)
      return error("cannot make the folder '%s': %s", part.c_str(),
                   std::strerror(errno));
    if (slash == std::string::npos)
      break;
  }
  struct stat status;
  if (stat(path.c_str(), &status) != 0 || !S_ISDIR(status.st_mode))
    return error("'%s' is a file, not a folder", path.c_str());
  if (access(path.c_str(), W_OK | X_OK) != 0)
    return error("cannot write into the folder '%s': %s", path.c_str(),
                 std::strerror(errno));
  return kDone;
}

int OutputDir::add(const qtale_tensor &tensor) {
  std::string name = tensor.name;
  for (char &letter : name)
    if (letter == '/')
      letter = '_';
  std::string to = folder + "/" + name + ".npy";
  for (const auto &file : files)
    if (file.second == to)
      return error("two outputs would be written to '%s'", to.c_str());
  std::string from = folder + "/." + name + ".npy." + std::to_string(getpid());
  std::FILE *file = std::fopen(from.c_str(), "wbx");
  if (!file)
    return error("cannot write '%s': %s", from.c_str(), std::strerror(errno));
  files.emplace_back(from, to);
  std::string wrong = writeNpy(file, tensor);
  // A full disk may only show when the last bytes leave.
  if (std::fclose(file) != 0 && wrong.empty())
    wrong = std::strerror(errno);
  if (!wrong.empty())
    return error("cannot write '%s': %s", to.c_str(), wrong.c_str());
  return kDone;
}

int OutputDir::commit() {
  for (auto &[from, to] : files) {
    if (std::rename(from.c_str(), to.c_str()) != 0) {
      int code =
          error("cannot write '%s': %s", to.c_str(), std::strerror(errno));
      for (const auto &[name, done] : files)
        if (name.empty())
          unlink(done.c_str());
      return code;
    }
    from.clear();
  }
  files.clear();
  made.clear();
  return kDone;
}

OutputDir::~OutputDir() {
  for (const auto &[from, to] : files)
    if (!from.empty())
      unlink(from.c_str());
  while (!made.empty()) {
    rmdir(made.back().c_str());
    made.pop_back();
  }
}
