//===- Artifact.h - A compiled model, loaded ------------------------------===//

#ifndef QTALE_LIB_RUNTIME_RUN_ARTIFACT_H
#define QTALE_LIB_RUNTIME_RUN_ARTIFACT_H

#include "Options.h"
#include "qtale/Runtime/qtale.h"

namespace qtale::run {

/// The model of a run: a shared library, or the program itself.
class Artifact {
public:
  Artifact() = default;
  Artifact(const Artifact &) = delete;
  ~Artifact();

  /// Loads the library (unless `embedded`) and opens the model.
  int open(const Options &options, const qtale_api *embedded);

  /// The bytes of a token after another (-1: the first). A qtale_code.
  int32_t detokenize(int32_t previous, int32_t token, std::string &bytes,
                     qtale_error *failure) const;

  const qtale_api *api = nullptr;
  qtale_model *model = nullptr;
  double loadSeconds = 0;

private:
  int load(const std::string &path);
  void *library = nullptr;
};

/// Seconds of a clock that only goes forward.
double now();

} // namespace qtale::run

#endif // QTALE_LIB_RUNTIME_RUN_ARTIFACT_H
