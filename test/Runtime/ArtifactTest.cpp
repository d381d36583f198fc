//===- ArtifactTest.cpp - The runtime inside a linked artifact ------------===//
//
// fake.so is linked as qtale-compile links: the model's object and the
// prelinked runtime, without start files. What could go wrong there is what
// unit tests can't see: exceptions, static objects, symbols, its own path.
//
//===----------------------------------------------------------------------===//

#include "Fixtures.h"

#include <dlfcn.h>
#include <sys/stat.h>

namespace {

class Artifact : public testing::Test {
protected:
  void SetUp() override { place("m.so"); }
  void TearDown() override {
    for (void *handle : handles)
      EXPECT_EQ(dlclose(handle), 0);
  }

  void place(const std::string &name, const std::string &behind = "") {
    writeFile(folder / name, readFile(QTALE_FAKE_ARTIFACT) + behind);
  }
  const qtale_api *load(const std::string &path) {
    void *handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (!handle) {
      ADD_FAILURE() << dlerror();
      return nullptr;
    }
    handles.push_back(handle);
    auto get = reinterpret_cast<const qtale_api *(*)(uint32_t)>(
        dlsym(handle, "qtale_get_api"));
    return get ? get(QTALE_API_VERSION) : nullptr;
  }
  void expectWorks(const qtale_api *api, const qtale_pool *pool = nullptr) {
    qtale_error error = {};
    qtale_model *model = nullptr;
    ASSERT_EQ(api->model_open(nullptr, nullptr, &model, &error), QTALE_OK)
        << error.message;
    qtale_session_options options = {pool, 0, 0, 0};
    qtale_session *session = nullptr;
    ASSERT_EQ(api->session_create(model, &options, &session, &error), QTALE_OK);
    std::vector<int32_t> tokens = someTokens(20);
    float logits[fake::vocab];
    qtale_step step = {session, tokens.data(), 20, QTALE_LOGITS_LAST, logits};
    ASSERT_EQ(api->step(&step, 1, &error), QTALE_OK) << error.message;
    EXPECT_EQ(logits[7], fake::logit(tokens.data(), 20, 7));
    EXPECT_EQ(api->model_verify(model, &error), QTALE_OK) << error.message;
    api->session_destroy(session);
    api->model_close(model);
  }

  TemporaryFolder folder;
  std::vector<void *> handles;
};

} // namespace

TEST_F(Artifact, TwoLiveSideBySide) {
  place("other.so");
  writeFile(folder / "fake.safetensors", fakeWeights());
  const qtale_api *one = load(folder / "m.so"),
                  *two = load(folder / "other.so");
  ASSERT_TRUE(one && two);
  EXPECT_NE(one, two);
  expectWorks(one);
  expectWorks(two);
  qtale_pool *pool = nullptr;
  ASSERT_EQ(one->pool_create(3, &pool, nullptr), QTALE_OK);
  expectWorks(two, pool);
  one->pool_destroy(pool);
}

TEST_F(Artifact, FindsItselfAfterTheHostHasChangedItsFolder) {
  writeFile(folder / "fake.safetensors", fakeWeights());
  char before[4096];
  ASSERT_TRUE(getcwd(before, sizeof(before)));
  ASSERT_EQ(chdir((folder / "").c_str()), 0);
  const qtale_api *api = load("./m.so");
  ASSERT_EQ(chdir(before), 0);
  ASSERT_TRUE(api);
  expectWorks(api);
}

// As in a store of files by their hash.
TEST_F(Artifact, FindsItsWeightsBesideTheLinkThatItWasOpenedBy) {
  ASSERT_EQ(mkdir((folder / "named").c_str(), 0700), 0);
  writeFile(folder / "8f3a", fakeWeights());
  ASSERT_EQ(symlink("../m.so", (folder / "named/a.so").c_str()), 0);
  ASSERT_EQ(symlink("../8f3a", (folder / "named/fake.safetensors").c_str()), 0);
  const qtale_api *api = load(folder / "named/a.so");
  ASSERT_TRUE(api);
  expectWorks(api);
}

TEST_F(Artifact, CarriesItsWeights) {
  // Page-aligned, then the footer: magic, offset, length, version.
  size_t elf = readFile(QTALE_FAKE_ARTIFACT).size();
  size_t offset = (elf + 4095) / 4096 * 4096;
  std::string footer = "QTALEWTS";
  for (uint64_t value : {uint64_t(offset), uint64_t(448), uint64_t(1)})
    footer.append(reinterpret_cast<const char *>(&value), 8);
  place("bundle.so", std::string(offset - elf, 0) + fakeWeights() + footer);
  const qtale_api *api = load(folder / "bundle.so");
  ASSERT_TRUE(api);
  expectWorks(api);
}

TEST_F(Artifact, ThrowsAndCatchesWithinItself) {
  writeFile(folder / "fake.safetensors", fakeWeights());
  const qtale_api *api = load(folder / "m.so");
  ASSERT_TRUE(api);
  qtale_model *model = nullptr;
  ASSERT_EQ(api->model_open(nullptr, nullptr, &model, nullptr), QTALE_OK);
  float x[3] = {};
  int32_t mode = fake::HugeOutput;
  qtale_tensor inputs[] = {{"x", QTALE_FLOAT32, 2, {1, 3}, x},
                           {"y", QTALE_FLOAT32, 2, {1, 3}, x},
                           {"mode", QTALE_INT32, 0, {}, &mode}};
  qtale_tensor output = {"sum", 0, 0, {}, nullptr};
  EXPECT_FAILS(QTALE_OUT_OF_MEMORY, "memory ran out",
               api->run(model, nullptr, inputs, 3, &output, 1, &error));
  api->model_close(model);
}

// Its static objects must be gone before its code is.
TEST_F(Artifact, UnloadsBeforeTheProcessEnds) {
  writeFile(folder / "fake.safetensors", fakeWeights());
  auto loadAndLeave = [&] {
    const qtale_api *api = load(folder / "m.so");
    if (api)
      expectWorks(api);
    while (!handles.empty()) {
      dlclose(handles.back());
      handles.pop_back();
    }
    exit(HasFailure());
  };
  EXPECT_EXIT(loadAndLeave(), testing::ExitedWithCode(0), "");
}

TEST_F(Artifact, SpeaksOneVersionAndShowsOneSymbol) {
  load(folder / "m.so");
  ASSERT_EQ(handles.size(), 1u);
  auto get = reinterpret_cast<const qtale_api *(*)(uint32_t)>(
      dlsym(handles[0], "qtale_get_api"));
  EXPECT_EQ(get(QTALE_API_VERSION + 1), nullptr);
  for (const char *hidden : {"qtale_module_descriptor", "qtale_rt_barrier",
                             "_Znwm", "__cxa_throw", "__dso_handle"})
    EXPECT_EQ(dlsym(handles[0], hidden), nullptr) << hidden;
}

TEST_F(Artifact, TellsWhenItHasNoTokenizer) {
  writeFile(folder / "fake.safetensors", fakeWeights());
  const qtale_api *api = load(folder / "m.so");
  ASSERT_TRUE(api);
  qtale_model *model = nullptr;
  ASSERT_EQ(api->model_open(nullptr, nullptr, &model, nullptr), QTALE_OK);
  size_t count = 0;
  EXPECT_FAILS(QTALE_UNSUPPORTED, "tokenizer",
               api->tokenize(model, "a", 1, nullptr, 0, &count, &error));
  EXPECT_FAILS(QTALE_INVALID_ARGUMENT, "the model is a null pointer",
               api->tokenize(nullptr, "a", 1, nullptr, 0, &count, &error));
  api->model_close(model);
}
