//===- CpuTest.cpp - The level for this machine ---------------------------===//

#include "Cpu.h"
#include "Fixtures.h"

#include <sstream>

using namespace qtale::rt;

static qtale_level levelNamed(const char *name, const char *features) {
  qtale_level level = fake::level;
  level.name = name;
  level.features = features;
  return level;
}

static int32_t select(const std::vector<qtale_level> &levels,
                      const char *wanted, std::string &chosen,
                      qtale_error *error) {
  qtale_module module = fake::module;
  module.num_levels = levels.size();
  module.levels = levels.data();
  const qtale_level *level = nullptr;
  int32_t code = selectLevel(module, wanted, level, error);
  chosen = level ? level->name : "";
  return code;
}

static const std::vector<qtale_level> levels = {
    levelNamed("future", "warpdrive"), levelNamed("plain", ""),
    levelNamed("plainer", "")};

TEST(Cpu, TakesTheFirstLevelThatRunsHere) {
  std::string chosen;
  EXPECT_EQ(select(levels, nullptr, chosen, nullptr), QTALE_OK);
  EXPECT_EQ(chosen, "plain");
  EXPECT_EQ(select(levels, "", chosen, nullptr), QTALE_OK);
  EXPECT_EQ(chosen, "plain");
}

TEST(Cpu, ANamedLevelIsTakenOrRefusedByName) {
  std::string chosen;
  EXPECT_EQ(select(levels, "plainer", chosen, nullptr), QTALE_OK);
  EXPECT_EQ(chosen, "plainer");
  EXPECT_FAILS(QTALE_UNSUPPORTED, "future needs warpdrive",
               select(levels, "future", chosen, &error));
  EXPECT_FAILS(QTALE_NOT_FOUND,
               "'x86-64-v9' is not in this artifact, which "
               "has: future, plain, plainer",
               select(levels, "x86-64-v9", chosen, &error));
}

TEST(Cpu, AMachineBelowEveryLevelIsToldWhatItLacks) {
  std::string chosen;
  EXPECT_FAILS(
      QTALE_UNSUPPORTED, "(a needs warpdrive; b needs shields, cloak)",
      select({levelNamed("a", "warpdrive"), levelNamed("b", "shields,cloak")},
             nullptr, chosen, &error));
}

TEST(Cpu, TheEnvironmentForcesALevel) {
  qtale_module module = fake::module;
  module.num_levels = levels.size();
  module.levels = levels.data();
  qtale_model *model = nullptr;
  setenv("QTALE_CPU", "plainer", 1);
  EXPECT_EQ(openModel(module, "", QTALE_FAKE_WEIGHTS, nullptr, &model, nullptr),
            QTALE_OK);
  EXPECT_STREQ(model->level->name, "plainer");
  EXPECT_EQ(model->info, "{\"version\": 1, \"levels\": [\"future\", \"plain\", "
                         "\"plainer\"], \"cpu\": \"plainer\"}");
  delete model;
  // The option goes before it.
  qtale_model_options options = {"plain"};
  EXPECT_EQ(
      openModel(module, "", QTALE_FAKE_WEIGHTS, &options, &model, nullptr),
      QTALE_OK);
  EXPECT_STREQ(model->level->name, "plain");
  delete model;
  setenv("QTALE_CPU", "future", 1);
  EXPECT_FAILS(
      QTALE_UNSUPPORTED, "can't run CPU level future",
      openModel(module, "", QTALE_FAKE_WEIGHTS, nullptr, &model, &error));
  EXPECT_EQ(model, nullptr);
  unsetenv("QTALE_CPU");
}

#if defined(__x86_64__)
// The kernel's own list, by its names, is the judge.
TEST(Cpu, AgreesWithTheKernel) {
  std::string flags;
  std::ifstream file("/proc/cpuinfo");
  while (std::getline(file, flags) && flags.rfind("flags", 0) != 0)
    ;
  std::istringstream words(flags.substr(flags.find(':') + 1));
  std::vector<std::string> present{std::istream_iterator<std::string>(words),
                                   {}};
  const std::pair<const char *, const char *> names[] = {
      {"ssse3", "ssse3"},
      {"sse4.1", "sse4_1"},
      {"sse4.2", "sse4_2"},
      {"popcnt", "popcnt"},
      {"avx", "avx"},
      {"avx2", "avx2"},
      {"fma", "fma"},
      {"f16c", "f16c"},
      {"bmi", "bmi1"},
      {"bmi2", "bmi2"},
      {"movbe", "movbe"},
      {"lzcnt", "abm"},
      {"avx512f", "avx512f"},
      {"avx512bw", "avx512bw"},
      {"avx512vl", "avx512vl"},
      {"avx512dq", "avx512dq"},
      {"avx512cd", "avx512cd"},
      {"avx512vnni", "avx512_vnni"},
      {"avxvnni", "avx_vnni"},
      {"avx512bf16", "avx512_bf16"},
      {"avx512vbmi", "avx512vbmi"},
      {"cx16", "cx16"},
  };
  for (auto [ours, kernels] : names) {
    bool listed =
        std::find(present.begin(), present.end(), kernels) != present.end();
    EXPECT_EQ(missingFeatures(ours), listed ? "" : ours) << ours;
  }
}
#endif
