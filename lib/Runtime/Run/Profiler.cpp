//===- Profiler.cpp - What each operation of a run takes ------------------===//

#include "Profiler.h"
#include "Bandwidth.h"
#include "Messages.h"

using namespace qtale::run;

/// Operations in the trace, of each section the last ones: some dozens of
/// decoded tokens of a large model, and a file of some MiB.
static constexpr int64_t kEvents = 20000;

Profiler::~Profiler() {
  for (Section &section : sections)
    artifact.api->profile_destroy(section.profile);
}

int Profiler::open(std::initializer_list<const char *> titles) {
  if (!options.profile)
    return kDone;
  if (artifact.api->version < QTALE_API_VERSION)
    return error("'%s' was compiled by a version of qtale without profiles; "
                 "compile it again",
                 options.artifact.c_str());
  if (!options.profileFile.empty())
    if (int code = file.open(options.profileFile))
      return code;
  for (const char *title : titles) {
    qtale_error failure;
    sections.push_back({title});
    if (artifact.api->profile_create(
            artifact.model, options.profileFile.empty() ? 0 : kEvents,
            &sections.back().profile, &failure) != QTALE_OK)
      return error("%s", failure.message);
  }
  return kDone;
}

void Profiler::read(Section &section) {
  const qtale_api *api = artifact.api;
  section.operations.resize(
      api->profile_operations(section.profile, nullptr, 0));
  api->profile_operations(section.profile, section.operations.data(),
                          section.operations.size());
  section.events.resize(api->profile_events(section.profile, nullptr, 0));
  api->profile_events(section.profile, section.events.data(),
                      section.events.size());
}

int Profiler::report() {
  if (!options.profile)
    return kDone;
  for (Section &section : sections)
    read(section);
  qtale_error failure;
  qtale_pool *pool = nullptr;
  if (artifact.api->pool_create(options.threads, &pool, &failure) != QTALE_OK)
    return error("%s", failure.message);
  double bandwidth = measureReadBandwidth(*pool);
  int64_t threads = pool->threads;
  artifact.api->pool_destroy(pool);

  std::string text;
  for (const Section &section : sections)
    if (section.steps)
      text += profileTable(section, bandwidth) + "\n";
  char line[160];
  std::snprintf(line, sizeof(line),
                bandwidth > 0
                    ? "This machine now reads %.1f GB/s of memory with %lld "
                      "thread%s.\n"
                    : "There is no memory to measure how fast this machine "
                      "reads.\n",
                bandwidth / 1e9, static_cast<long long>(threads),
                threads == 1 ? "" : "s");
  std::fputs((text + line).c_str(), stderr);
  return options.profileFile.empty() ? kDone : file.commit(traceJson(sections));
}
