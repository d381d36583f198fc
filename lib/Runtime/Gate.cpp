//===- Gate.cpp - A number that threads wait on ---------------------------===//

#include "Gate.h"

#include <algorithm>
#include <climits>
#include <ctime>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

using namespace qtale::rt;

/// Longer than a loop's uneven end, shorter than it takes to notice.
static constexpr int64_t spinNanoseconds = 50'000;
/// Spins in vain after which the rest is longest: 2^6 / 4 = 16 waits.
static constexpr uint32_t mostInVain = 6;

static int64_t now() {
  timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * int64_t(1'000'000'000) + time.tv_nsec;
}

static void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("isb" ::: "memory");
#endif
}

void Gate::open() {
  // Sequentially consistent on both sides: either the sleeper is counted here,
  // or the kernel sees the new value there and does not let it sleep.
  value.fetch_add(1, std::memory_order_seq_cst);
  if (sleepers.load(std::memory_order_seq_cst))
    syscall(SYS_futex, reinterpret_cast<uint32_t *>(&value), FUTEX_WAKE_PRIVATE,
            INT_MAX, nullptr, nullptr, 0);
}

bool Gate::spin(uint32_t seen) {
  // Guesses shared by all waiters; losing an update to another does no harm.
  if (uint32_t left = sleepsAtOnce.load(std::memory_order_relaxed)) {
    sleepsAtOnce.store(left - 1, std::memory_order_relaxed);
    return false;
  }
  uint32_t vain = inVain.load(std::memory_order_relaxed);
  int64_t end = now() + spinNanoseconds;
  do {
    for (int i = 0; i < 32; ++i) {
      relax();
      if (count() != seen) {
        if (vain)
          inVain.store(vain / 2, std::memory_order_relaxed);
        return true;
      }
    }
  } while (now() < end);
  vain = std::min(vain + 1, mostInVain);
  inVain.store(vain, std::memory_order_relaxed);
  sleepsAtOnce.store((1u << vain) / 4, std::memory_order_relaxed);
  return false;
}

bool Gate::pass(uint32_t seen, bool spins) {
  if (count() != seen || (spins && spin(seen)))
    return false;
  sleepers.fetch_add(1, std::memory_order_seq_cst);
  while (count() == seen)
    syscall(SYS_futex, reinterpret_cast<uint32_t *>(&value), FUTEX_WAIT_PRIVATE,
            seen, nullptr, nullptr, 0);
  sleepers.fetch_sub(1, std::memory_order_relaxed);
  return true;
}
