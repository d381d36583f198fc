//===- StepTest.cpp - Whole steps, or none --------------------------------===//

#include "Fixtures.h"

namespace {

class Step : public WithModel {
protected:
  /// Logits of every token of `tokens`, read at once after `before`.
  void expectAll(qtale_session *s, const std::vector<int32_t> &tokens,
                 const float *logits, std::vector<int32_t> before = {}) {
    for (size_t i = 0; i < tokens.size(); ++i) {
      before.push_back(tokens[i]);
      for (int64_t v = 0; v < fake::vocab; ++v)
        ASSERT_EQ(logits[i * fake::vocab + v],
                  fake::logit(before.data(), before.size(), v))
            << "token " << i;
    }
    EXPECT_EQ(api->session_position(s), int64_t(before.size()));
  }
};

} // namespace

TEST_F(Step, AnyChunkingAndThreadsGiveTheSameLogits) {
  std::vector<int32_t> tokens = someTokens(50);
  for (int64_t threads : {1, 3})
    for (int64_t maxRows : {1, 7, 16, 50, 512}) {
      qtale_session *s = session(threads, maxRows);
      std::vector<float> logits(50 * fake::vocab, -1);
      qtale_step item = {s, tokens.data(), 50, QTALE_LOGITS_ALL, logits.data()};
      ASSERT_EQ(api->step(&item, 1, &error), QTALE_OK) << error.message;
      expectAll(s, tokens, logits.data());
    }
}

TEST_F(Step, LastWritesOneRowAndNoneWritesNothing) {
  std::vector<int32_t> tokens = someTokens(19);
  std::vector<float> logits(2 * fake::vocab, -1);
  qtale_session *s = session();
  qtale_step item = {s, tokens.data(), 19, QTALE_LOGITS_LAST, logits.data()};
  ASSERT_EQ(api->step(&item, 1, nullptr), QTALE_OK);
  EXPECT_EQ(logits[4], fake::logit(tokens.data(), 19, 4));
  EXPECT_EQ(logits[fake::vocab], -1);
  item.wanted = QTALE_LOGITS_NONE;
  logits[4] = -1;
  ASSERT_EQ(api->step(&item, 1, nullptr), QTALE_OK);
  EXPECT_EQ(logits[4], -1);
  EXPECT_EQ(api->session_position(s), 38);
}

TEST_F(Step, SessionsTogetherAreSessionsAlone) {
  for (int64_t maxRows : {1, 4, 64}) {
    qtale_session *a = session(2, maxRows), *b = session(1, 3),
                  *c = session(1, 3);
    ASSERT_EQ(feed(b, someTokens(17, 3)), QTALE_OK);
    std::vector<int32_t> forA = someTokens(9), forB = someTokens(5, 8),
                         forC = someTokens(2, 4);
    std::vector<float> ofA(9 * fake::vocab), ofB(5 * fake::vocab);
    qtale_step items[] = {
        {a, forA.data(), 9, QTALE_LOGITS_ALL, ofA.data()},
        {c, forC.data(), 2, QTALE_LOGITS_NONE, nullptr},
        {b, forB.data(), 5, QTALE_LOGITS_ALL, ofB.data()},
    };
    ASSERT_EQ(api->step(items, 3, &error), QTALE_OK) << error.message;
    expectAll(a, forA, ofA.data());
    expectAll(b, forB, ofB.data(), someTokens(17, 3));
    expectContent(c, forC);
  }
}

TEST_F(Step, AFailingPassLeavesEverySessionAsBefore) {
  qtale_session *a = session(2, 4), *b = session(2, 4);
  qtale_session *root = session();
  ASSERT_EQ(feed(a, someTokens(21)), QTALE_OK);
  ASSERT_EQ(feed(root, someTokens(18, 2)), QTALE_OK);
  qtale_session *shared = fork(root);
  uint64_t bytes = api->session_kv_bytes(a);

  std::vector<int32_t> good = someTokens(12, 9), bad = someTokens(20, 5);
  bad[13] = fake::poison; // several passes have succeeded by then
  float logits[fake::vocab];
  qtale_step items[] = {{a, good.data(), 12, QTALE_LOGITS_LAST, logits},
                        {b, bad.data(), 20, QTALE_LOGITS_LAST, logits},
                        {shared, good.data(), 12, QTALE_LOGITS_NONE, nullptr}};
  EXPECT_FAILS(QTALE_UNSUPPORTED, "the sessions are as before",
               api->step(items, 3, &error));
  EXPECT_EQ(api->session_kv_bytes(a), bytes);
  EXPECT_EQ(api->session_kv_bytes(b), 0u);
  expectContent(a, someTokens(21));
  expectContent(b, {});
  expectContent(shared, someTokens(18, 2));
  expectContent(root, someTokens(18, 2));
}

