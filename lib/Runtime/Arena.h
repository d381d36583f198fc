//===- Arena.h - Scratch memory of compiled code --------------------------===//
//
// Address space is reserved, memory comes page by page as it is touched, and
// all goes back at once: compiled code never allocates.
//
//===----------------------------------------------------------------------===//

#ifndef QTALE_LIB_RUNTIME_ARENA_H
#define QTALE_LIB_RUNTIME_ARENA_H

#include <cstdint>
#include <utility>

namespace qtale::rt {

class Arena {
public:
  Arena() = default;
  Arena(Arena &&other) noexcept
      : base(std::exchange(other.base, nullptr)),
        size(std::exchange(other.size, 0)) {}
  Arena &operator=(Arena &&other) noexcept {
    std::swap(base, other.base);
    std::swap(size, other.size);
    return *this;
  }
  ~Arena();

  /// Exactly so many bytes, or false.
  bool reserve(uint64_t bytes);
  /// As many bytes as the process may still map, from 1 TiB down; false where
  /// that is under 1 MiB.
  bool reserveMost();

  uint8_t *data() const { return base; }
  uint64_t bytes() const { return size; }

private:
  uint8_t *base = nullptr;
  uint64_t size = 0;
};

} // namespace qtale::rt

#endif // QTALE_LIB_RUNTIME_ARENA_H
