//===- SessionTest.cpp - Sessions remember, fork and forget ---------------===//

#include "Fixtures.h"

#include <atomic>

namespace {

class Session : public WithModel {};

/// Tokens of several pieces, one after the other.
std::vector<int32_t> operator+(std::vector<int32_t> a,
                               const std::vector<int32_t> &b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

} // namespace

TEST_F(Session, HoldsWhatItHasRead) {
  qtale_session *s = session();
  EXPECT_EQ(api->session_position(s), 0);
  EXPECT_EQ(api->session_kv_bytes(s), 0u);
  ASSERT_EQ(feed(s, someTokens(16)), QTALE_OK);
  EXPECT_EQ(api->session_kv_bytes(s), 16 * 4 + 16 * 8u);
  ASSERT_EQ(feed(s, someTokens(1, 20)), QTALE_OK);
  EXPECT_EQ(api->session_kv_bytes(s), 2 * (16 * 4 + 16 * 8u));
  expectContent(s, someTokens(16) + someTokens(1, 20));
}

TEST_F(Session, ResetMakesItNew) {
  qtale_session *s = session();
  ASSERT_EQ(feed(s, someTokens(40)), QTALE_OK);
  ASSERT_EQ(api->session_reset(s, nullptr), QTALE_OK);
  EXPECT_EQ(api->session_position(s), 0);
  EXPECT_EQ(api->session_kv_bytes(s), 0u);
  expectContent(s, {});
}

TEST_F(Session, TruncateForgetsTheEnd) {
  for (int64_t length : {0, 1, 15, 16, 17, 31, 40}) {
    qtale_session *s = session();
    ASSERT_EQ(feed(s, someTokens(40)), QTALE_OK);
    ASSERT_EQ(api->session_truncate(s, length, nullptr), QTALE_OK);
    EXPECT_EQ(api->session_position(s), length);
    EXPECT_EQ(api->session_kv_bytes(s),
              uint64_t(length + 15) / 16 * (16 * 4 + 16 * 8));
    expectContent(s, someTokens(length));
  }
}

TEST_F(Session, TruncateRefusesWhatItDoesNotHold) {
  qtale_session *s = session();
  ASSERT_EQ(feed(s, someTokens(3)), QTALE_OK);
  EXPECT_FAILS(QTALE_INVALID_ARGUMENT,
               "holds 3 tokens and can't be truncated "
               "to 4",
               api->session_truncate(s, 4, &error));
  EXPECT_FAILS(QTALE_INVALID_ARGUMENT, "truncated to -1",
               api->session_truncate(s, -1, &error));
  expectContent(s, someTokens(3));
}

TEST_F(Session, ForksGoOnIndependently) {
  for (int64_t length : {0, 5, 16, 21}) {
    qtale_session *a = session();
    if (length)
      ASSERT_EQ(feed(a, someTokens(length)), QTALE_OK);
    qtale_session *b = fork(a), *c = fork(b);
    // Each writes the same slots, in the order of most sharing.
    ASSERT_EQ(feed(b, someTokens(20, 7)), QTALE_OK);
    ASSERT_EQ(feed(a, someTokens(20, 11)), QTALE_OK);
    expectContent(a, someTokens(length) + someTokens(20, 11));
    expectContent(b, someTokens(length) + someTokens(20, 7));
    expectContent(c, someTokens(length));
  }
}

TEST_F(Session, ForksOutliveEachOther) {
  qtale_session *a = nullptr, *b = nullptr;
  ASSERT_EQ(api->session_create(model, nullptr, &a, nullptr), QTALE_OK);
  ASSERT_EQ(feed(a, someTokens(20)), QTALE_OK);
  ASSERT_EQ(api->session_fork(a, &b, nullptr), QTALE_OK);
  api->session_destroy(a);
  expectContent(b, someTokens(20));
  api->session_destroy(b);
}

TEST_F(Session, TruncatedForksDoNotDisturbTheOther) {
  qtale_session *a = session();
  ASSERT_EQ(feed(a, someTokens(30)), QTALE_OK);
  qtale_session *b = fork(a);
  ASSERT_EQ(api->session_truncate(b, 18, nullptr), QTALE_OK);
  ASSERT_EQ(feed(b, someTokens(12, 13)), QTALE_OK);
  expectContent(a, someTokens(30));
  expectContent(b, someTokens(18) + someTokens(12, 13));
}

TEST_F(Session, ForksInManyThreads) {
  qtale_session *root = session(1);
  ASSERT_EQ(feed(root, someTokens(21)), QTALE_OK);
  std::vector<std::thread> threads;
  std::vector<qtale_session *> forks;
  for (int i = 0; i < 4; ++i)
    forks.push_back(fork(root));
  std::atomic<int> failures{0};
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([&, i] {
      for (int round = 0; round < 200; ++round) {
        failures += feed(forks[i], someTokens(9, i + 1)) != QTALE_OK;
        failures += api->session_truncate(forks[i], 21, nullptr) != QTALE_OK;
      }
      failures += feed(forks[i], someTokens(9, i + 1)) != QTALE_OK;
    });
  for (std::thread &thread : threads)
    thread.join();
  EXPECT_EQ(failures, 0);
  for (int i = 0; i < 4; ++i)
    expectContent(forks[i], someTokens(21) + someTokens(9, i + 1));
  expectContent(root, someTokens(21));
}

TEST_F(Session, ASecondThreadIsToldThatItIsBusy) {
  // A host's pool that stands still inside the first thread's step.
  struct Host {
    std::atomic<bool> inside{false}, go{false};
  } host;
  qtale_pool pool = {
      &host, 2, [](void *state, void (*task)(void *, int64_t), void *argument) {
        Host &host = *static_cast<Host *>(state);
        host.inside = true;
        while (!host.go)
          usleep(100);
        std::thread other(task, argument, 1);
        task(argument, 0);
        other.join();
      }};
  qtale_session_options options = {&pool, 0, 0, 0};
  qtale_session *s = nullptr, *twin = nullptr;
  ASSERT_EQ(api->session_create(model, &options, &s, nullptr), QTALE_OK);
  std::thread first([&] { EXPECT_EQ(feed(s, {1, 2}), QTALE_OK); });
  while (!host.inside)
    usleep(100);
  EXPECT_FAILS(QTALE_BUSY, "in use by another thread", feed(s, {3}, &error));
  EXPECT_FAILS(QTALE_BUSY, "in use", api->session_reset(s, &error));
  EXPECT_FAILS(QTALE_BUSY, "in use", api->session_truncate(s, 0, &error));
  EXPECT_FAILS(QTALE_BUSY, "in use", api->session_fork(s, &twin, &error));
  EXPECT_EQ(twin, nullptr);
  EXPECT_EQ(api->session_position(s), 0);
  host.go = true;
  first.join();
  expectContent(s, {1, 2});
  api->session_destroy(s);
}

TEST_F(Session, OddOptionsAreRefused) {
  qtale_session *s = nullptr;
  qtale_session_options options = {nullptr, 1, -1, 0};
  EXPECT_FAILS(QTALE_INVALID_ARGUMENT, "max_rows is -1",
               api->session_create(model, &options, &s, &error));
  options = {nullptr, -3, 0, 0};
  EXPECT_FAILS(QTALE_INVALID_ARGUMENT, "-3 threads",
               api->session_create(model, &options, &s, &error));
  qtale_pool pool = {};
  options = {&pool, 0, 0, 0};
  EXPECT_FAILS(QTALE_INVALID_ARGUMENT, "the pool has 0 threads",
               api->session_create(model, &options, &s, &error));
  EXPECT_FAILS(QTALE_INVALID_ARGUMENT, "null pointer",
               api->session_create(nullptr, nullptr, &s, &error));
}

TEST_F(Session, AModelWithoutStepHasNone) {
  qtale_level level = fake::level;
  level.step = nullptr;
  qtale_module module = fake::module;
  module.levels = &level;
  qtale_model *plain = nullptr;
  ASSERT_EQ(qtale::rt::openModel(module, "", QTALE_FAKE_WEIGHTS, nullptr,
                                 &plain, nullptr),
            QTALE_OK);
  qtale_session *s = nullptr;
  EXPECT_FAILS(QTALE_UNSUPPORTED, "no session",
               api->session_create(plain, nullptr, &s, &error));
  EXPECT_EQ(api->model_vocab(plain), 0);
  api->model_close(plain);
}
