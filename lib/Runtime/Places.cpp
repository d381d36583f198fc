//===- Places.cpp - A core for each thread --------------------------------===//

#include "Places.h"

using namespace qtale::rt;

void Places::begin() {
  places[0].core.store(sched_getcpu(), std::memory_order_relaxed);
}

void Places::take(int64_t thread) {
  Place &own = places[thread];
  int core = sched_getcpu();
  own.core.store(core, std::memory_order_relaxed);
  // Places are as of a moment ago: a wrong guess costs time, nothing else.
  cpu_set_t others;
  CPU_ZERO(&others);
  for (const Place &place : places)
    if (int other = place.core.load(std::memory_order_relaxed);
        &place != &own && other >= 0)
      CPU_SET(other, &others);
  cpu_set_t now;
  if (core < 0 || !CPU_ISSET(core, &others) ||
      sched_getaffinity(0, sizeof(now), &now))
    return;
  // Somebody else's change counts.
  if (!own.restricted || !CPU_EQUAL(&now, &own.chosen))
    own.allowed = now;
  cpu_set_t shared;
  CPU_AND(&shared, &own.allowed, &others);
  CPU_XOR(&own.chosen, &own.allowed, &shared);
  own.restricted = CPU_COUNT(&own.chosen) &&
                   !sched_setaffinity(0, sizeof(own.chosen), &own.chosen);
  own.core.store(sched_getcpu(), std::memory_order_relaxed);
}

void Places::end() {
  Place &own = places[0];
  cpu_set_t now;
  if (own.restricted && !sched_getaffinity(0, sizeof(now), &now) &&
      CPU_EQUAL(&now, &own.chosen))
    sched_setaffinity(0, sizeof(own.allowed), &own.allowed);
  own.restricted = false;
}
