//===- Trace.cpp - A profile for chrome://tracing and Perfetto ------------===//
//
//   {"traceEvents": [
//    {"name": "matmul", "cat": "decode", "ph": "X", "pid": 1, "tid": 1,
//     "ts": 10.250, "dur": 3.125, "args": {"node": "/lm_head/MatMul", …}}, …]}
//
// Times are microseconds after the first event. One thread's, so that events
// stand in a row: the others work on the same operation.
//
//===----------------------------------------------------------------------===//

#include "Json.h"
#include "Profiler.h"
#include <algorithm>

using namespace qtale::run;

static std::string eventJson(const Section &section, const qtale_event &event,
                             uint64_t first) {
  const qtale_operation &operation = section.operations[event.operation];
  char numbers[160];
  std::snprintf(numbers, sizeof(numbers),
                "\"pid\": 1, \"tid\": 1, \"ts\": %.3f, \"dur\": %.3f, ",
                double(event.begin - first) / 1e3,
                double(event.nanoseconds) / 1e3);
  std::string text = "{\"name\": " + jsonString(operation.operation) +
                     ", \"cat\": " + jsonString(section.title) +
                     ", \"ph\": \"X\", " + numbers +
                     "\"args\": {\"node\": " + jsonString(operation.node);
  if (operation.layer >= 0)
    text += ", \"layer\": " + std::to_string(operation.layer);
  double time = double(std::max<uint64_t>(event.nanoseconds, 1));
  if (event.bytes) {
    std::snprintf(numbers, sizeof(numbers), ", \"bytes\": %llu, \"GB/s\": %.3f",
                  static_cast<unsigned long long>(event.bytes),
                  double(event.bytes) / time);
    text += numbers;
  }
  if (event.macs) {
    std::snprintf(numbers, sizeof(numbers), ", \"GMAC/s\": %.3f",
                  double(event.macs) / time);
    text += numbers;
  }
  return text + "}}";
}

std::string qtale::run::traceJson(const std::vector<Section> &sections) {
  uint64_t first = UINT64_MAX;
  for (const Section &section : sections)
    if (!section.events.empty())
      first = std::min(first, section.events.front().begin);
  std::string text = "{\"displayTimeUnit\": \"ms\", \"traceEvents\": [\n"
                     " {\"name\": \"process_name\", \"ph\": \"M\", \"pid\": 1, "
                     "\"args\": {\"name\": \"qtale\"}}";
  for (const Section &section : sections)
    for (const qtale_event &event : section.events)
      text += ",\n " + eventJson(section, event, first);
  return text + "\n]}\n";
}
