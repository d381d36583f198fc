//===- Pool.cpp - The threads of the runtime's own ------------------------===//
//
//   run:      task, argument ─ open start ─ do thread 0's part ─ pass done
//   worker:   pass start ─ do its part ─ the last one opens done ─ again
//
//===----------------------------------------------------------------------===//

#include "Pool.h"

#include "Cores.h"
#include "Error.h"

#include <csignal>

using namespace qtale::rt;

/// More is a mistake, not a machine.
static constexpr int64_t maxThreads = 4096;

int32_t Pool::create(int64_t count, std::unique_ptr<Pool> &result,
                     qtale_error *error) {
  if (count < 0 || count > maxThreads)
    return fail(error, QTALE_INVALID_ARGUMENT,
                "%lld threads; give 1 to %lld, or 0 for every core",
                (long long)count, (long long)maxThreads);
  bool byDefault = count == 0;
  if (byDefault)
    count = defaultThreads();
  std::unique_ptr<Pool> pool(new Pool(count));
  pool->byDefault = byDefault;
  pool->threads = count;
  pool->state = pool.get();
  pool->spins = count <= availableCores();
  pool->run = runOn;
  pool->workers.reserve(count - 1);

  // The host's signals are for the host's threads.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int failed = 0;
  for (int64_t thread = 1; thread < count && !failed; ++thread) {
    pool->workers.push_back({pool.get(), thread, pthread_t()});
    Worker &worker = pool->workers.back();
    failed = pthread_create(&worker.handle, nullptr, work, &worker);
    if (failed)
      pool->workers.pop_back();
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (failed)
    return fail(error, QTALE_OUT_OF_MEMORY,
                "thread %zu of %lld could not be started; use fewer threads",
                pool->workers.size() + 1, (long long)count);
  result = std::move(pool);
  return QTALE_OK;
}

Pool::~Pool() {
  stopping = true;
  start.open();
  for (Worker &worker : workers)
    pthread_join(worker.handle, nullptr);
}

void *Pool::work(void *argument) {
  Worker &worker = *static_cast<Worker *>(argument);
  Pool &pool = *worker.pool;
  for (uint32_t round = 0;; ++round) {
    pool.start.pass(round, pool.spins);
    if (pool.stopping)
      return nullptr;
    pool.task(pool.argument, worker.thread);
    if (pool.busy.fetch_sub(1, std::memory_order_acq_rel) == 1)
      pool.done.open();
  }
}

void Pool::runOn(void *pool, void (*task)(void *, int64_t), void *argument) {
  static_cast<Pool *>(pool)->runTask(task, argument);
}

void Pool::runTask(void (*newTask)(void *, int64_t), void *newArgument) {
  if (threads == 1)
    return newTask(newArgument, 0);
  std::lock_guard<std::mutex> lock(running);
  task = newTask;
  argument = newArgument;
  busy.store(threads - 1, std::memory_order_relaxed);
  uint32_t round = done.count();
  start.open();
  newTask(newArgument, 0);
  done.pass(round, spins);
}

int32_t qtale::rt::checkPool(const qtale_pool &pool, qtale_error *error) {
  if (pool.threads < 1 || pool.threads > maxThreads || !pool.run)
    return fail(error, QTALE_INVALID_ARGUMENT,
                "the pool has %lld threads and %s run function; a pool needs 1 "
                "to %lld threads and one",
                (long long)pool.threads, pool.run ? "a" : "no",
                (long long)maxThreads);
  return QTALE_OK;
}
