//===- OutputDir.h - A folder that gets all files or none -----------------===//
//
//   add     DIR/.logits.npy.1234     written and closed, under another name
//   commit  DIR/logits.npy           renamed, once all are there
//   else    nothing is left; a folder that was made is taken away again
//
//===----------------------------------------------------------------------===//

#ifndef QTALE_LIB_RUNTIME_RUN_OUTPUTDIR_H
#define QTALE_LIB_RUNTIME_RUN_OUTPUTDIR_H

#include "qtale/Runtime/qtale.h"
#include <string>
#include <utility>
#include <vector>

namespace qtale::run {

class OutputDir {
public:
  OutputDir() = default;
  OutputDir(const OutputDir &) = delete;
  ~OutputDir();

  /// Makes the folder, with those above it.
  int open(const std::string &path);
  /// Writes DIR/NAME.npy; a slash in the name becomes '_'.
  int add(const qtale_tensor &tensor);
  int commit();

private:
  std::string folder;
  std::vector<std::string> made; /// folders, the outermost first
  std::vector<std::pair<std::string, std::string>> files; /// from, to
};

} // namespace qtale::run

#endif // QTALE_LIB_RUNTIME_RUN_OUTPUTDIR_H
