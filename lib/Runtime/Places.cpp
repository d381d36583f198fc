//===- Places.cpp - A core for each thread --------------------------------===//

#include "Places.h"

#include <sched.h>

using namespace qtale::rt;

Places::Places(int64_t threads)
    : threads(threads), cores(new std::atomic<int>[threads]) {}

void Places::begin() {
  for (int64_t thread = 1; thread < threads; ++thread)
    cores[thread].store(-1, std::memory_order_relaxed);
  cores[0].store(sched_getcpu(), std::memory_order_relaxed);
}

void Places::take(int64_t thread) {
  int own = sched_getcpu();
  cores[thread].store(own, std::memory_order_relaxed);
  if (thread == 0 || own < 0)
    return;
  // Places are as of a moment ago: a wrong guess costs time, nothing else.
  cpu_set_t taken;
  CPU_ZERO(&taken);
  for (int64_t other = 0; other < threads; ++other)
    if (int core = cores[other].load(std::memory_order_relaxed);
        other != thread && core >= 0)
      CPU_SET(core, &taken);
  cpu_set_t allowed;
  if (!CPU_ISSET(own, &taken) ||
      sched_getaffinity(0, sizeof(allowed), &allowed))
    return;
  // From different cores on, so that two that move don't meet again.
  for (int i = 0; i < CPU_SETSIZE; ++i) {
    int core = (own + int(thread) + i) % CPU_SETSIZE;
    if (!CPU_ISSET(core, &allowed) || CPU_ISSET(core, &taken))
      continue;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(core, &one);
    cores[thread].store(core, std::memory_order_relaxed);
    sched_setaffinity(0, sizeof(one), &one);
    sched_setaffinity(0, sizeof(allowed), &allowed);
    return;
  }
}
