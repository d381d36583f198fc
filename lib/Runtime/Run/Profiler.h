//===- Profiler.h - What each operation of a run takes --------------------===//
//
//   open      can the file be written?
//   section   prompt | decode, or call: passed to what runs the model
//   report    a table of each to stderr; the file, if any
//
//===----------------------------------------------------------------------===//

#ifndef QTALE_LIB_RUNTIME_RUN_PROFILER_H
#define QTALE_LIB_RUNTIME_RUN_PROFILER_H

#include "Artifact.h"
#include "WholeFile.h"

namespace qtale::run {

/// Calls of the model that are profiled together.
struct Section {
  const char *title;
  qtale_profile *profile = nullptr;
  double seconds = 0; /// of all calls, measured outside
  int64_t steps = 0, tokens = 0;
  std::vector<qtale_operation> operations = {}; /// filled in after the run
  std::vector<qtale_event> events = {};
};

/// --profile. Does nothing without it.
class Profiler {
public:
  Profiler(const Artifact &artifact, const Options &options)
      : artifact(artifact), options(options) {}
  Profiler(const Profiler &) = delete;
  ~Profiler();

  int open(std::initializer_list<const char *> titles);
  /// Null where nothing is profiled.
  Section *section(size_t index) {
    return options.profile ? &sections[index] : nullptr;
  }
  int report();

private:
  void read(Section &section);

  const Artifact &artifact;
  const Options &options;
  WholeFile file;
  std::vector<Section> sections;
};

/// A section by operation and by layer. `readBandwidth` in bytes per second; 0:
/// not known (ProfileTable.cpp).
std::string profileTable(const Section &section, double readBandwidth);

/// The events of all sections for chrome://tracing or Perfetto (Trace.cpp).
std::string traceJson(const std::vector<Section> &sections);

} // namespace qtale::run

#endif // QTALE_LIB_RUNTIME_RUN_PROFILER_H
