//===- Gate.h - A number that threads wait on -----------------------------===//
//
//   waiting:  spin for some µs --- unchanged ---> sleep in the kernel
//   opening:  advance the number, wake sleepers, if any
//
// A gate that opens soon costs no system call on either side; one that stays
// shut costs no CPU time. Spins in vain, one after the other, are a sign that
// another thread has no core at the moment, and that spinning keeps one from it:
// then some waits sleep at once, up to 16. A single one is no sign: a thread that
// slept is late once, and a loop may end unevenly.
//
//===----------------------------------------------------------------------===//

#ifndef QTALE_LIB_RUNTIME_GATE_H
#define QTALE_LIB_RUNTIME_GATE_H

#include <atomic>
#include <cstdint>

namespace qtale::rt {

class Gate {
public:
  uint32_t count() const { return value.load(std::memory_order_acquire); }

  /// All that this thread wrote before is seen by those who pass.
  void open();

  /// Returns when the count is no longer `seen`, and whether it slept. With
  /// `spins`, it first waits awake: right when every thread has a core of its own.
  bool pass(uint32_t seen, bool spins);

private:
  bool spin(uint32_t seen);

  std::atomic<uint32_t> value{0};
  std::atomic<uint32_t> sleepers{0};
  std::atomic<uint32_t> inVain{0}; // spins of late, fewer as others succeed
  std::atomic<uint32_t> sleepsAtOnce{0}; // waits left that do not spin
};

} // namespace qtale::rt

#endif // QTALE_LIB_RUNTIME_GATE_H
