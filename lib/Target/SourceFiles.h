//===- SourceFiles.h - The files that weights come from -------------------===//

#ifndef QTALE_LIB_TARGET_SOURCEFILES_H
#define QTALE_LIB_TARGET_SOURCEFILES_H

#include "llvm/ADT/StringMap.h"
#include "llvm/Support/Error.h"
#include <atomic>
#include <cstdint>
#include <string>

namespace qtale {

/// Files mapped read-only. Mapped pages count as the process's memory once they
/// are touched, so readers report what they touch, and everything mapped is
/// released whenever enough has gathered; pages that are still needed come back
/// from the page cache.
class SourceFiles {
public:
  explicit SourceFiles(llvm::StringRef folder) : folder(folder) {}
  ~SourceFiles();

  /// Bytes [offset, offset + bytes) of a file, named relative to the folder.
  llvm::Expected<const char *> map(llvm::StringRef file, int64_t offset,
                                   int64_t bytes);

  /// A touched page brings its neighbours, up to a huge page of them.
  static constexpr int64_t faultBytes = 2 << 20;
  /// Readers report at least this often.
  static constexpr int64_t reportBytes = 4 << 20;

  /// Another part of a file, so wide, has been read. Thread-safe.
  void touched(int64_t bytes);

private:
  struct Mapping {
    const char *data = nullptr;
    int64_t bytes = 0;
  };
  void release();

  std::string folder;
  llvm::StringMap<Mapping> files;
  std::atomic<int64_t> unreleased{0};
};

} // namespace qtale

#endif // QTALE_LIB_TARGET_SOURCEFILES_H
