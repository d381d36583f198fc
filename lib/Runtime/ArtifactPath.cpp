//===- ArtifactPath.cpp - Where this code lies on disk --------------------===//
//
//   the dynamic linker:  "./m.so"          as it was opened, through links: its
//                                          neighbours are those that are meant;
//                                          stale once the folder has changed
//   the kernel:          "/store/8f3a"     the file itself, always right
//
// So the linker's name is taken where it leads to the kernel's file, and that
// file itself otherwise.
//
//===----------------------------------------------------------------------===//

#include "ArtifactPath.h"

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <memory>
#include <sys/stat.h>

using namespace qtale::rt;

/// The file mapped at `code`. Lines of /proc/self/maps:
///   55d0c0000000-55d0c0021000 r-xp 00001000 08:01 1234    /store/8f3a
static std::string mappedFile(const void *code) {
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
    if (address >= first && address < last && path)
      return std::string(path, strcspn(path, "\n"));
  }
  return {};
}

static bool sameFile(const char *a, const char *b) {
  struct stat statusA, statusB;
  return stat(a, &statusA) == 0 && stat(b, &statusB) == 0 &&
         statusA.st_dev == statusB.st_dev && statusA.st_ino == statusB.st_ino;
}

std::string qtale::rt::pathOfCode(const void *code) {
  std::string mapped = mappedFile(code);
  Dl_info info;
  if (!dladdr(code, &info) || !info.dli_fname)
    return mapped;
  if (mapped.empty() || sameFile(info.dli_fname, mapped.c_str()))
    return info.dli_fname;
  return mapped;
}
