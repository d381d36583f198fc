//===- Team.h - All threads of one entry call -----------------------------===//

#ifndef QTALE_LIB_RUNTIME_TEAM_H
#define QTALE_LIB_RUNTIME_TEAM_H

#include "Gate.h"
#include "qtale/Runtime/ModuleABI.h"
#include "qtale/Runtime/qtale.h"

#include <vector>

namespace qtale::rt {

class CacheTables;
class Places;

class Team {
public:
  /// `spins`: every thread of the pool has a core of its own. Those of the runtime's
  /// pools are then kept on different ones.
  Team(const qtale_pool &pool, bool spins);

  /// Calls `entry` on every thread of the pool with `context`, whose thread,
  /// threads and team are filled in; thread 0 alone gets its profile. Returns the entry's code.
  int32_t execute(qtale_entry entry, const qtale_context &context,
                  void *const *args);

  /// The same on the calling thread alone, with the same results: for work that
  /// is done before the others would be awake.
  int32_t executeAlone(qtale_entry entry, const qtale_context &context,
                       void *const *args);

  /// Why the last entry failed, where it said so; else null.
  const char *message() const { return contexts[0].message; }

  /// Where qtale_rt_kv_reserve makes places; set before a step executes.
  CacheTables *caches = nullptr;

  int64_t nextChunk() { return chunk.fetch_add(1, std::memory_order_relaxed); }
  void barrier(int64_t thread);

private:
  void prepare(qtale_entry entry, const qtale_context &context,
               void *const *args, int64_t threads);
  static void enter(void *team, int64_t thread);

  const qtale_pool pool;
  const bool spins;
  qtale_entry entry = nullptr;
  void *const *args = nullptr;
  std::vector<qtale_context> contexts;
  int64_t active = 0;      // threads of this call
  int32_t code = QTALE_OK; // of thread 0

  // Written by all threads, each on a cache line of its own.
  alignas(64) std::atomic<int64_t> chunk{0};
  alignas(64) std::atomic<int64_t> arrived{0};
  alignas(64) Gate gate;
  Places *const places; // null: the threads are not ours to place
};

} // namespace qtale::rt

#endif // QTALE_LIB_RUNTIME_TEAM_H
