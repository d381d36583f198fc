//===- Sha256.cpp - The hash that ties weights to code --------------------===//
//
//   bytes -> blocks of 64 -> 64 rounds over eight words -> 32 bytes
//
// FIPS 180-4, straight from the equations of its section 6.2.
//
//===----------------------------------------------------------------------===//

#include "Sha256.h"

#include <algorithm>
#include <cstring>

using namespace qtale::rt;

/// Fractional parts of the cube roots of the first 64 primes.
static constexpr uint32_t roundConstants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1,
    0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3,
    0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786,
    0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147,
    0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13,
    0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b,
    0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a,
    0x5b9cca4f, 0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208,
    0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

static uint32_t rotate(uint32_t x, int n) { return x >> n | x << (32 - n); }

static uint32_t loadBigEndian(const uint8_t *p) {
  return uint32_t(p[0]) << 24 | uint32_t(p[1]) << 16 | uint32_t(p[2]) << 8 |
         p[3];
}

void Sha256::compress(const uint8_t *block) {
  uint32_t w[64];
  for (int t = 0; t < 16; ++t)
    w[t] = loadBigEndian(block + 4 * t);
  for (int t = 16; t < 64; ++t) {
    uint32_t s0 = rotate(w[t - 15], 7) ^ rotate(w[t - 15], 18) ^ w[t - 15] >> 3;
    uint32_t s1 = rotate(w[t - 2], 17) ^ rotate(w[t - 2], 19) ^ w[t - 2] >> 10;
    w[t] = w[t - 16] + s0 + w[t - 7] + s1;
  }

  auto [a, b, c, d, e, f, g, h] = state;
  for (int t = 0; t < 64; ++t) {
    uint32_t sum1 = rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25);
    uint32_t choose = (e & f) ^ (~e & g);
    uint32_t t1 = h + sum1 + choose + roundConstants[t] + w[t];
    uint32_t sum0 = rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22);
    uint32_t majority = (a & b) ^ (a & c) ^ (b & c);
    h = g, g = f, f = e, e = d + t1;
    d = c, c = b, b = a, a = t1 + sum0 + majority;
  }
  const uint32_t mixed[8] = {a, b, c, d, e, f, g, h};
  for (int i = 0; i < 8; ++i)
    state[i] += mixed[i];
}

void Sha256::update(const void *data, size_t bytes) {
  const uint8_t *next = static_cast<const uint8_t *>(data);
  size_t held = total % 64;
  total += bytes;
  if (held) {
    size_t taken = std::min(bytes, 64 - held);
    memcpy(pending.data() + held, next, taken);
    next += taken, bytes -= taken;
    if (held + taken < 64)
      return;
    compress(pending.data());
  }
  for (; bytes >= 64; next += 64, bytes -= 64)
    compress(next);
  if (bytes)
    memcpy(pending.data(), next, bytes);
}

Sha256::Digest Sha256::finish() {
  // A one bit, zeros up to 8 bytes before a block's end, the length in bits.
  uint64_t bits = total * 8;
  uint8_t tail[72] = {0x80};
  size_t zeros = (119 - total % 64) % 64;
  for (int i = 0; i < 8; ++i)
    tail[1 + zeros + i] = bits >> (56 - 8 * i);
  update(tail, 1 + zeros + 8);

  Digest digest;
  for (int i = 0; i < 32; ++i)
    digest[i] = state[i / 4] >> (24 - 8 * (i % 4));
  return digest;
}

std::string qtale::rt::hexDigits(const uint8_t *digest) {
  static const char digits[] = "0123456789abcdef";
  std::string text;
  for (int i = 0; i < 32; ++i) {
    text += digits[digest[i] >> 4];
    text += digits[digest[i] & 15];
  }
  return text;
}
