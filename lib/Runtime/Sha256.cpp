//===- Sha256.cpp - The hash that ties weights to code --------------------===//
//
//   bytes -> blocks of 64 -> 64 rounds over eight words -> 32 bytes
//
// FIPS 180-4, section 6.2. x86's instructions do two rounds at a time, with the
// eight words as two vectors, (a b e f) and (c d g h).
//
//===----------------------------------------------------------------------===//

#include "Sha256.h"

#include <algorithm>
#include <cstring>

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#endif

using namespace qtale::rt;

/// Fractional parts of the cube roots of the first 64 primes.
alignas(16) static constexpr uint32_t roundConstants[64] = {
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

static void compressPortable(uint32_t *state, const uint8_t *block) {
  uint32_t w[64];
  for (int t = 0; t < 16; ++t)
    w[t] = loadBigEndian(block + 4 * t);
  for (int t = 16; t < 64; ++t) {
    uint32_t s0 = rotate(w[t - 15], 7) ^ rotate(w[t - 15], 18) ^ w[t - 15] >> 3;
    uint32_t s1 = rotate(w[t - 2], 17) ^ rotate(w[t - 2], 19) ^ w[t - 2] >> 10;
    w[t] = w[t - 16] + s0 + w[t - 7] + s1;
  }
  uint32_t v[8]; // a b c d e f g h
  std::copy_n(state, 8, v);
  for (int t = 0; t < 64; ++t) {
    uint32_t sum1 = rotate(v[4], 6) ^ rotate(v[4], 11) ^ rotate(v[4], 25);
    uint32_t choose = (v[4] & v[5]) ^ (~v[4] & v[6]);
    uint32_t t1 = v[7] + sum1 + choose + roundConstants[t] + w[t];
    uint32_t sum0 = rotate(v[0], 2) ^ rotate(v[0], 13) ^ rotate(v[0], 22);
    uint32_t majority = (v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]);
    std::copy_backward(v, v + 7, v + 8);
    v[4] += t1;
    v[0] = t1 + sum0 + majority;
  }
  for (int i = 0; i < 8; ++i)
    state[i] += v[i];
}

#if defined(__x86_64__)
static bool detectInstructions() {
  unsigned a, b, c, d;
  bool sse41 = __get_cpuid(1, &a, &b, &c, &d) && (c & 1u << 19);
  return sse41 && __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & 1u << 29);
}

__attribute__((target("sha,sse4.1"))) static void
compressInstructions(uint32_t *state, const uint8_t *blocks, size_t count) {
  const __m128i bigEndian =
      _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
  auto words = reinterpret_cast<__m128i *>(state);
  // a b c d, e f g h -> the order of the instructions, the last word lowest.
  __m128i badc = _mm_shuffle_epi32(_mm_loadu_si128(words), 0xb1);
  __m128i hgfe = _mm_shuffle_epi32(_mm_loadu_si128(words + 1), 0x1b);
  __m128i abef = _mm_alignr_epi8(badc, hgfe, 8);
  __m128i cdgh = _mm_blend_epi16(hgfe, badc, 0xf0);

  for (; count; --count, blocks += 64) {
    const __m128i abefBefore = abef, cdghBefore = cdgh;
    __m128i w[4];
    for (int i = 0; i < 4; ++i)
      w[i] = _mm_shuffle_epi8(
          _mm_loadu_si128(reinterpret_cast<const __m128i *>(blocks) + i),
          bigEndian);
#pragma GCC unroll 16
    for (int i = 0; i < 16; ++i) {
      __m128i &now = w[i % 4];
      if (i >= 4) { // w[t - 16] + s0 + w[t - 7] + s1, for four t
        __m128i next = w[(i + 1) % 4], last = w[(i + 3) % 4];
        now = _mm_add_epi32(_mm_sha256msg1_epu32(now, next),
                            _mm_alignr_epi8(last, w[(i + 2) % 4], 4));
        now = _mm_sha256msg2_epu32(now, last);
      }
      __m128i sum = _mm_add_epi32(
          now, _mm_load_si128(
                   reinterpret_cast<const __m128i *>(roundConstants) + i));
      cdgh = _mm_sha256rnds2_epu32(cdgh, abef, sum);
      abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(sum, 0x0e));
    }
    abef = _mm_add_epi32(abef, abefBefore);
    cdgh = _mm_add_epi32(cdgh, cdghBefore);
  }

  __m128i feba = _mm_shuffle_epi32(abef, 0x1b);
  __m128i dchg = _mm_shuffle_epi32(cdgh, 0xb1);
  _mm_storeu_si128(words, _mm_blend_epi16(feba, dchg, 0xf0));
  _mm_storeu_si128(words + 1, _mm_alignr_epi8(dchg, feba, 8));
}
#endif

bool Sha256::hasInstructions() {
#if defined(__x86_64__)
  static const bool found = detectInstructions();
  return found;
#else
  return false;
#endif
}

void Sha256::compress(const uint8_t *blocks, size_t count) {
#if defined(__x86_64__)
  if (useInstructions)
    return compressInstructions(state.data(), blocks, count);
#endif
  for (; count; --count, blocks += 64)
    compressPortable(state.data(), blocks);
}

void Sha256::update(const void *data, size_t bytes) {
  auto next = static_cast<const uint8_t *>(data);
  size_t held = total % 64;
  total += bytes;
  if (held) {
    size_t taken = std::min(bytes, 64 - held);
    memcpy(pending.data() + held, next, taken);
    next += taken, bytes -= taken;
    if (held + taken < 64)
      return;
    compress(pending.data(), 1);
  }
  compress(next, bytes / 64);
  memcpy(pending.data(), next + bytes / 64 * 64, bytes % 64);
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
