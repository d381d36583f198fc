//===- Cores.cpp - How many threads make sense ----------------------------===//
//
//   cores of the machine ⊇ cores allowed (affinity) ⊇ time granted (cgroup)
//
// A container with two cores' worth of time on a machine with 64 sees all 64.
// With a thread for each it would use up its time at once and then stand still
// for the rest of each period.
//
//===----------------------------------------------------------------------===//

#include "Cores.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <memory>
#include <sched.h>
#include <string>
#include <unistd.h>

using namespace qtale::rt;

namespace {

struct Closer {
  void operator()(FILE *file) const { fclose(file); }
};
using File = std::unique_ptr<FILE, Closer>;

} // namespace

int64_t qtale::rt::availableCores() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof(set), &set) == 0)
    return CPU_COUNT(&set);
  // More than 1024 CPUs do not fit the set.
  long cores = sysconf(_SC_NPROCESSORS_ONLN);
  return cores > 0 ? cores : 1;
}

/// The whole cores that the control group grants, or `otherwise`. It lies in
/// the line "0::PATH"; its limit reads "200000 100000" or "max 100000", in µs
/// per period.
static int64_t grantedCores(int64_t otherwise) {
  File groups(fopen("/proc/self/cgroup", "re"));
  char line[4096];
  while (groups && fgets(line, sizeof(line), groups.get())) {
    if (strncmp(line, "0::/", 4))
      continue;
    line[strcspn(line, "\n")] = 0;
    File limit(fopen(
        ("/sys/fs/cgroup" + std::string(line + 3) + "/cpu.max").c_str(), "re"));
    long long time, period;
    if (limit && fscanf(limit.get(), "%lld %lld", &time, &period) == 2 &&
        time > 0 && period > 0)
      return (time + period - 1) / period;
  }
  return otherwise;
}

int64_t qtale::rt::defaultThreads() {
  int64_t cores = availableCores();
  return std::min(cores, grantedCores(cores));
}
