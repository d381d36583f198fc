//===- RoutingCallsTest.cpp - What may be set and asked about routing -----===//

#include "RoutedFixtures.h"

#include <cmath>
#include <cstring>

namespace {

class RoutingCalls : public WithRouted {
protected:
  /// The model with these entries in its table: a ratio, and the thresholds of
  /// its units, all alike but that of unit 4, which is twice as large.
  void calibrate(std::vector<std::pair<float, float>> entries) {
    table.head.count = entries.size();
    for (size_t i = 0; i < entries.size(); ++i) {
      table.head.ratios[i] = entries[i].first;
      for (int64_t unit = 0; unit < fake::routedUnits; ++unit)
        table.thresholds[i][unit] = entries[i].second * (unit == 4 ? 2 : 1);
    }
    module.calibration = &table.head;
    if (model)
      api->model_close(model);
    open(module);
  }

  float thresholdOf(const qtale_session *s, int64_t unit) {
    float held[fake::routedUnits];
    EXPECT_EQ(api->session_threshold(s, held, 6, &error), QTALE_OK);
    return held[unit];
  }

  struct {
    qtale_calibration head = *fake::routedModule.calibration;
    float thresholds[QTALE_CALIBRATION_ENTRIES][fake::routedUnits] = {};
  } table;
  qtale_module module = fake::routedModule;
};

} // namespace

TEST_F(RoutingCalls, TheModelTellsHowItIsRouted) {
  const qtale_routing *routing = api->model_routing(model);
  ASSERT_TRUE(routing);
  EXPECT_EQ(routing->layers, 3);
  EXPECT_EQ(routing->units, 2);
  EXPECT_EQ(routing->always_execute, 2);
  EXPECT_EQ(memcmp(routing->routed, "\0\0\1\1\1\1", 6), 0);
  EXPECT_EQ(routing->thresholds[5], 0.5f);
  EXPECT_EQ(routing->highest_ratio, 0);
  EXPECT_EQ(api->model_routing(nullptr), nullptr);
  EXPECT_TRUE(strstr(api->model_info(model), "\"calibrated\": false"));
}

TEST_F(RoutingCalls, OddThresholdsAreRefused) {
  qtale_session *s = session();
  auto refused = [&](std::vector<float> thresholds, const char *words) {
    EXPECT_FAILS(QTALE_INVALID_ARGUMENT, words,
                 api->session_set_threshold(s, thresholds.data(),
                                            thresholds.size(), &error));
    EXPECT_EQ(thresholdOf(s, 5), 0.5f);
  };
  refused({-0.5f}, "threshold 0 is -0.5; give 0 (everything runs) or more");
  refused({1, 1, NAN}, "threshold 2 is nan");
  refused({1, 1, 1, 1, -INFINITY, 1}, "threshold 4 is -inf");
  refused({1, 1}, "2 thresholds; give 1 for all, 3 (one for each layer), or 6 "
                  "(one for each unit)");
  EXPECT_FAILS(QTALE_INVALID_ARGUMENT, "null pointer",
               api->session_set_threshold(s, nullptr, 1, &error));
  EXPECT_FAILS(QTALE_INVALID_ARGUMENT, "the session is a null pointer",
               api->session_set_threshold(nullptr, nullptr, 1, &error));
  float few[2];
  EXPECT_FAILS(QTALE_INVALID_ARGUMENT, "room for 2 thresholds; the model has 6",
               api->session_threshold(s, few, 2, &error));
}

TEST_F(RoutingCalls, ARatioIsInterpolated) {
  calibrate({{0.3f, 0.875f}, {0.5f, 0.625f}, {1, 0}});
  const qtale_routing *routing = api->model_routing(model);
  EXPECT_EQ(routing->lowest_ratio, 0.3f);
  EXPECT_EQ(routing->highest_ratio, 1);
  EXPECT_TRUE(strstr(api->model_info(model),
                     "\"calibrated\": true, "
                     "\"ratio_span\": [0.3000, 1.0000]"));
  qtale_session *s = session();
  struct {
    double ratio;
    float threshold;
  } pairs[] = {{0.3, 0.875f},   {0.4, 0.75f},  {0.5, 0.625f},
               {0.75, 0.3125f}, {0.9, 0.125f}, {1, 0}};
  for (auto [ratio, threshold] : pairs) {
    ASSERT_EQ(api->session_set_ratio(s, ratio, &error), QTALE_OK)
        << error.message;
    EXPECT_NEAR(thresholdOf(s, 2), threshold, 1e-6) << ratio;
    EXPECT_NEAR(thresholdOf(s, 4), 2 * threshold, 1e-6) << ratio;
  }
  // What it sets is what runs.
  qtale_session *r = recording();
  ASSERT_EQ(api->session_set_ratio(r, 0.5, &error), QTALE_OK);
  Oracle oracle;
  oracle.thresholds = {0.625f, 0.625f, 0.625f, 0.625f, 1.25f, 0.625f};
  expectReads(r, oracle, routedTokens(30));
}

