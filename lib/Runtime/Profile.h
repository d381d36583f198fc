//===- Profile.h - What the operations of calls take ----------------------===//

#ifndef QTALE_LIB_RUNTIME_PROFILE_H
#define QTALE_LIB_RUNTIME_PROFILE_H

#include "Model.h"

#include <atomic>
#include <vector>

/// Sums by operation, and the last events. One call at a time adds to it.
struct qtale_profile {
  qtale_profile(const qtale_model &model, int64_t events);

  const qtale_model &model;
  std::atomic<bool> busy{false};

  /// Thread 0 begins operation `marked`, or ends the last one (-1).
  void mark(int64_t marked, int64_t rows);
  /// A call begins: what a failed one had begun does not count.
  void begin() { open = -1; }

  int64_t copyOperations(qtale_operation *operations, int64_t capacity) const;
  int64_t copyEvents(qtale_event *events, int64_t capacity) const;

private:
  struct Sum {
    int64_t calls = 0;
    uint64_t nanoseconds = 0, bytes = 0, macs = 0;
  };

  void close(uint64_t now);

  std::vector<Sum> sums;
  std::vector<qtale_event> ring;
  uint64_t closed = 0; // events so far; the last ones are in the ring
  int64_t open = -1, openRows = 0;
  uint64_t since = 0;
};

namespace qtale::rt {

int32_t createProfile(const qtale_model &model, int64_t events,
                      qtale_profile **result, qtale_error *error);

/// A profile in use by this call, until the end of the scope.
class ProfileHold {
public:
  ProfileHold() = default;
  ProfileHold(const ProfileHold &) = delete;
  ~ProfileHold() {
    if (profile)
      profile->busy.store(false, std::memory_order_release);
  }
  int32_t take(qtale_profile &wanted, qtale_error *error);

private:
  qtale_profile *profile = nullptr;
};

} // namespace qtale::rt

#endif // QTALE_LIB_RUNTIME_PROFILE_H
