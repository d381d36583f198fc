//===- ProfileTest.cpp - What operations took -----------------------------===//
//
// The fake model's step has two operations, `append` and `head`, run one, `add`.
//
//===----------------------------------------------------------------------===//

#include "Profile.h"
#include "Fixtures.h"

#include <ctime>

namespace {

uint64_t clockNow() {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return uint64_t(time.tv_sec) * 1000000000u + uint64_t(time.tv_nsec);
}

class Profile : public WithModel {
protected:
  void TearDown() override {
    for (qtale_profile *profile : profiles)
      api->profile_destroy(profile);
    WithModel::TearDown();
  }

  qtale_profile *profile(int64_t events = 0) {
    qtale_profile *made = nullptr;
    EXPECT_EQ(api->profile_create(model, events, &made, &error), QTALE_OK)
        << error.message;
    profiles.push_back(made);
    return made;
  }

  int32_t step(qtale_profile *profile, qtale_session *session,
               const std::vector<int32_t> &tokens, bool wanted = true,
               qtale_error *error = nullptr) {
    qtale_step item = {session, tokens.data(), int64_t(tokens.size()),
                       wanted ? QTALE_LOGITS_LAST : QTALE_LOGITS_NONE,
                       wanted ? logits : nullptr};
    return api->profile_step(profile, &item, 1, error);
  }

  std::vector<qtale_operation> read(const qtale_profile *profile) {
    std::vector<qtale_operation> all(3);
    EXPECT_EQ(api->profile_operations(profile, all.data(), 3), 3);
    return all;
  }

  float logits[fake::vocab];
  std::vector<qtale_profile *> profiles;
};

} // namespace

TEST_F(Profile, AddsUpPasses) {
  qtale_profile *p = profile();
  uint64_t begin = clockNow();
  // 20 tokens in passes of 8 rows; the last pass has a row of logits.
  ASSERT_EQ(step(p, session(3), someTokens(20)), QTALE_OK);
  uint64_t wall = clockNow() - begin;
  std::vector<qtale_operation> all = read(p);
  EXPECT_STREQ(all[0].operation, "append");
  EXPECT_STREQ(all[0].node, "/layers.1/kv");
  EXPECT_EQ(all[0].layer, 1);
  EXPECT_EQ(all[0].calls, 3);
  EXPECT_EQ(all[0].bytes, 20u * 4);
  EXPECT_EQ(all[0].macs, 0u);
  EXPECT_STREQ(all[1].operation, "head");
  EXPECT_STREQ(all[1].node, "");
  EXPECT_EQ(all[1].layer, -1);
  EXPECT_EQ(all[1].calls, 3);
  EXPECT_EQ(all[1].bytes, 128u) << "without rows weights are not read";
  EXPECT_EQ(all[1].macs, 32u);
  EXPECT_EQ(all[2].calls, 0);
  EXPECT_GT(all[0].nanoseconds, 0u);
  EXPECT_LE(all[0].nanoseconds + all[1].nanoseconds, wall);
}

TEST_F(Profile, ProfiledStepsAreSteps) {
  qtale_session *s = session();
  ASSERT_EQ(step(profile(), s, someTokens(11)), QTALE_OK);
  std::vector<int32_t> tokens = someTokens(11);
  for (int64_t v = 0; v < fake::vocab; ++v)
    EXPECT_EQ(logits[v], fake::logit(tokens.data(), 11, v));
  expectContent(s, tokens);
}

TEST_F(Profile, OnlyProfiledCallsCount) {
  qtale_profile *p = profile(8);
  qtale_session *s = session();
  ASSERT_EQ(feed(s, someTokens(3)), QTALE_OK);
  EXPECT_EQ(read(p)[0].calls, 0);
  EXPECT_EQ(api->profile_events(p, nullptr, 0), 0);
}

