//===- Sha256.h - The hash that ties weights to code ----------------------===//

#ifndef QTALE_LIB_RUNTIME_SHA256_H
#define QTALE_LIB_RUNTIME_SHA256_H

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

namespace qtale::rt {

/// SHA-256 (FIPS 180-4) of bytes that come in pieces. With the CPU's instructions for it,
/// where there are some: two gigabytes a second instead of a few hundred
/// megabytes, which is what weights are written at.
class Sha256 {
public:
  /// Whether this machine has instructions for SHA-256.
  static bool hasInstructions();
  explicit Sha256(bool useInstructions = hasInstructions())
      : useInstructions(useInstructions) {}

  using Digest = std::array<uint8_t, 32>;

  void update(const void *data, size_t bytes);
  /// The digest of all bytes; nothing may be added after.
  Digest finish();

private:
  void compress(const uint8_t *blocks, size_t count);

  [[maybe_unused]] bool useInstructions;
  std::array<uint32_t, 8> state{0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  std::array<uint8_t, 64> pending{};
  uint64_t total = 0;
};

/// 64 lower-case hex digits of 32 bytes.
std::string hexDigits(const uint8_t *digest);

} // namespace qtale::rt

#endif // QTALE_LIB_RUNTIME_SHA256_H
