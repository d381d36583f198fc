//===- Pool.h - The threads of the runtime's own --------------------------===//

#ifndef QTALE_LIB_RUNTIME_POOL_H
#define QTALE_LIB_RUNTIME_POOL_H

#include "Gate.h"
#include "Places.h"
#include "qtale/Runtime/qtale.h"

#include <atomic>
#include <memory>
#include <mutex>
#include <pthread.h>
#include <vector>

namespace qtale::rt {

/// Runs one task at a time on all its threads; the caller is thread 0. Callers
/// from several threads wait for each other; a task must not call `run`.
class Pool : public qtale_pool {
public:
  /// `count` 0 means defaultThreads().
  static int32_t create(int64_t count, std::unique_ptr<Pool> &,
                        qtale_error *error);
  ~Pool();

  /// Where its threads are; null for a pool of the host's.
  static Places *placesOf(const qtale_pool &pool) {
    return pool.run == runOn ? &static_cast<Pool *>(pool.state)->places
                             : nullptr;
  }

  /// Whether nobody asked for a number of threads: then small work may do with
  /// one. A number that was asked for is used.
  bool isDefault() const { return byDefault; }

private:
  struct Worker {
    Pool *pool;
    int64_t thread;
    pthread_t handle;
  };

  explicit Pool(int64_t count) : places(count) {}
  static void *work(void *worker);
  static void runOn(void *pool, void (*task)(void *, int64_t), void *argument);
  void runTask(void (*task)(void *, int64_t), void *argument);

  std::vector<Worker> workers; // threads 1 .. threads - 1
  bool byDefault = false;
  bool spins = false;
  bool stopping = false;
  std::mutex running;
  Places places;
  void (*task)(void *, int64_t) = nullptr;
  void *argument = nullptr;
  alignas(64) Gate start;
  alignas(64) Gate done;
  alignas(64) std::atomic<int64_t> busy{0};
};

/// Whether `pool` can be used.
int32_t checkPool(const qtale_pool &pool, qtale_error *error);

} // namespace qtale::rt

#endif // QTALE_LIB_RUNTIME_POOL_H