TEST_F(Step, TokensOutOfRangeAreNamed) {
  qtale_session *s = session();
  EXPECT_FAILS(QTALE_INVALID_ARGUMENT,
               "token 2 of item 0 is 32; the model's vocabulary has the ids 0 "
               "to 31",
               feed(s, {1, 2, 32}, &error));
  EXPECT_FAILS(QTALE_INVALID_ARGUMENT, "token 0 of item 0 is -1",
               feed(s, {-1}, &error));
  expectContent(s, {});
}

TEST_F(Step, TheContextIsALimit) {
  qtale_session *s = session();
  ASSERT_EQ(feed(s, someTokens(99)), QTALE_OK);
  EXPECT_FAILS(QTALE_LIMIT,
               "2 tokens at position 99 go beyond the model's context of 100",
               feed(s, {1, 2}, &error));
  expectContent(s, someTokens(99));
  EXPECT_FAILS(QTALE_LIMIT, "1 tokens at position 100", feed(s, {1}, &error));
}

TEST_F(Step, OddStepsAreRefused) {
  qtale_session *s = session();
  int32_t token = 1;
  float logits[fake::vocab];
  qtale_step twice[] = {{s, &token, 1, QTALE_LOGITS_NONE, nullptr},
                        {s, &token, 1, QTALE_LOGITS_NONE, nullptr}};
  EXPECT_FAILS(QTALE_INVALID_ARGUMENT, "items 0 and 1 of the step are the same",
               api->step(twice, 2, &error));
  EXPECT_FAILS(QTALE_INVALID_ARGUMENT, "0 items", api->step(twice, 0, &error));
  EXPECT_FAILS(QTALE_INVALID_ARGUMENT, "null pointer",
               api->step(nullptr, 1, &error));
  auto refused = [&](qtale_step item, const char *words) {
    EXPECT_FAILS(QTALE_INVALID_ARGUMENT, words, api->step(&item, 1, &error));
  };
  refused({nullptr, &token, 1, QTALE_LOGITS_NONE, nullptr}, "no session");
  refused({s, &token, 0, QTALE_LOGITS_NONE, nullptr}, "has 0 tokens");
  refused({s, nullptr, 1, QTALE_LOGITS_NONE, nullptr}, "a null pointer");
  refused({s, &token, 1, 3, logits}, "wants logits 3");
  refused({s, &token, 1, QTALE_LOGITS_ALL, nullptr}, "no buffer");
  expectContent(s, {});
}

TEST_F(Step, SessionsOfTwoModelsDoNotMix) {
  qtale_model *other = nullptr;
  ASSERT_EQ(qtale::rt::openModel(fake::module, "", QTALE_FAKE_WEIGHTS, nullptr,
                                 &other, nullptr),
            QTALE_OK);
  qtale_session *theirs = nullptr, *ours = session();
  ASSERT_EQ(api->session_create(other, nullptr, &theirs, nullptr), QTALE_OK);
  int32_t token = 1;
  qtale_step items[] = {{ours, &token, 1, QTALE_LOGITS_NONE, nullptr},
                        {theirs, &token, 1, QTALE_LOGITS_NONE, nullptr}};
  EXPECT_FAILS(QTALE_INVALID_ARGUMENT, "different models",
               api->step(items, 2, &error));
  expectContent(ours, {});
  api->session_destroy(theirs);
  api->model_close(other);
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
// A sanitizer ends the process instead of throwing.
TEST_F(Step, WithoutMemoryForBlocksNothingChanges) {
  // The second cache is beyond any machine; the first is then given back.
  const uint64_t sizes[] = {16 * 4, uint64_t(1) << 60};
  qtale_module module = fake::module;
  module.kv_block_bytes = sizes;
  qtale_model *large = nullptr;
  ASSERT_EQ(qtale::rt::openModel(module, "", QTALE_FAKE_WEIGHTS, nullptr,
                                 &large, nullptr),
            QTALE_OK);
  qtale_session *s = nullptr;
  ASSERT_EQ(api->session_create(large, nullptr, &s, nullptr), QTALE_OK);
  EXPECT_FAILS(QTALE_OUT_OF_MEMORY, "nothing has changed",
               feed(s, {1}, &error));
  EXPECT_EQ(api->session_position(s), 0);
  EXPECT_EQ(api->session_kv_bytes(s), 0u);
  api->session_destroy(s);
  api->model_close(large);
}
#endif
