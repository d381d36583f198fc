//===- Session.h - A session of the run command ---------------------------===//

#ifndef QTALE_LIB_RUNTIME_RUN_SESSION_H
#define QTALE_LIB_RUNTIME_RUN_SESSION_H

#include "Profiler.h"

namespace qtale::run {

/// A session that ends with its scope.
class Session {
public:
  explicit Session(const Artifact &artifact) : artifact(artifact) {}
  Session(const Session &) = delete;
  ~Session();

  /// With the options' threads, and what they say about routing. Refuses models
  /// that have no sessions.
  int create(const Options &options);
  /// A step; the last token's logits, where `logits` is not null. Added to
  /// `section`, where it is profiled.
  int step(const std::vector<int32_t> &tokens, std::vector<float> *logits,
           Section *section = nullptr);

  qtale_session *handle = nullptr;

private:
  int32_t setRouting(const Options &options, qtale_error *failure);

  const Artifact &artifact;
};

} // namespace qtale::run

#endif // QTALE_LIB_RUNTIME_RUN_SESSION_H