TEST_F(RoutingCalls, OddRatiosAreRefused) {
  qtale_session *s = session();
  EXPECT_FAILS(QTALE_UNSUPPORTED, "make it with: qtale calibrate",
               api->session_set_ratio(s, 0.5, &error));
  api->session_destroy(s);
  sessions.clear();
  calibrate({{0.4f, 0.8f}, {0.9f, 0.1f}});
  s = session();
  ASSERT_EQ(api->session_set_ratio(s, 0.9, &error), QTALE_OK);
  for (double ratio : {0.0, -0.5, 1.25, double(NAN), double(INFINITY)})
    EXPECT_FAILS(QTALE_INVALID_ARGUMENT, "above 0 and at most 1",
                 api->session_set_ratio(s, ratio, &error));
  for (double ratio : {0.39, 0.91, 1.0, 1e-300})
    EXPECT_FAILS(QTALE_INVALID_ARGUMENT,
                 "table, which spans 0.4 to 0.9; give one inside, or make a "
                 "wider table with: qtale calibrate",
                 api->session_set_ratio(s, ratio, &error));
  EXPECT_EQ(thresholdOf(s, 2), 0.1f);
}

TEST_F(RoutingCalls, ATableOfOneEntryHasOneRatio) {
  calibrate({{0.5f, 0.25f}});
  qtale_session *s = session();
  ASSERT_EQ(api->session_set_ratio(s, 0.5, &error), QTALE_OK);
  EXPECT_EQ(thresholdOf(s, 2), 0.25f);
  EXPECT_FAILS(QTALE_INVALID_ARGUMENT, "spans 0.5 to 0.5",
               api->session_set_ratio(s, 0.6, &error));
}

TEST_F(RoutingCalls, ADamagedTableIsNoTable) {
  auto damaged = [&] {
    api->model_close(model);
    module.calibration = &table.head;
    open(module);
    EXPECT_TRUE(strstr(api->model_info(model), "\"calibrated\": false"));
    qtale_session *s = session();
    EXPECT_FAILS(QTALE_CORRUPT, "calibration table is damaged",
                 api->session_set_ratio(s, 0.5, &error));
    api->session_destroy(s);
    sessions.clear();
  };
  calibrate({{0.5f, 0.5f}, {0.4f, 0.6f}});
  damaged();
  calibrate({{0.5f, 0.5f}, {1.5f, 0.6f}});
  damaged();
  calibrate({{0.5f, NAN}});
  damaged();
  calibrate({{0.5f, -1}});
  damaged();
  calibrate({{0.5f, 0.5f}});
  table.head.count = 17;
  damaged();
  table.head.count = 1;
  table.head.units = 3;
  damaged();
}

TEST_F(RoutingCalls, OddBudgetsAreRefused) {
  qtale_session *s = session();
  EXPECT_FAILS(QTALE_INVALID_ARGUMENT, "the budget is -2",
               api->session_set_budget(s, -2, &error));
  EXPECT_EQ(api->session_set_budget(s, INT64_MAX, &error), QTALE_OK);
}

TEST_F(RoutingCalls, TheRecordHasWhatWasReadAndNoMore) {
  qtale_session *s = recording();
  ASSERT_EQ(feed(s, routedTokens(10)), QTALE_OK);
  Oracle oracle;
  oracle.read(routedTokens(10));
  uint8_t kept[3 * fake::routedUnits];
  ASSERT_EQ(api->session_kept(s, 7, 3, kept, &error), QTALE_OK);
  for (int64_t unit = 0; unit < fake::routedUnits; ++unit)
    for (int64_t i = 0; i < 3; ++i)
      EXPECT_EQ(kept[unit * 3 + i], oracle.tokens[7 + i].kept[unit]);
  EXPECT_EQ(api->session_kept(s, 10, 0, nullptr, &error), QTALE_OK);
  EXPECT_FAILS(QTALE_INVALID_ARGUMENT,
               "4 tokens from position 7; the session holds 10",
               api->session_kept(s, 7, 4, kept, &error));
  EXPECT_FAILS(QTALE_INVALID_ARGUMENT, "from position -1",
               api->session_kept(s, -1, 2, kept, &error));
  EXPECT_FAILS(QTALE_INVALID_ARGUMENT, "tokens from position 1 and a null",
               api->session_kept(s, 1, 2, nullptr, &error));
  EXPECT_FAILS(QTALE_INVALID_ARGUMENT, "create it with record",
               api->session_kept(session(), 0, 0, kept, &error));
  qtale_session_options options = {nullptr, 1, 0, 2};
  EXPECT_FAILS(QTALE_INVALID_ARGUMENT, "record is 2",
               api->session_create(model, &options, &s, &error));
}

TEST_F(RoutingCalls, OtherModelsHaveNothingToSet) {
  api->model_close(model);
  open(fake::module);
  qtale_session *s = session();
  const float threshold = 0.5f;
  float place[fake::routedUnits];
  uint8_t kept[1];
  EXPECT_EQ(api->model_routing(model), nullptr);
  EXPECT_FALSE(strstr(api->model_info(model), "calibrated"));
  EXPECT_FAILS(QTALE_UNSUPPORTED, "no router",
               api->session_set_threshold(s, &threshold, 1, &error));
  EXPECT_FAILS(QTALE_UNSUPPORTED, "no router",
               api->session_threshold(s, place, 6, &error));
  EXPECT_FAILS(QTALE_UNSUPPORTED, "no router",
               api->session_set_ratio(s, 0.5, &error));
  EXPECT_FAILS(QTALE_UNSUPPORTED, "no router",
               api->session_set_budget(s, 3, &error));
  EXPECT_FAILS(QTALE_UNSUPPORTED, "no router",
               api->session_kept(s, 0, 0, kept, &error));
  EXPECT_FAILS(QTALE_UNSUPPORTED, "no router",
               api->session_probability(s, 0, 0, place, &error));
  qtale_session_options options = {nullptr, 1, 0, 1};
  EXPECT_FAILS(QTALE_UNSUPPORTED, "nothing to record",
               api->session_create(model, &options, &s, &error));
}
