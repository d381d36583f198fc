// A team of threads that executes an entry, with as little as the ABI asks for.

#include "qtale/Runtime/ModuleABI.h"

#include <pthread.h>
#include <stdatomic.h>

static atomic_long next;
static pthread_barrier_t barrier;

int64_t qtale_rt_next_chunk(qtale_context *context) {
  return atomic_fetch_add(&next, 1);
}

void qtale_rt_barrier(qtale_context *context) {
  // The counter starts again when nobody takes chunks any more.
  if (pthread_barrier_wait(&barrier) == PTHREAD_BARRIER_SERIAL_THREAD)
    atomic_store(&next, 0);
  pthread_barrier_wait(&barrier);
}

/// Nothing is profiled.
void qtale_rt_mark(qtale_context *context, int64_t marked, int64_t rows) {}

/// Entries of each (cache, sequence); what the next call returns.
int32_t entries[4][4];
int32_t reserve_code;

int32_t qtale_rt_kv_reserve(qtale_context *context, int64_t cache,
                            const uint8_t *keep, const int32_t *sequences,
                            const int32_t *positions, int64_t rows,
                            int32_t *slots) {
  for (int64_t row = 0; row < rows; ++row) {
    int32_t *count = &entries[cache][sequences[row]];
    slots[row] = 1000 * positions[row] + *count;
    *count += keep[row];
  }
  return reserve_code;
}

struct member {
  pthread_t thread;
  qtale_context context;
  qtale_entry entry;
  void *const *arguments;
  int32_t code;
};

static void *run(void *pointer) {
  struct member *member = pointer;
  member->code = member->entry(&member->context, member->arguments);
  return 0;
}

/// Returns the entry's code; -1 where threads disagree.
int32_t run_team(qtale_entry entry, void *const *arguments, int64_t threads,
                 uint8_t *arena, uint64_t arena_bytes, const uint8_t *weights,
                 void *const *const *const *kv, uint8_t *kept,
                 float *probability, int64_t rows) {
  struct member members[16];
  atomic_store(&next, 0);
  pthread_barrier_init(&barrier, 0, threads);
  for (int64_t i = 0; i < threads; ++i) {
    qtale_context context = {arena, arena_bytes, weights, kv, i, threads, 0, 0,
                             kept,  probability, rows};
    members[i] = (struct member){0, context, entry, arguments, 0};
    pthread_create(&members[i].thread, 0, run, &members[i]);
  }
  int32_t code = 0;
  for (int64_t i = 0; i < threads; ++i) {
    pthread_join(members[i].thread, 0);
    code = i && members[i].code != code ? -1 : members[i].code;
  }
  pthread_barrier_destroy(&barrier);
  return code;
}
