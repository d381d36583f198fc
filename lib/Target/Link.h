//===- Link.h - From objects to one ELF file ------------------------------===//

#ifndef QTALE_LIB_TARGET_LINK_H
#define QTALE_LIB_TARGET_LINK_H

#include "qtale/Target/Artifact.h"
#include "llvm/ADT/ArrayRef.h"
#include "llvm/Support/Error.h"
#include "llvm/TargetParser/Triple.h"
#include <string>
#include <vector>

namespace qtale {

/// A folder for files on the way; gone with this object.
class ScratchFolder {
public:
  static llvm::Expected<ScratchFolder> create();
  ScratchFolder(ScratchFolder &&other) : path(std::move(other.path)) {
    other.path.clear();
  }
  ~ScratchFolder();

  std::string getFile(llvm::StringRef name) const;
  llvm::Expected<std::string> write(llvm::StringRef name,
                                    llvm::ArrayRef<char> bytes) const;

private:
  explicit ScratchFolder(std::string path) : path(std::move(path)) {}
  std::string path;
};

/// The linker, and all that a link needs beside the model's own objects.
class Linker {
public:
  /// Looks for everything; what is missing is an error that says what to
  /// install.
  static llvm::Expected<Linker> find(ArtifactOptions::Kind kind,
                                     llvm::StringRef triple,
                                     llvm::StringRef toolPath);

  /// Links objects to `output`, a file in `scratch`.
  llvm::Error link(llvm::ArrayRef<std::string> objects,
                   const ScratchFolder &scratch, llvm::StringRef output) const;

private:
  llvm::Error findLibC(const llvm::Triple &triple);
  llvm::Error linkObject(llvm::ArrayRef<std::string> objects,
                         const ScratchFolder &scratch,
                         llvm::StringRef output) const;

  ArtifactOptions::Kind kind;
  std::string linker, runtime, dynamicLinker;
  std::vector<std::string> libraryFolders;
  std::vector<std::string> before, after; // the C library's files
};

} // namespace qtale

#endif // QTALE_LIB_TARGET_LINK_H
