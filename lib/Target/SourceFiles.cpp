//===- SourceFiles.cpp - The files that weights come from -----------------===//

#include "SourceFiles.h"

#include "llvm/ADT/SmallString.h"
#include "llvm/Support/Errno.h"
#include "llvm/Support/Path.h"
#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

using namespace llvm;
using namespace qtale;

/// Released at this many touched bytes.
static constexpr int64_t releaseBytes = 32 << 20;

SourceFiles::~SourceFiles() {
  for (auto &file : files)
    if (file.second.bytes)
      munmap(const_cast<char *>(file.second.data), file.second.bytes);
}

Expected<const char *> SourceFiles::map(StringRef file, int64_t offset,
                                        int64_t bytes) {
  auto [entry, isNew] = files.try_emplace(file);
  if (isNew) {
    SmallString<128> path(file);
    if (sys::path::is_relative(file)) {
      path = folder;
      sys::path::append(path, file);
    }
    auto fail = [&, name = entry]() {
      int code = errno;
      files.erase(name);
      return createStringError("can't read '" + path +
                               "': " + sys::StrError(code));
    };
    // What is no file, a pipe for instance, must not be waited for.
    int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (descriptor < 0)
      return fail();
    struct stat status;
    void *data = MAP_FAILED;
    if (fstat(descriptor, &status) != 0) {
      status.st_size = -1;
    } else if (!S_ISREG(status.st_mode)) {
      status.st_size = -1;
      errno = S_ISDIR(status.st_mode) ? EISDIR : EINVAL;
    } else if (status.st_size > 0) {
      data =
          mmap(nullptr, status.st_size, PROT_READ, MAP_PRIVATE, descriptor, 0);
    }
    int code = errno;
    close(descriptor);
    errno = code;
    if (status.st_size < 0 || (status.st_size > 0 && data == MAP_FAILED))
      return fail();
    if (status.st_size > 0)
      entry->second = {static_cast<const char *>(data), status.st_size};
  }

  const Mapping &mapping = entry->second;
  if (offset > mapping.bytes || bytes > mapping.bytes - offset)
    return createStringError("'" + file + "' is too short: " + Twine(bytes) +
                             " bytes at offset " + Twine(offset) +
                             " are needed, but the file has " +
                             Twine(mapping.bytes) + " bytes");
  return mapping.data + offset;
}

void SourceFiles::touched(int64_t bytes) {
  if ((unreleased += bytes) < releaseBytes)
    return;
  if (unreleased.exchange(0) >= releaseBytes)
    release();
}

void SourceFiles::release() {
  for (auto &file : files)
    if (file.second.bytes)
      madvise(const_cast<char *>(file.second.data), file.second.bytes,
              MADV_DONTNEED);
}
