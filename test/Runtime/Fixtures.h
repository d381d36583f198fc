//===- Fixtures.h - What the runtime's tests share ------------------------===//

#ifndef QTALE_TEST_RUNTIME_FIXTURES_H
#define QTALE_TEST_RUNTIME_FIXTURES_H

#include "FakeModule.h"
#include "Model.h"
#include "Session.h"

#include "gtest/gtest.h"
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <thread>
#include <unistd.h>
#include <vector>

/// A call fails with this code, and its message holds these words.
#define EXPECT_FAILS(expected, words, ...)                                     \
  do {                                                                         \
    qtale_error error = {};                                                    \
    EXPECT_EQ((__VA_ARGS__), expected);                                        \
    EXPECT_EQ(error.code, expected);                                           \
    EXPECT_NE(std::string(error.message).find(words), std::string::npos)       \
        << error.message;                                                      \
  } while (0)

inline std::string readFile(const std::string &path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

inline void writeFile(const std::string &path, const std::string &bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

/// The weights of the fake module, as hashlib saw them.
inline std::string fakeWeights() { return readFile(QTALE_FAKE_WEIGHTS); }

/// An empty folder until the end of the scope.
class TemporaryFolder {
public:
  TemporaryFolder() {
    char name[] = "/tmp/qtale-runtime-XXXXXX";
    path = mkdtemp(name);
  }
  ~TemporaryFolder() {
    if (system(("rm -r '" + path + "'").c_str()))
      ADD_FAILURE() << path << " stays behind";
  }
  std::string operator/(const std::string &name) const {
    return path + "/" + name;
  }

private:
  std::string path;
};

/// The fake model, open.
class WithModel : public testing::Test {
protected:
  void SetUp() override {
    ASSERT_EQ(qtale::rt::openModel(fake::module, "", QTALE_FAKE_WEIGHTS,
                                   nullptr, &model, &error),
              QTALE_OK)
        << error.message;
  }
  void TearDown() override {
    for (qtale_session *session : sessions)
      api->session_destroy(session);
    api->model_close(model);
  }

  /// A session that lives as long as the test.
  qtale_session *session(int64_t threads = 2, int64_t maxRows = 8) {
    qtale_session_options options = {nullptr, threads, maxRows, 0};
    qtale_session *made = nullptr;
    EXPECT_EQ(api->session_create(model, &options, &made, &error), QTALE_OK)
        << error.message;
    sessions.push_back(made);
    return made;
  }

  qtale_session *fork(const qtale_session *from) {
    qtale_session *made = nullptr;
    EXPECT_EQ(api->session_fork(from, &made, &error), QTALE_OK);
    sessions.push_back(made);
    return made;
  }

  /// One step of one session, without logits.
  int32_t feed(qtale_session *to, const std::vector<int32_t> &tokens,
               qtale_error *error = nullptr) {
    qtale_step item = {to, tokens.data(), int64_t(tokens.size()),
                       QTALE_LOGITS_NONE, nullptr};
    return api->step(&item, 1, error);
  }

  /// Reads one more token and checks all logits against what the session is
  /// said to hold before.
  void expectContent(qtale_session *of, std::vector<int32_t> content,
                     int32_t token = 5) {
    float logits[fake::vocab];
    qtale_step item = {of, &token, 1, QTALE_LOGITS_LAST, logits};
    ASSERT_EQ(api->step(&item, 1, &error), QTALE_OK) << error.message;
    content.push_back(token);
    for (int64_t v = 0; v < fake::vocab; ++v)
      ASSERT_EQ(logits[v], fake::logit(content.data(), content.size(), v));
    EXPECT_EQ(api->session_position(of), int64_t(content.size()));
  }

  const qtale_api *api = qtale_get_api(QTALE_API_VERSION);
  qtale_model *model = nullptr;
  qtale_error error = {};
  std::vector<qtale_session *> sessions;
};

/// Tokens 1, 2, 3, … of the vocabulary, none of them poison.
inline std::vector<int32_t> someTokens(int64_t count, int32_t first = 1) {
  std::vector<int32_t> tokens;
  for (int64_t i = 0; i < count; ++i)
    tokens.push_back((first + i) % fake::poison);
  return tokens;
}

#endif // QTALE_TEST_RUNTIME_FIXTURES_H
