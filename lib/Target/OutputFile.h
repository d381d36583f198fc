//===- OutputFile.h - Files that appear whole or not at all ---------------===//

#ifndef QTALE_LIB_TARGET_OUTPUTFILE_H
#define QTALE_LIB_TARGET_OUTPUTFILE_H

#include "llvm/ADT/ArrayRef.h"
#include "llvm/Support/Error.h"
#include "llvm/Support/FileSystem.h"
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace qtale {

/// A file under a temporary name in its folder, until it is kept. Removed on
/// every other way out, signals included.
class OutputFile {
public:
  static llvm::Expected<OutputFile> create(llvm::StringRef path);
  OutputFile(OutputFile &&other);
  ~OutputFile();

  llvm::StringRef getPath() const { return path; }
  llvm::StringRef getTemporaryPath() const { return file->TmpName; }

  /// Writes at an offset, no byte twice; thread-safe. Parts of a block of 2 MiB
  /// wait until it is whole: only then does the system keep it as one huge page,
  /// for whoever maps the file.
  llvm::Error write(uint64_t offset, llvm::ArrayRef<uint8_t> bytes);
  /// Writes blocks that are not whole, too; done by all that follow.
  llvm::Error flush();
  llvm::Expected<uint64_t> getSize();
  /// Appends a whole file at an offset.
  llvm::Error append(uint64_t offset, llvm::StringRef from);
  llvm::Error makeExecutable();

  /// Gives the file its name.
  llvm::Error keep();
  /// Gives both their names, or neither: what stood under the first one's is
  /// put back when the second can't have its own.
  static llvm::Error keepBoth(OutputFile &first, OutputFile &second);

private:
  OutputFile(std::string path, llvm::sys::fs::TempFile file)
      : path(std::move(path)), file(std::move(file)) {}
  llvm::Error problem(const llvm::Twine &what) const;
  llvm::Error writeNow(uint64_t offset, llvm::ArrayRef<uint8_t> bytes);

  /// A block of which some parts have come.
  struct Block {
    std::vector<uint8_t> bytes;
    std::map<uint64_t, uint64_t> parts; // begin -> end, in the block
    uint64_t filled = 0;
  };

  std::string path;
  std::optional<llvm::sys::fs::TempFile> file;
  std::unique_ptr<std::mutex> mutex = std::make_unique<std::mutex>();
  std::map<uint64_t, Block> blocks; // by their offset
};

} // namespace qtale

#endif // QTALE_LIB_TARGET_OUTPUTFILE_H
