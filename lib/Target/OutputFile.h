//===- OutputFile.h - Files that appear whole or not at all ---------------===//

#ifndef QTALE_LIB_TARGET_OUTPUTFILE_H
#define QTALE_LIB_TARGET_OUTPUTFILE_H

#include "llvm/ADT/ArrayRef.h"
#include "llvm/Support/Error.h"
#include "llvm/Support/FileSystem.h"
#include <optional>
#include <string>

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

  /// Writes at an offset; thread-safe.
  llvm::Error write(uint64_t offset, llvm::ArrayRef<uint8_t> bytes);
  llvm::Expected<uint64_t> getSize() const;
  /// Appends a whole file at an offset.
  llvm::Error append(uint64_t offset, llvm::StringRef from);
  llvm::Error makeExecutable();

  /// Gives the file its name.
  llvm::Error keep();

private:
  OutputFile(std::string path, llvm::sys::fs::TempFile file)
      : path(std::move(path)), file(std::move(file)) {}
  llvm::Error problem(const llvm::Twine &what) const;

  std::string path;
  std::optional<llvm::sys::fs::TempFile> file;
};

} // namespace qtale

#endif // QTALE_LIB_TARGET_OUTPUTFILE_H
