/* The most multiply-adds of bytes that a thread can do: nothing but them, in
 * registers.
 *
 *   sum[0] += a * b   sum[1] += a * b   …   sum[11] += a * b    and again
 *
 * The sums are independent, and more than an instruction's latency times the
 * units that run it, so that all units are always busy. */

#include <stdint.h>

#if defined(__AVX512VNNI__)
#include <immintrin.h>
typedef __m512i vector;
#define INSTRUCTION "vpdpbusd, 64 bytes"
#define MACS 64
#define REGISTER "v"
#define ADD(sum, a, b) _mm512_dpbusd_epi32(sum, a, b)
#elif defined(__AVXVNNI__)
#include <immintrin.h>
typedef __m256i vector;
#define INSTRUCTION "vpdpbusd, 32 bytes"
#define MACS 32
#define REGISTER "x"
#define ADD(sum, a, b) _mm256_dpbusd_avx_epi32(sum, a, b)
#elif defined(__AVX2__)
#include <immintrin.h>
typedef __m256i vector;
/* The sums stay in 16 bits: kernels widen them now and then. */
#define INSTRUCTION "vpmaddubsw and vpaddw, 32 bytes"
#define MACS 32
#define REGISTER "x"
#define ADD(sum, a, b) _mm256_add_epi16(sum, _mm256_maddubs_epi16(a, b))
#elif defined(__ARM_FEATURE_MATMUL_INT8)
#include <arm_neon.h>
typedef int8x16_t vector;
#define INSTRUCTION "smmla"
#define MACS 32
#define REGISTER "w"
#define ADD(sum, a, b)                                                         \
  vreinterpretq_s8_s32(vmmlaq_s32(vreinterpretq_s32_s8(sum), a, b))
#elif defined(__ARM_FEATURE_DOTPROD)
#include <arm_neon.h>
typedef int8x16_t vector;
#define INSTRUCTION "sdot"
#define MACS 16
#define REGISTER "w"
#define ADD(sum, a, b)                                                         \
  vreinterpretq_s8_s32(vdotq_s32(vreinterpretq_s32_s8(sum), a, b))
#else
#error no multiply-add of bytes is known for this processor
#endif

/* A variable for each sum: in an array, gcc keeps them in memory. */
#define EACH(DO)                                                               \
  DO(0) DO(1) DO(2) DO(3) DO(4) DO(5) DO(6) DO(7) DO(8) DO(9) DO(10) DO(11)
enum { SUMS = 12 };

#define MAKE(n) vector sum##n = a;
/* The compiler must not see that a stays as it is, or it multiplies once for
 * all. */
#define MULTIPLY(n)                                                            \
  __asm__ volatile("" : "+" REGISTER(a));                                      \
  sum##n = ADD(sum##n, a, b);
#define KEEP(n) __asm__ volatile("" ::REGISTER(sum##n));

const char *peak_instruction(void) { return INSTRUCTION; }

/* Of one iteration. */
int peak_macs(void) { return SUMS * MACS; }

void peak_run(int64_t iterations) {
  vector a, b;
  __builtin_memset(&a, 1, sizeof a);
  __builtin_memset(&b, 2, sizeof b);
  EACH(MAKE)
  for (int64_t i = 0; i < iterations; ++i) {
    EACH(MULTIPLY)
  }
  EACH(KEEP)
}
