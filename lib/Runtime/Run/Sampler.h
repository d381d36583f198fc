//===- Sampler.h - The next token from its logits -------------------------===//
//
//   logits / temperature -> the top-k largest -> softmax -> the fewest that
//   sum up to top-p -> one of them, by chance
//
//===----------------------------------------------------------------------===//

#ifndef QTALE_LIB_RUNTIME_RUN_SAMPLER_H
#define QTALE_LIB_RUNTIME_RUN_SAMPLER_H

#include <cstdint>
#include <vector>

namespace qtale::run {

struct Sampling {
  double temperature = 0; /// 0: greedy, always the largest
  int64_t topK = 0;       /// 0: all
  double topP = 1;
};

/// SplitMix64 (Steele, Lea, Flood 2014): 64 bits of state, the same numbers on
/// every machine.
class Random {
public:
  explicit Random(uint64_t seed) : state(seed) {}
  uint64_t next();
  /// In [0, 1), of 53 bits.
  double uniform() { return static_cast<double>(next() >> 11) * 0x1p-53; }

private:
  uint64_t state;
};

class Sampler {
public:
  Sampler(const Sampling &sampling, uint64_t seed)
      : sampling(sampling), random(seed) {}

  /// A token; among equal logits the lowest id comes first. NaN is never
  /// taken; -1 where no logit is a number above minus infinity.
  int32_t sample(const float *logits, int64_t count);

private:
  struct Candidate {
    float logit;
    int32_t id;
    double probability;
  };

  Sampling sampling;
  Random random;
  std::vector<Candidate> candidates; /// kept between calls for its memory
};

} // namespace qtale::run

#endif // QTALE_LIB_RUNTIME_RUN_SAMPLER_H
