//===- ThreadsTest.cpp - Pools, teams, barriers ---------------------------===//

#include "Cores.h"
#include "Fixtures.h"
#include "Pool.h"
#include "Team.h"

#include <atomic>

using namespace qtale::rt;

namespace {

constexpr int64_t rounds = 300, chunks = 37;

/// What the entry below writes; `taken` has a count per round and chunk.
struct Board {
  std::vector<std::atomic<int>> taken =
      std::vector<std::atomic<int>>(rounds * chunks);
  std::vector<int> plain = std::vector<int>(chunks); // no atomics: barriers do
  std::atomic<int> torn{0};
};

} // namespace

/// Each round: every chunk once, then every thread reads what all wrote.
static int32_t takeChunks(qtale_context *context, void *const *args) {
  Board &board = *static_cast<Board *>(args[0]);
  for (int64_t round = 0; round < rounds; ++round) {
    for (int64_t i; (i = qtale_rt_next_chunk(context)) < chunks;) {
      board.taken[round * chunks + i]++;
      board.plain[i] = round;
    }
    qtale_rt_barrier(context);
    for (int value : board.plain)
      board.torn += value != round;
    qtale_rt_barrier(context);
  }
  return context->thread == context->threads ? QTALE_IO : QTALE_LIMIT;
}

static void expectEachChunkOnce(const qtale_pool &pool, bool spins) {
  Board board;
  void *args[] = {&board};
  Team team(pool, spins);
  for (int repeat = 1; repeat <= 3; ++repeat) {
    EXPECT_EQ(team.execute(takeChunks, qtale_context(), args), QTALE_LIMIT);
    for (std::atomic<int> &count : board.taken)
      ASSERT_EQ(count, repeat);
    EXPECT_EQ(board.torn, 0);
  }
}

TEST(Team, EveryChunkOnceOnAnyNumberOfThreads) {
  for (int64_t threads : {1, 2, 3, 8, 33}) {
    std::unique_ptr<Pool> pool;
    ASSERT_EQ(Pool::create(threads, pool, nullptr), QTALE_OK);
    expectEachChunkOnce(*pool, /*spins=*/false);
    expectEachChunkOnce(*pool, /*spins=*/true);
  }
}

TEST(Team, OneThreadOfAPoolWakesNoOther) {
  qtale_pool pool = {nullptr, 4, [](void *, void (*)(void *, int64_t), void *) {
                       FAIL() << "the pool was asked";
                     }};
  Board board;
  void *args[] = {&board};
  Team team(pool, /*spins=*/true);
  EXPECT_EQ(team.executeAlone(takeChunks, qtale_context(), args), QTALE_LIMIT);
  for (std::atomic<int> &count : board.taken)
    ASSERT_EQ(count, 1);
  EXPECT_EQ(board.torn, 0);
}

TEST(Team, RunsOnTheHostsPool) {
  qtale_pool pool = {nullptr, 4,
                     [](void *, void (*task)(void *, int64_t), void *argument) {
                       std::vector<std::thread> threads;
                       for (int64_t i = 0; i < 4; ++i)
                         threads.emplace_back(task, argument, i);
                       for (std::thread &thread : threads)
                         thread.join();
                     }};
  expectEachChunkOnce(pool, /*spins=*/false);
}

TEST(Pool, CallersFromManyThreadsTakeTurns) {
  std::unique_ptr<Pool> pool;
  ASSERT_EQ(Pool::create(3, pool, nullptr), QTALE_OK);
  struct Counts {
    std::atomic<int> inside{0}, calls{0}, crowded{0};
  } counts;
  auto call = [&] {
    for (int i = 0; i < 500; ++i)
      pool->run(
          pool->state,
          [](void *argument, int64_t) {
            Counts &counts = *static_cast<Counts *>(argument);
            counts.crowded += ++counts.inside > 3;
            counts.calls++;
            counts.inside--;
          },
          &counts);
  };
  std::thread a(call), b(call);
  a.join(), b.join();
  EXPECT_EQ(counts.calls, 2 * 500 * 3);
  EXPECT_EQ(counts.crowded, 0);
}

TEST(Pool, SleepingThreadsWakeForWorkAndForTheEnd) {
  std::unique_ptr<Pool> pool;
  ASSERT_EQ(Pool::create(4, pool, nullptr), QTALE_OK);
  std::atomic<int> calls{0};
  for (int i = 0; i < 20; ++i) {
    usleep(1000); // far longer than threads spin
    pool->run(
        pool->state,
        [](void *argument, int64_t) {
          ++*static_cast<std::atomic<int> *>(argument);
        },
        &calls);
  }
  EXPECT_EQ(calls, 80);
  usleep(1000);
}

