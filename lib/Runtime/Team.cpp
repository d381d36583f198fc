//===- Team.cpp - All threads of one entry call ---------------------------===//
//
//   pool.run ──▶ thread 0   entry( chunk 0, chunk 2, … ─ barrier ─ … )  ──▶
//   code
//           └──▶ thread 1   entry( chunk 1, chunk 3, … ─ barrier ─ … )
//
// Threads enter once for a whole pass over the model. Loops inside are shared
// out chunk by chunk, as threads ask, so that a thread that lost its core
// delays one chunk and not the loop. The last to arrive at a barrier resets the
// counter before it opens the gate, so that nobody asks too early.
//
//===----------------------------------------------------------------------===//

#include "Team.h"

#include "Pool.h"

using namespace qtale::rt;

Team::Team(const qtale_pool &pool, bool spins)
    : pool(pool), spins(spins), contexts(pool.threads),
      places(spins ? Pool::placesOf(pool) : nullptr) {}

void Team::prepare(qtale_entry entry, const qtale_context &context,
                   void *const *args, int64_t threads) {
  this->entry = entry;
  this->args = args;
  active = threads;
  chunk.store(0, std::memory_order_relaxed);
  for (int64_t thread = 0; thread < threads; ++thread) {
    qtale_context &own = contexts[thread];
    own = context;
    own.thread = thread;
    own.threads = threads;
    own.team = this;
    if (thread)
      own.profile = nullptr; // the clock is thread 0's
  }
}

int32_t Team::execute(qtale_entry entry, const qtale_context &context,
                      void *const *args) {
  if (pool.threads == 1)
    return executeAlone(entry, context, args);
  prepare(entry, context, args, pool.threads);
  pool.run(pool.state, enter, this);
  return code;
}

int32_t Team::executeAlone(qtale_entry entry, const qtale_context &context,
                           void *const *args) {
  prepare(entry, context, args, 1);
  enter(this, 0);
  return code;
}

void Team::enter(void *argument, int64_t thread) {
  Team &team = *static_cast<Team *>(argument);
  if (team.places && team.active > 1)
    thread ? team.places->take(thread) : team.places->begin();
  int32_t code = team.entry(&team.contexts[thread], team.args);
  if (thread == 0)
    team.code = code;
  if (thread == 0 && team.places && team.active > 1)
    team.places->end();
}

void Team::barrier(int64_t thread) {
  uint32_t seen = gate.count();
  if (arrived.fetch_add(1, std::memory_order_acq_rel) + 1 < active) {
    bool slept = gate.pass(seen, spins);
    if (slept && places)
      places->take(thread);
    return;
  }
  arrived.store(0, std::memory_order_relaxed);
  chunk.store(0, std::memory_order_relaxed);
  if (active > 1)
    gate.open();
}

int64_t qtale_rt_next_chunk(qtale_context *context) {
  return static_cast<Team *>(context->team)->nextChunk();
}

void qtale_rt_barrier(qtale_context *context) {
  static_cast<Team *>(context->team)->barrier(context->thread);
}
