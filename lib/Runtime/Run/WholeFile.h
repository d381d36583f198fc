//===- WholeFile.h - A file that appears whole, or not at all -------------===//
//
//   open     DIR/.name.1234    another name, so that failures come early
//   commit   DIR/name          written, closed and renamed
//   else     nothing is left
//
// Devices and pipes are written to as they are.
//
//===----------------------------------------------------------------------===//

#ifndef QTALE_LIB_RUNTIME_RUN_WHOLEFILE_H
#define QTALE_LIB_RUNTIME_RUN_WHOLEFILE_H

#include <cstdio>
#include <string>

namespace qtale::run {

class WholeFile {
public:
  WholeFile() = default;
  WholeFile(const WholeFile &) = delete;
  ~WholeFile();

  int open(const std::string &path);
  int commit(const std::string &content);

private:
  std::FILE *file = nullptr;
  std::string from, to;
};

} // namespace qtale::run

#endif // QTALE_LIB_RUNTIME_RUN_WHOLEFILE_H
