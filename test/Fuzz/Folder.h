//===- Folder.h - Where a target writes the files that it reads -----------===//

#ifndef QTALE_TEST_FUZZ_FOLDER_H
#define QTALE_TEST_FUZZ_FOLDER_H

#include <filesystem>
#include <fstream>
#include <string>
#include <unistd.h>

namespace fuzz {

/// A folder of this process in $TMPDIR, where utils/fuzz gives one in memory.
class Folder {
public:
  Folder()
      : path(std::filesystem::temp_directory_path() /
             ("qtale-fuzz-" + std::to_string(getpid()))) {
    std::filesystem::create_directories(path);
  }
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }

  std::string operator/(const char *name) const { return path / name; }
  /// The path of a file that holds `bytes`.
  std::string write(const char *name, std::string_view bytes) const {
    std::ofstream(path / name, std::ios::binary) << bytes;
    return *this / name;
  }

private:
  std::filesystem::path path;
};

} // namespace fuzz

#endif // QTALE_TEST_FUZZ_FOLDER_H
