//===- ExamplesTest.cpp - The documentation's programs run ----------------===//

#include "Fixtures.h"

#include <sys/wait.h>

namespace {

struct Result {
  int exit;
  std::string output; // stdout and stderr
};

class Examples : public testing::Test {
protected:
  void SetUp() override {
    writeFile(folder / "m.so", readFile(QTALE_FAKE_ARTIFACT));
    writeFile(folder / "fake.safetensors", fakeWeights());
  }

  Result call(const std::string &program, const std::string &arguments) {
    std::string command =
        QTALE_EXAMPLES "/qtale-example-" + program + " " + arguments + " 2>&1";
    FILE *pipe = popen(command.c_str(), "r");
    Result result = {};
    char buffer[256];
    while (fgets(buffer, sizeof(buffer), pipe))
      result.output += buffer;
    result.exit = WEXITSTATUS(pclose(pipe));
    return result;
  }

  TemporaryFolder folder;
};

} // namespace

// All logits of the fake model grow with the id.
TEST_F(Examples, NextPrintsTheMostLikelyToken) {
  Result result = call("next", (folder / "m.so") + " 1 2 3");
  EXPECT_EQ(result.output, "31\n");
  EXPECT_EQ(result.exit, 0);
}

TEST_F(Examples, NextSaysWhatIsWrong) {
  Result result = call("next", (folder / "m.so") + " 1 32");
  EXPECT_NE(result.output.find("next: token 1 of item 0 is 32"),
            std::string::npos)
      << result.output;
  EXPECT_EQ(result.exit, 1);
  EXPECT_EQ(call("next", "").exit, 2);
}

TEST_F(Examples, GenerateSaysWhatIsWrong) {
  EXPECT_EQ(call("generate", "").exit, 2);
  Result result = call("generate", (folder / "m.so") + " 'Once upon a time'");
  EXPECT_NE(result.output.find("tokenizer"), std::string::npos)
      << result.output;
  EXPECT_EQ(result.exit, 1);
  result = call("generate", "/nowhere/m.so hello");
  EXPECT_NE(result.output.find("/nowhere/m.so"), std::string::npos)
      << result.output;
  EXPECT_EQ(result.exit, 1);
}
