//===- ArtifactPath.cpp - Where this code lies on disk --------------------===//
//
//   the kernel's list of mappings:
//     55d0c0000000-55d0c0021000 r-xp 00001000 08:01 1234    /models/m.so
//
// It knows absolute paths, also after the process has changed its folder, and
// programs and libraries alike. The dynamic linker, which knows the name that
// the library was opened by, serves where /proc is not mounted.
//
//===----------------------------------------------------------------------===//

#include "ArtifactPath.h"

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <memory>

using namespace qtale::rt;

std::string qtale::rt::pathOfCode(const void *code) {
  struct Closer {
    void operator()(FILE *file) const { fclose(file); }
  };
  std::unique_ptr<FILE, Closer> maps(fopen("/proc/self/maps", "re"));
  char line[4608]; // a path of PATH_MAX and the columns before it
  uintptr_t address = reinterpret_cast<uintptr_t>(code);
  while (maps && fgets(line, sizeof(line), maps.get())) {
    char *end;
    uintptr_t first = strtoull(line, &end, 16);
    if (*end != '-')
      continue;
    uintptr_t last = strtoull(end + 1, &end, 16);
    const char *path = strchr(line, '/');
    if (address < first || address >= last || !path)
      continue;
    return std::string(path, strcspn(path, "\n"));
  }
  Dl_info info;
  if (dladdr(code, &info) && info.dli_fname)
    return info.dli_fname;
  return {};
}