TEST_F(Profile, KeepsTheLastEventsInTheOrderOfTime) {
  qtale_profile *p = profile(5);
  qtale_session *s = session();
  uint64_t begin = clockNow();
  for (int i = 0; i < 4; ++i)
    ASSERT_EQ(step(p, s, {1}), QTALE_OK);
  std::vector<qtale_event> events(5);
  EXPECT_EQ(api->profile_events(p, events.data(), 5), 5);
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(events[i].operation, (i + 1) % 2); // the last one is a head
    EXPECT_EQ(events[i].bytes, i % 2 ? 4u : 128u);
    EXPECT_GE(events[i].begin,
              i ? events[i - 1].begin + events[i - 1].nanoseconds : begin);
  }
  EXPECT_LE(events[4].begin + events[4].nanoseconds, clockNow());
  // Less room than there is.
  qtale_event first = {};
  EXPECT_EQ(api->profile_events(p, &first, 1), 5);
  EXPECT_EQ(first.begin, events[0].begin);
}

TEST_F(Profile, WhatAFailedCallHadBegunDoesNotCount) {
  qtale_profile *p = profile();
  qtale_session *s = session();
  EXPECT_FAILS(QTALE_UNSUPPORTED, "the sessions are as before",
               step(p, s, {1, fake::poison}, true, &error));
  ASSERT_EQ(step(p, s, {1}), QTALE_OK);
  std::vector<qtale_operation> all = read(p);
  EXPECT_EQ(all[0].calls, 1);
  EXPECT_EQ(all[1].calls, 1);
}

TEST_F(Profile, Functions) {
  qtale_profile *p = profile();
  float x[6] = {1, 2, 3, 4, 5, 6};
  int32_t mode = 0;
  qtale_tensor inputs[] = {{"x", QTALE_FLOAT32, 2, {2, 3}, x},
                           {"y", QTALE_FLOAT32, 2, {2, 3}, x},
                           {"mode", QTALE_INT32, 0, {}, &mode}};
  qtale_tensor output = {"sum", 0, 0, {}, nullptr};
  ASSERT_EQ(api->profile_run(p, nullptr, inputs, 3, &output, 1, &error),
            QTALE_OK)
      << error.message;
  EXPECT_EQ(static_cast<float *>(output.data)[5], 12);
  api->release(&output);
  EXPECT_EQ(read(p)[2].calls, 1);
  EXPECT_EQ(read(p)[0].calls, 0);
}

TEST_F(Profile, OneCallAtATime) {
  qtale_profile *p = profile();
  p->busy = true; // as in another thread's call
  EXPECT_FAILS(QTALE_BUSY, "the profile is in use",
               step(p, session(), {1}, true, &error));
  p->busy = false;
  EXPECT_EQ(step(p, session(), {1}), QTALE_OK);
}

TEST_F(Profile, OddCallsAreRefused) {
  qtale_profile *made = nullptr;
  EXPECT_FAILS(QTALE_INVALID_ARGUMENT, "a profile of -1 events",
               api->profile_create(model, -1, &made, &error));
  EXPECT_FAILS(QTALE_INVALID_ARGUMENT, "the model is a null pointer",
               api->profile_create(nullptr, 0, &made, &error));
  EXPECT_FAILS(QTALE_INVALID_ARGUMENT, "the profile is a null pointer",
               step(nullptr, session(), {1}, true, &error));
  EXPECT_EQ(api->profile_operations(nullptr, nullptr, 0), 0);
  api->profile_destroy(nullptr);

  qtale_model *other = nullptr;
  ASSERT_EQ(qtale::rt::openModel(fake::module, "", QTALE_FAKE_WEIGHTS, nullptr,
                                 &other, &error),
            QTALE_OK);
  qtale_profile *foreign = nullptr;
  ASSERT_EQ(api->profile_create(other, 0, &foreign, &error), QTALE_OK);
  EXPECT_FAILS(QTALE_INVALID_ARGUMENT, "the profile is of another model",
               step(foreign, session(), {1}, true, &error));
  api->profile_destroy(foreign);
  api->model_close(other);
}
