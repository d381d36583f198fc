//===- Bandwidth.cpp - How fast this machine reads memory -----------------===//
//
//   256 MiB, written once:  | thread 0 | thread 1 | …   each ORs its own part
//
// Again and again for 0.3 s; the fastest pass counts, as others' work only ever
// makes it slower.
//
//===----------------------------------------------------------------------===//

#include "Bandwidth.h"
#include "Artifact.h"
#include <algorithm>
#include <atomic>
#include <cstring>
#include <sys/mman.h>

using namespace qtale::run;

static constexpr size_t kBytes = size_t(256) << 20;
static constexpr double kSeconds = 0.3;

namespace {
struct Reading {
  uint64_t *words;
  int64_t threads;
  bool writes; /// the first pass makes the pages
  std::atomic<uint64_t> result{0};

  static void run(void *self, int64_t thread) {
    static_cast<Reading *>(self)->part(thread);
  }
  void part(int64_t thread);
};
} // namespace

void Reading::part(int64_t thread) {
  constexpr size_t kLanes = 32; // independent, so that loads overlap
  constexpr size_t kWords = kBytes / sizeof(uint64_t);
  size_t first = kWords / kLanes * thread / threads * kLanes;
  size_t last = kWords / kLanes * (thread + 1) / threads * kLanes;
  if (writes) {
    std::memset(words + first, 1, (last - first) * sizeof(uint64_t));
    return;
  }
  uint64_t lanes[kLanes] = {};
  for (size_t i = first; i < last; i += kLanes)
    for (size_t lane = 0; lane < kLanes; ++lane)
      lanes[lane] |= words[i + lane];
  uint64_t all = 0;
  for (uint64_t lane : lanes)
    all |= lane;
  result.fetch_or(all); // the compiler must not drop what nobody asks for
}

double qtale::run::measureReadBandwidth(const qtale_pool &pool) {
  void *memory = mmap(nullptr, kBytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED)
    return 0;
  Reading reading{static_cast<uint64_t *>(memory), pool.threads, true};
  pool.run(pool.state, Reading::run, &reading);
  reading.writes = false;
  double fastest = 0, end = now() + kSeconds;
  do {
    double begin = now();
    pool.run(pool.state, Reading::run, &reading);
    fastest = std::max(fastest, double(kBytes) / (now() - begin));
  } while (now() < end);
  munmap(memory, kBytes);
  return fastest;
}
