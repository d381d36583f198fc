//===- SamplerTest.cpp - The next token from its logits -------------------===//
//
// Shares that sampling should have are computed by hand from the softmax.
//
//===----------------------------------------------------------------------===//

#include "Sampler.h"
#include "gtest/gtest.h"
#include <cmath>
#include <limits>

using namespace qtale::run;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInf = std::numeric_limits<float>::infinity();

static int32_t greedy(std::vector<float> logits) {
  return Sampler({}, 0).sample(logits.data(), logits.size());
}

/// How often each token comes, of many draws.
static std::vector<double> shares(const std::vector<float> &logits,
                                  Sampling sampling, int draws = 200000) {
  Sampler sampler(sampling, 11);
  std::vector<double> share(logits.size());
  for (int i = 0; i < draws; ++i)
    share[sampler.sample(logits.data(), logits.size())] += 1.0 / draws;
  return share;
}

static void expectShares(const std::vector<double> &found,
                         const std::vector<double> &expected) {
  for (size_t i = 0; i < expected.size(); ++i)
    // Five standard deviations of 200000 draws.
    EXPECT_NEAR(found[i], expected[i], expected[i] == 0 ? 0 : 0.006) << i;
}

TEST(Sampler, GreedyTakesTheLowestOfEqualIds) {
  EXPECT_EQ(greedy({1, 5, 5, 2}), 1);
  EXPECT_EQ(greedy({-3, -2, -9}), 1);
  EXPECT_EQ(greedy({kNan, 1, 2}), 2);
  EXPECT_EQ(greedy({1, kInf, kInf}), 1);
}

TEST(Sampler, NoNumberIsNoToken) {
  EXPECT_EQ(greedy({kNan, kNan}), -1);
  EXPECT_EQ(greedy({-kInf, -kInf}), -1);
  std::vector<float> logits = {kNan, -kInf};
  EXPECT_EQ(Sampler({1, 0, 1}, 0).sample(logits.data(), 2), -1);
}

TEST(Sampler, SplitMixGivesThePublishedNumbers) {
  // The first outputs for the seed 1234567, as published with xoshiro.
  Random random(1234567);
  EXPECT_EQ(random.next(), 6457827717110365317u);
  EXPECT_EQ(random.next(), 3203168211198807973u);
  EXPECT_EQ(random.next(), 9817491932198370423u);
}

// Logits whose softmax is 0.5, 0.3, 0.15, 0.05, not in order.
static const std::vector<float> kLogits = {
    float(std::log(0.15)), float(std::log(0.5)), float(std::log(0.05)),
    float(std::log(0.3))};

TEST(Sampler, TemperatureOneIsTheSoftmax) {
  expectShares(shares(kLogits, {1, 0, 1}), {0.15, 0.5, 0.05, 0.3});
}

TEST(Sampler, TemperatureHalfSquares) {
  double total = 0.0225 + 0.25 + 0.0025 + 0.09;
  expectShares(shares(kLogits, {0.5, 0, 1}),
               {0.0225 / total, 0.25 / total, 0.0025 / total, 0.09 / total});
}

TEST(Sampler, TopKKeepsTheLikeliest) {
  expectShares(shares(kLogits, {1, 2, 1}), {0, 0.625, 0, 0.375});
  expectShares(shares(kLogits, {1, 1, 1}), {0, 1, 0, 0});
  expectShares(shares(kLogits, {1, 99, 1}), {0.15, 0.5, 0.05, 0.3});
}

TEST(Sampler, TopPKeepsTheFewestThatReachIt) {
  expectShares(shares(kLogits, {1, 0, 0.45}), {0, 1, 0, 0});
  expectShares(shares(kLogits, {1, 0, 0.79}), {0, 0.625, 0, 0.375});
  expectShares(shares(kLogits, {1, 0, 0.81}),
               {0.15 / 0.95, 0.5 / 0.95, 0, 0.3 / 0.95});
  expectShares(shares(kLogits, {1, 0, 0}), {0, 1, 0, 0});
}

TEST(Sampler, TopPWorksOnWhatTopKLeft) {
  // Of 0.625 and 0.375, 0.6 needs the first alone.
  expectShares(shares(kLogits, {1, 2, 0.6}), {0, 1, 0, 0});
}

TEST(Sampler, TopPLeavesNothingOutThatBelongs) {
  // 1000 equal tokens: half of them reach 0.5, those with the lowest ids.
  std::vector<float> logits(1000, 1.0f);
  std::vector<double> share = shares(logits, {1, 0, 0.5}, 20000);
  EXPECT_GT(share[499], 0);
  EXPECT_EQ(share[501], 0);
}

TEST(Sampler, TheSameSeedGivesTheSameTokens) {
  Sampler a({1, 0, 0.9}, 5), b({1, 0, 0.9}, 5), c({1, 0, 0.9}, 6);
  bool differs = false;
  for (int i = 0; i < 100; ++i) {
    int32_t token = a.sample(kLogits.data(), 4);
    EXPECT_EQ(token, b.sample(kLogits.data(), 4));
    differs |= token != c.sample(kLogits.data(), 4);
  }
  EXPECT_TRUE(differs);
}
