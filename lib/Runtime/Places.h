//===- Places.h - A core for each thread ----------------------------------===//
//
//   core 0   core 1           core 0   core 1
//   t0, t1     –       -->      t0       t1
//
// A thread that is woken may be put onto the core of the one that woke it, and as
// both wait for each other every few µs, the system sees no load worth moving.
// (A pass of 10 ms then takes 20, on two cores of which one is idle.)
//
//===----------------------------------------------------------------------===//

#ifndef QTALE_LIB_RUNTIME_PLACES_H
#define QTALE_LIB_RUNTIME_PLACES_H

#include <atomic>
#include <cstdint>
#include <memory>

namespace qtale::rt {

class Places {
public:
  explicit Places(int64_t threads);

  /// Thread 0 begins; where the others are is not known. It stays where it is: it
  /// is the host's.
  void begin();

  /// Notes the core of a thread that has slept, the caller. If another thread was
  /// seen there and the caller is not thread 0, it moves to a core that it may use
  /// and that has none of the team; then it may use all of them again.
  void take(int64_t thread);

private:
  int64_t threads;
  std::unique_ptr<std::atomic<int>[]> cores;
};

} // namespace qtale::rt

#endif // QTALE_LIB_RUNTIME_PLACES_H
