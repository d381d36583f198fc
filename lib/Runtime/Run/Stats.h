//===- Stats.h - What ran of a routed model -------------------------------===//

#ifndef QTALE_LIB_RUNTIME_RUN_STATS_H
#define QTALE_LIB_RUNTIME_RUN_STATS_H

#include "Artifact.h"
#include "WholeFile.h"

namespace qtale::run {

/// --stats: opened before the model works, written after.
class Stats {
public:
  Stats(const Artifact &artifact, const Options &options)
      : artifact(artifact), options(options) {}

  /// Whether the file, if any, can be written.
  int open();
  /// `tokens` are those that the session has read.
  int write(const qtale_session *session, const std::vector<int32_t> &tokens,
            double msPerToken);

private:
  int read(const qtale_session *session);
  int64_t countKept(int64_t unit) const;
  std::string table() const;
  std::string json() const;
  std::string texts() const;

  const Artifact &artifact;
  const Options &options;
  WholeFile file;

  std::vector<int32_t> tokens;
  double msPerToken = 0;
  uint64_t kvBytes = 0;
  const qtale_routing *routing = nullptr;
  int64_t units = 0; // of all layers
  std::vector<uint8_t> kept;
  std::vector<float> probability; // [units, tokens], both
};

} // namespace qtale::run

#endif // QTALE_LIB_RUNTIME_RUN_STATS_H
