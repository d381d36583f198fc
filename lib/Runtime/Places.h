//===- Places.h - A core for each thread ----------------------------------===//
//
//   core 0   core 1           core 0   core 1
//   t0, t1     –       -->      t0       t1
//
// A system may wake a thread on the core of the thread that wakes it, though
// another one is idle; virtual machines do, whose idle cores look taken. As both
// wait for each other every few µs, there never is a load that it would move, and
// two cores do the work of one. So a thread that wakes on the core of another one
// keeps away from the others' cores from then on.
//
//===----------------------------------------------------------------------===//

#ifndef QTALE_LIB_RUNTIME_PLACES_H
#define QTALE_LIB_RUNTIME_PLACES_H

#include <atomic>
#include <cstdint>
#include <sched.h>
#include <vector>

namespace qtale::rt {

/// The cores of a pool's threads.
class Places {
public:
  explicit Places(int64_t threads) : places(threads) {}

  /// Thread 0, the caller, begins.
  void begin();

  /// Notes the core of a thread that has slept, the caller. If another one was
  /// seen there, it may use the others' cores no more, while there are more.
  void take(int64_t thread);

  /// Thread 0 may use again what it might before: it is the host's.
  void end();

private:
  struct alignas(64) Place {
    std::atomic<int> core{-1};
    bool restricted = false;
    cpu_set_t allowed; // if restricted: what the thread was allowed before
    cpu_set_t chosen;  // and what it may use now
  };
  std::vector<Place> places;
};

} // namespace qtale::rt

#endif // QTALE_LIB_RUNTIME_PLACES_H