TEST(Pool, RefusesOddNumbersOfThreads) {
  const qtale_api *api = qtale_get_api(QTALE_API_VERSION);
  qtale_pool *pool;
  EXPECT_FAILS(QTALE_INVALID_ARGUMENT, "-1 threads",
               api->pool_create(-1, &pool, &error));
  EXPECT_FAILS(QTALE_INVALID_ARGUMENT, "5000 threads",
               api->pool_create(5000, &pool, &error));
  ASSERT_EQ(api->pool_create(0, &pool, nullptr), QTALE_OK);
  EXPECT_EQ(pool->threads, defaultThreads());
  api->pool_destroy(pool);
}

// One core allowed: one thread, whatever the machine has.
TEST(Pool, ItsDefaultIsWhatTheProcessMayUse) {
  cpu_set_t before, one;
  ASSERT_EQ(sched_getaffinity(0, sizeof(before), &before), 0);
  CPU_ZERO(&one);
  for (int cpu = 0; cpu < CPU_SETSIZE && !CPU_COUNT(&one); ++cpu)
    if (CPU_ISSET(cpu, &before))
      CPU_SET(cpu, &one);
  ASSERT_EQ(sched_setaffinity(0, sizeof(one), &one), 0);
  EXPECT_EQ(availableCores(), 1);
  EXPECT_EQ(defaultThreads(), 1);
  ASSERT_EQ(sched_setaffinity(0, sizeof(before), &before), 0);
  EXPECT_EQ(availableCores(), CPU_COUNT(&before));
}

/// The cores that this thread may use; it may use them again after a test.
class Allowed {
public:
  Allowed() { sched_getaffinity(0, sizeof(before), &before); }
  ~Allowed() { set(before); }
  static void set(const cpu_set_t &cores) {
    sched_setaffinity(0, sizeof(cores), &cores);
  }
  static bool is(const cpu_set_t &cores) {
    cpu_set_t now;
    return !sched_getaffinity(0, sizeof(now), &now) && CPU_EQUAL(&now, &cores);
  }
  cpu_set_t before;
};

// The tests are thread 0 and thread 1 in one. The system may move a thread at any
// time: once in many times is enough.
TEST(Places, AThreadLeavesTheCoreOfAnother) {
  Allowed allowed;
  if (CPU_COUNT(&allowed.before) < 2)
    GTEST_SKIP() << "one core";
  bool left = false;
  for (int i = 0; i < 100 && !left; ++i) {
    Allowed::set(allowed.before);
    Places places(2);
    places.begin();
    int first = sched_getcpu();
    places.take(1);
    cpu_set_t without = allowed.before;
    CPU_CLR(first, &without);
    left = sched_getcpu() != first && Allowed::is(without);
  }
  EXPECT_TRUE(left);
}

TEST(Places, TheOnlyCoreIsShared) {
  Allowed allowed;
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(sched_getcpu(), &one);
  Allowed::set(one);
  Places places(3);
  places.begin();
  for (int64_t thread : {1, 2, 0})
    places.take(thread);
  EXPECT_TRUE(Allowed::is(one));
  places.end();
  EXPECT_TRUE(Allowed::is(one));
}

TEST(Places, TheHostsThreadMayUseItsCoresAgain) {
  Allowed allowed;
  if (CPU_COUNT(&allowed.before) < 2)
    GTEST_SKIP() << "one core";
  bool moved = false;
  for (int i = 0; i < 100 && !moved; ++i) {
    Places places(2);
    places.take(1);
    places.take(0);
    moved = !Allowed::is(allowed.before);
    places.end();
    ASSERT_TRUE(Allowed::is(allowed.before));
  }
  EXPECT_TRUE(moved);
}

// What others forbid a thread in the meantime stays forbidden.
TEST(Places, OthersChangesCount) {
  Allowed allowed;
  if (CPU_COUNT(&allowed.before) < 2)
    GTEST_SKIP() << "one core";
  cpu_set_t one;
  bool kept = false;
  for (int i = 0; i < 100 && !kept; ++i) {
    Allowed::set(allowed.before);
    Places places(2);
    places.take(1);
    places.take(0);
    if (Allowed::is(allowed.before))
      continue;
    int core = 0; // one that the thread has just been kept from
    while (!CPU_ISSET(core, &allowed.before) || core == sched_getcpu())
      ++core;
    CPU_ZERO(&one);
    CPU_SET(core, &one);
    Allowed::set(one);
    places.end();
    kept = Allowed::is(one);
    ASSERT_TRUE(kept);
  }
  EXPECT_TRUE(kept);
}
