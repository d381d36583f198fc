//===- Profile.cpp - What the operations of calls take --------------------===//
//
//   thread 0   mark 7 ─ rms_norm, barrier ─ mark 8 ─ matmul, barrier ─ mark -1
//              |<------ operation 7 ----->|<----- operation 8 ------>|
//
// Marks are in the code of every model and cost a call that returns at once;
// where the context has a profile, they look at the clock. Nothing is allocated
// meanwhile.
//
//===----------------------------------------------------------------------===//

#include "Profile.h"

#include "Error.h"

#include <algorithm>
#include <ctime>

using namespace qtale::rt;

/// Bounds what is reserved for events.
static constexpr int64_t mostEvents = 1 << 24;

static uint64_t readClock() {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return uint64_t(time.tv_sec) * 1000000000u + uint64_t(time.tv_nsec);
}

qtale_profile::qtale_profile(const qtale_model &model, int64_t events)
    : model(model), sums(model.level->num_marked), ring(events) {}

void qtale_profile::close(uint64_t now) {
  const qtale_marked &marked = model.level->marked[open];
  // Without rows nothing is read.
  uint64_t bytes = (openRows ? marked.bytes : 0) + marked.row_bytes * openRows;
  uint64_t macs = marked.macs * openRows, nanoseconds = now - since;
  Sum &sum = sums[open];
  ++sum.calls;
  sum.nanoseconds += nanoseconds;
  sum.bytes += bytes;
  sum.macs += macs;
  if (!ring.empty())
    ring[closed % ring.size()] = {open, since, nanoseconds, bytes, macs};
  ++closed;
}

void qtale_profile::mark(int64_t marked, int64_t rows) {
  uint64_t now = readClock();
  if (open >= 0)
    close(now);
  open = uint64_t(marked) < sums.size() ? marked : -1;
  openRows = rows;
  since = now;
}

int64_t qtale_profile::copyOperations(qtale_operation *operations,
                                      int64_t capacity) const {
  const qtale_level &level = *model.level;
  int64_t count = sums.size();
  for (int64_t i = 0; i < std::min(count, capacity); ++i) {
    const qtale_marked &marked = level.marked[i];
    operations[i] = {level.names + marked.operation,
                     level.names + marked.node,
                     marked.layer,
                     sums[i].calls,
                     sums[i].nanoseconds,
                     sums[i].bytes,
                     sums[i].macs};
  }
  return count;
}

int64_t qtale_profile::copyEvents(qtale_event *events, int64_t capacity) const {
  uint64_t count = std::min<uint64_t>(closed, ring.size());
  for (uint64_t i = 0; i < count && int64_t(i) < capacity; ++i)
    events[i] = ring[(closed - count + i) % ring.size()];
  return count;
}

int32_t qtale::rt::createProfile(const qtale_model &model, int64_t events,
                                 qtale_profile **result, qtale_error *error) {
  if (events < 0 || events > mostEvents)
    return fail(error, QTALE_INVALID_ARGUMENT,
                "a profile of %lld events; give 0 to %lld", (long long)events,
                (long long)mostEvents);
  *result = new qtale_profile(model, events);
  return QTALE_OK;
}

int32_t ProfileHold::take(qtale_profile &wanted, qtale_error *error) {
  if (wanted.busy.exchange(true, std::memory_order_acquire))
    return fail(error, QTALE_BUSY,
                "the profile is in use by another call; wait for it, or give "
                "each its own");
  profile = &wanted;
  wanted.begin();
  return QTALE_OK;
}

void qtale_rt_mark(qtale_context *context, int64_t marked, int64_t rows) {
  if (context->profile)
    static_cast<qtale_profile *>(context->profile)->mark(marked, rows);
}
