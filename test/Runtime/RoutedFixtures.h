//===- RoutedFixtures.h - What a routed session must do, told otherwise ---===//

#ifndef QTALE_TEST_RUNTIME_ROUTEDFIXTURES_H
#define QTALE_TEST_RUNTIME_ROUTEDFIXTURES_H

#include "FakeRouted.h"
#include "Fixtures.h"

/// A session of the routed model, one token after the other, in lists.
struct Oracle {
  struct Token {
    int32_t id;
    bool kept[fake::routedUnits];
  };
  std::vector<float> thresholds = std::vector<float>(fake::routedUnits, 0.5f);
  int64_t budget = INT32_MAX;
  std::vector<Token> tokens;

  void read(const std::vector<int32_t> &ids) {
    for (int32_t id : ids) {
      Token token = {id, {}};
      int64_t left = budget;
      for (int64_t unit = 0; unit < fake::routedUnits; ++unit) {
        if (!fake::isRouted(unit) || tokens.size() < fake::always)
          token.kept[unit] = true;
        else if (fake::probability(id, unit) >= thresholds[unit] && left > 0)
          token.kept[unit] = true, --left;
      }
      tokens.push_back(token);
    }
  }

  /// Tokens that cache `c` holds, of the first `length`.
  std::vector<int32_t> cache(int64_t c, size_t length) const {
    std::vector<int32_t> held;
    for (size_t i = 0; i < length; ++i)
      if (tokens[i].kept[2 * c])
        held.push_back(tokens[i].id);
    return held;
  }

  /// Of token `at`.
  float logit(size_t at, int64_t v) const {
    if (v >= 3)
      return v < 9 ? tokens[at].kept[v - 3] : 0;
    float sum = 0;
    std::vector<int32_t> held = cache(v, at + 1);
    for (size_t i = 0; i < held.size(); ++i)
      sum += (i + 1) * held[i];
    return sum;
  }

  /// Blocks of 16, with positions where they are ragged.
  uint64_t kvBytes() const {
    uint64_t total = 0;
    for (int64_t c = 0; c < 3; ++c)
      total += (cache(c, tokens.size()).size() + 15) / 16 *
               (fake::routedBlockBytes + (c ? 16 * 4 : 0));
    return total;
  }
};

/// The routed model, open.
class WithRouted : public WithModel {
protected:
  void SetUp() override { open(fake::routedModule); }

  void open(const qtale_module &module) {
    ASSERT_EQ(qtale::rt::openModel(module, "", QTALE_FAKE_WEIGHTS, nullptr,
                                   &model, &error),
              QTALE_OK)
        << error.message;
  }

  qtale_session *recording(int64_t threads = 2, int64_t maxRows = 8) {
    qtale_session_options options = {nullptr, threads, maxRows, 1};
    qtale_session *made = nullptr;
    EXPECT_EQ(api->session_create(model, &options, &made, &error), QTALE_OK)
        << error.message;
    sessions.push_back(made);
    return made;
  }

  /// Position, memory and record are those of `oracle`.
  void expectHolds(const qtale_session *s, const Oracle &oracle) {
    int64_t count = oracle.tokens.size();
    ASSERT_EQ(api->session_position(s), count);
    EXPECT_EQ(api->session_kv_bytes(s), oracle.kvBytes());
    std::vector<uint8_t> kept(fake::routedUnits * count);
    std::vector<float> probability(fake::routedUnits * count);
    ASSERT_EQ(api->session_kept(s, 0, count, kept.data(), &error), QTALE_OK)
        << error.message;
    ASSERT_EQ(api->session_probability(s, 0, count, probability.data(), &error),
              QTALE_OK);
    for (int64_t unit = 0; unit < fake::routedUnits; ++unit)
      for (int64_t i = 0; i < count; ++i) {
        ASSERT_EQ(kept[unit * count + i], oracle.tokens[i].kept[unit])
            << "unit " << unit << ", token " << i;
        ASSERT_EQ(probability[unit * count + i],
                  fake::probability(oracle.tokens[i].id, unit));
      }
  }

  /// Reads `ids` and checks all logits, and what the session holds then.
  void expectReads(qtale_session *s, Oracle &oracle,
                   const std::vector<int32_t> &ids) {
    size_t before = oracle.tokens.size();
    std::vector<float> logits(ids.size() * fake::vocab, -1);
    qtale_step item = {s, ids.data(), int64_t(ids.size()), QTALE_LOGITS_ALL,
                       logits.data()};
    ASSERT_EQ(api->step(&item, 1, &error), QTALE_OK) << error.message;
    oracle.read(ids);
    for (size_t i = 0; i < ids.size(); ++i)
      for (int64_t v = 0; v < fake::vocab; ++v)
        ASSERT_EQ(logits[i * fake::vocab + v], oracle.logit(before + i, v))
            << "token " << i << ", logit " << v;
    expectHolds(s, oracle);
  }
};

/// Tokens that differ, neither poison nor NaN.
inline std::vector<int32_t> routedTokens(int64_t count, int32_t first = 1) {
  std::vector<int32_t> tokens;
  for (int64_t i = 0; i < count; ++i)
    tokens.push_back((first + i * 5) % fake::nanToken);
  return tokens;
}

#endif // QTALE_TEST_RUNTIME_ROUTEDFIXTURES_H
