//===- RoutedTest.cpp - Sessions of routed models -------------------------===//
//
// Ragged caches hold what ran and nothing else, whatever happens to the session.
//
//===----------------------------------------------------------------------===//

#include "RoutedFixtures.h"

namespace {

class Routed : public WithRouted {
protected:
  void setThresholds(qtale_session *s, Oracle &oracle, float threshold) {
    ASSERT_EQ(api->session_set_threshold(s, &threshold, 1, &error), QTALE_OK);
    oracle.thresholds.assign(fake::routedUnits, threshold);
  }
};

} // namespace

TEST_F(Routed, AnyChunkingAndThreadsRunTheSame) {
  for (int64_t threads : {1, 3})
    for (int64_t maxRows : {1, 7, 16, 50, 512}) {
      qtale_session *s = recording(threads, maxRows);
      Oracle oracle;
      expectReads(s, oracle, routedTokens(50));
      expectReads(s, oracle, routedTokens(1, 4));
      expectReads(s, oracle, routedTokens(40, 9));
    }
}

TEST_F(Routed, MemoryGrowsWithWhatRan) {
  // A block of each ragged cache for the two tokens that always run.
  const uint64_t block = fake::routedBlockBytes, ragged = block + 16 * 4;
  for (float threshold : {0.0f, 0.5f, 2.0f}) {
    qtale_session *s = recording();
    Oracle oracle;
    setThresholds(s, oracle, threshold);
    expectReads(s, oracle, routedTokens(80));
    uint64_t bytes = api->session_kv_bytes(s);
    if (threshold == 0)
      EXPECT_EQ(bytes, 5 * block + 10 * ragged);
    if (threshold == 2)
      EXPECT_EQ(bytes, 5 * block + 2 * ragged);
  }
}

TEST_F(Routed, ThresholdsMoveFromTheNextStepOn) {
  qtale_session *s = recording();
  Oracle oracle;
  for (float threshold : {0.9f, 0.0f, 0.3f, 7.0f, 0.5f}) {
    setThresholds(s, oracle, threshold);
    expectReads(s, oracle, routedTokens(13, 2));
  }
}

TEST_F(Routed, ThresholdsAreOfAllOfLayersOrOfUnits) {
  qtale_session *s = recording();
  Oracle oracle;
  const float layers[] = {9, 0.25f, 0.75f};
  ASSERT_EQ(api->session_set_threshold(s, layers, 3, &error), QTALE_OK);
  oracle.thresholds = {9, 9, 0.25f, 0.25f, 0.75f, 0.75f};
  expectReads(s, oracle, routedTokens(20));
  const float units[] = {9, 9, 0.125f, 0.875f, 0, 2};
  ASSERT_EQ(api->session_set_threshold(s, units, 6, &error), QTALE_OK);
  oracle.thresholds.assign(units, units + 6);
  expectReads(s, oracle, routedTokens(20));
  float held[6];
  ASSERT_EQ(api->session_threshold(s, held, 6, &error), QTALE_OK);
  EXPECT_EQ(std::vector<float>(held, held + 6), oracle.thresholds);
}

TEST_F(Routed, ABudgetIsSpentByTheFirstUnits) {
  for (int64_t budget : {0, 1, 2, 3, 4, 99}) {
    qtale_session *s = recording();
    Oracle oracle;
    setThresholds(s, oracle, 0.25f);
    ASSERT_EQ(api->session_set_budget(s, budget, &error), QTALE_OK);
    oracle.budget = budget;
    expectReads(s, oracle, routedTokens(30));
    ASSERT_EQ(api->session_set_budget(s, -1, &error), QTALE_OK);
    oracle.budget = INT32_MAX;
    expectReads(s, oracle, routedTokens(30, 8));
  }
}

TEST_F(Routed, TruncateForgetsWhatRanFromThere) {
  for (int64_t length : {0, 1, 2, 3, 15, 16, 17, 33, 59, 60}) {
    qtale_session *s = recording();
    Oracle oracle;
    expectReads(s, oracle, routedTokens(60));
    ASSERT_EQ(api->session_truncate(s, length, &error), QTALE_OK);
    oracle.tokens.resize(length);
    expectHolds(s, oracle);
    expectReads(s, oracle, routedTokens(35, 3));
  }
}

TEST_F(Routed, ResetForgetsTokensAndKeepsSettings) {
  qtale_session *s = recording();
  Oracle oracle;
  setThresholds(s, oracle, 0.75f);
  expectReads(s, oracle, routedTokens(40));
  ASSERT_EQ(api->session_reset(s, &error), QTALE_OK);
  EXPECT_EQ(api->session_kv_bytes(s), 0u);
  oracle.tokens.clear();
  expectHolds(s, oracle);
  expectReads(s, oracle, routedTokens(40, 6));
}

