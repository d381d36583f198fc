//===- Link.h - From objects to one ELF file ------------------------------===//

#ifndef QTALE_LIB_TARGET_LINK_H
#define QTALE_LIB_TARGET_LINK_H

#include "qtale/Target/Artifact.h"
#include "llvm/ADT/ArrayRef.h"
#include "llvm/Support/Error.h"
#include <string>

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

/// Links objects and the runtime's to `output`, a file in `scratch`.
llvm::Error link(ArtifactOptions::Kind kind, llvm::StringRef triple,
                 llvm::ArrayRef<std::string> objects, llvm::StringRef toolPath,
                 const ScratchFolder &scratch, llvm::StringRef output);

} // namespace qtale

#endif // QTALE_LIB_TARGET_LINK_H
