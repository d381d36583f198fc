//===- Gate.h - A number that threads wait on -----------------------------===//
//
//   waiting:  spin for some µs --- unchanged ---> sleep in the kernel
//   opening:  advance the number, wake sleepers, if any
//
// A gate that opens soon costs no system call on either side; one that stays
// shut costs no CPU time. A spin in vain is a sign that another thread has no
// core at the moment, and that spinning keeps one from it: the next waits then
// sleep at once. (Two threads on two cores beside eight other processes,
// barriers a few µs apart: 10 µs a barrier instead of 54.)
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

  /// Returns when the count is no longer `seen`. With `spins`, it first waits
  /// awake: right when every thread has a core of its own.
  void pass(uint32_t seen, bool spins);

private:
  bool spin(uint32_t seen);

  std::atomic<uint32_t> value{0};
  std::atomic<uint32_t> sleepers{0};
  std::atomic<uint32_t> sleepsAtOnce{0}; // waits left that do not spin
};

} // namespace qtale::rt

#endif // QTALE_LIB_RUNTIME_GATE_H