TEST_F(Routed, ForksGoOnIndependently) {
  for (int64_t length : {0, 1, 16, 21, 45}) {
    qtale_session *a = recording();
    Oracle ofA;
    setThresholds(a, ofA, 0.25f);
    if (length)
      expectReads(a, ofA, routedTokens(length));
    qtale_session *b = fork(a), *c = fork(b);
    Oracle ofB = ofA, ofC = ofA;
    expectHolds(b, ofB);
    // Each writes the same slots of blocks that they share.
    expectReads(b, ofB, routedTokens(20, 7));
    setThresholds(a, ofA, 0);
    expectReads(a, ofA, routedTokens(20, 11));
    expectHolds(c, ofC);
    ASSERT_EQ(api->session_truncate(b, length / 2, &error), QTALE_OK);
    ofB.tokens.resize(length / 2);
    expectReads(b, ofB, routedTokens(20, 3));
    expectReads(c, ofC, routedTokens(20, 2));
    expectReads(a, ofA, routedTokens(5, 2));
  }
}

TEST_F(Routed, SessionsTogetherAreSessionsAlone) {
  for (int64_t maxRows : {1, 4, 64}) {
    qtale_session *all[] = {recording(2, maxRows), recording(1, 3),
                            recording(1, 3), session(1, 3)};
    Oracle oracles[4];
    const float thresholds[] = {0.25f, 0.75f, 0, 0.5f};
    std::vector<int32_t> tokens[4];
    std::vector<float> logits[4];
    std::vector<qtale_step> items;
    for (int i = 0; i < 4; ++i)
      setThresholds(all[i], oracles[i], thresholds[i]);
    expectReads(all[1], oracles[1], routedTokens(19, 3));
    ASSERT_EQ(api->session_set_budget(all[2], 2, &error), QTALE_OK);
    oracles[2].budget = 2;
    for (int i = 0; i < 4; ++i) {
      tokens[i] = routedTokens(9 + 2 * i, i);
      logits[i].resize(fake::vocab);
      items.push_back({all[i], tokens[i].data(), int64_t(tokens[i].size()),
                       QTALE_LOGITS_LAST, logits[i].data()});
    }
    ASSERT_EQ(api->step(items.data(), 4, &error), QTALE_OK) << error.message;
    for (int i = 0; i < 4; ++i) {
      oracles[i].read(tokens[i]);
      for (int64_t v = 0; v < 9; ++v)
        EXPECT_EQ(logits[i][v],
                  oracles[i].logit(oracles[i].tokens.size() - 1, v));
      EXPECT_EQ(api->session_kv_bytes(all[i]), oracles[i].kvBytes());
      if (i < 3) // the last keeps no record
        expectHolds(all[i], oracles[i]);
    }
  }
}

TEST_F(Routed, AFailingPassLeavesEverySessionAsBefore) {
  struct {
    int32_t token, code;
    const char *words;
  } failures[] = {
      {fake::poison, QTALE_UNSUPPORTED, "the sessions are as before"},
      {fake::nanToken, QTALE_CORRUPT,
       "the router of layer 1 (FFN) gave a probability that is not a number, "
       "at position 13 of item 1 of the step"},
  };
  for (auto &failure : failures) {
    qtale_session *a = recording(2, 4), *b = recording(2, 4);
    Oracle ofA, ofB;
    expectReads(a, ofA, routedTokens(21));
    qtale_session *twin = fork(a);
    std::vector<int32_t> good = routedTokens(12, 9), bad = routedTokens(20, 5);
    bad[13] = failure.token; // several passes have succeeded by then
    qtale_step items[] = {{a, good.data(), 12, QTALE_LOGITS_NONE, nullptr},
                          {b, bad.data(), 20, QTALE_LOGITS_NONE, nullptr}};
    EXPECT_FAILS(failure.code, failure.words, api->step(items, 2, &error));
    expectHolds(a, ofA);
    expectHolds(b, ofB);
    EXPECT_EQ(api->session_kv_bytes(b), 0u);
    expectReads(a, ofA, routedTokens(20, 2));
    expectReads(b, ofB, routedTokens(20, 2));
    Oracle ofTwin;
    ofTwin.read(routedTokens(21));
    expectReads(twin, ofTwin, routedTokens(20, 4));
  }
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
// A sanitizer ends the process instead of throwing.
TEST_F(Routed, WithoutMemoryForRaggedBlocksNothingChanges) {
  // Layer 1 has written by the time that layer 2 asks for its first block.
  const uint64_t sizes[] = {64, 64, uint64_t(1) << 60};
  qtale_module module = fake::routedModule;
  module.kv_block_bytes = sizes;
  api->model_close(model);
  open(module);
  qtale_session *s = recording();
  EXPECT_FAILS(QTALE_OUT_OF_MEMORY, "memory for the KV caches ran out",
               feed(s, {1}, &error));
  expectHolds(s, Oracle());
  EXPECT_EQ(api->session_kv_bytes(s), 0u);
}
#endif
