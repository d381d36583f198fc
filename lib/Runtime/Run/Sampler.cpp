//===- Sampler.cpp - The next token from its logits -----------------------===//
//
// Sorting 128k candidates for each token costs as much as a small model's
// step. So only those are sorted that can be in the result: with top-p, a
// token below (1 - p) / (n - 1) is not, since even all n - 1 others like it
// could not make the rest larger than 1 - p.
//
//===----------------------------------------------------------------------===//

#include "Sampler.h"
#include <algorithm>
#include <cmath>

using namespace qtale::run;

uint64_t Random::next() {
  uint64_t mixed = state += 0x9e3779b97f4a7c15u;
  mixed = (mixed ^ mixed >> 30) * 0xbf58476d1ce4e5b9u;
  mixed = (mixed ^ mixed >> 27) * 0x94d049bb133111ebu;
  return mixed ^ mixed >> 31;
}

/// The lowest id of the largest logit that is a number; -1 where none is.
static int32_t largest(const float *logits, int64_t count) {
  int32_t best = -1;
  for (int64_t i = 0; i < count; ++i)
    if (logits[i] > (best < 0 ? -INFINITY : logits[best]))
      best = static_cast<int32_t>(i);
  return best;
}

int32_t Sampler::sample(const float *logits, int64_t count) {
  int32_t best = largest(logits, count);
  // An infinite logit leaves no other choice.
  if (best < 0 || sampling.temperature == 0 || std::isinf(logits[best]))
    return best;

  candidates.clear();
  for (int64_t i = 0; i < count; ++i)
    if (logits[i] > -INFINITY)
      candidates.push_back({logits[i], static_cast<int32_t>(i), 0});
  auto likelier = [](const Candidate &a, const Candidate &b) {
    return a.logit != b.logit ? a.logit > b.logit : a.id < b.id;
  };
  size_t k =
      sampling.topK ? static_cast<size_t>(sampling.topK) : candidates.size();
  if (k < candidates.size()) {
    std::nth_element(candidates.begin(), candidates.begin() + k,
                     candidates.end(), likelier);
    candidates.resize(k);
  }

  double total = 0;
  for (Candidate &candidate : candidates) {
    double distance = double(candidate.logit) - double(logits[best]);
    candidate.probability = std::exp(distance / sampling.temperature);
    total += candidate.probability;
  }
  if (sampling.topP < 1) {
    double least = candidates.size() < 2
                       ? 0
                       : total * (1 - sampling.topP) / (candidates.size() - 1);
    // The likeliest stays, whatever rounding does to the bound.
    auto end = std::remove_if(
        candidates.begin(), candidates.end(), [&](const Candidate &candidate) {
          return candidate.probability < least && candidate.id != best;
        });
    candidates.erase(end, candidates.end());
  }
  // Also with top-k alone: nth_element's order is nobody's promise.
  if (sampling.topK || sampling.topP < 1)
    std::sort(candidates.begin(), candidates.end(), likelier);
  if (sampling.topP < 1) {
    double sum = 0;
    size_t kept = 0;
    while (kept < candidates.size() &&
           (kept == 0 || sum < sampling.topP * total))
      sum += candidates[kept++].probability;
    candidates.resize(kept);
    total = sum;
  }

  double chance = random.uniform() * total;
  for (const Candidate &candidate : candidates) {
    chance -= candidate.probability;
    if (chance < 0)
      return candidate.id;
  }
  return candidates.back().id; // only rounding leads here
}
