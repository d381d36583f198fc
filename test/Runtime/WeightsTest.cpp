//===- WeightsTest.cpp - Only the weights of this compile -----------------===//

#include "Fixtures.h"

#include <cstring>
#include <sys/stat.h>

using namespace qtale::rt;

namespace {

class Weights : public testing::Test {
protected:
  ~Weights() override { delete model; }

  int32_t open(qtale_error *error, const char *path) {
    delete model;
    model = nullptr;
    return openModel(fake::module, folder / "m.so", path, nullptr, &model,
                     error);
  }
  int32_t openHere(const std::string &bytes, qtale_error *error) {
    writeFile(folder / "w", bytes);
    return open(error, (folder / "w").c_str());
  }

  TemporaryFolder folder;
  qtale_model *model = nullptr;
};

/// The 32 bytes at a bundle's end.
std::string footer(uint64_t offset, uint64_t length, uint64_t version = 1) {
  std::string bytes = "QTALEWTS";
  for (uint64_t value : {offset, length, version})
    for (int i = 0; i < 8; ++i)
      bytes += char(value >> (8 * i));
  return bytes;
}

} // namespace

TEST_F(Weights, MapsTheDataSection) {
  ASSERT_EQ(openHere(fakeWeights(), nullptr), QTALE_OK);
  int32_t scale;
  memcpy(&scale, model->weights.data(), sizeof(scale));
  EXPECT_EQ(scale, 3);
  EXPECT_EQ(model->weights.data()[64 + 63], 63);
  EXPECT_EQ(uintptr_t(model->weights.data()) % 64, 0u);
  EXPECT_EQ(model->weights.verify(nullptr), QTALE_OK);
}

TEST_F(Weights, LieBesideTheArtifact) {
  writeFile(folder / "m.so", "not read further");
  writeFile(folder / "fake.safetensors", fakeWeights());
  EXPECT_EQ(open(nullptr, nullptr), QTALE_OK);
}

TEST_F(Weights, OrInsideIt) {
  std::string elf(4096, 'e');
  writeFile(folder / "m.so", elf + fakeWeights() + footer(4096, 448));
  ASSERT_EQ(open(nullptr, nullptr), QTALE_OK);
  EXPECT_EQ(model->weights.data()[64 + 63], 63);
  EXPECT_EQ(model->weights.verify(nullptr), QTALE_OK);
}

TEST_F(Weights, BundlesThatLieAreRefused) {
  auto bundle = [&](const std::string &end, qtale_error *error) {
    writeFile(folder / "m.so", std::string(4096, 'e') + fakeWeights() + end);
    return open(error, nullptr);
  };
  EXPECT_FAILS(QTALE_CORRUPT, "version 2",
               bundle(footer(4096, 448, 2), &error));
  EXPECT_FAILS(QTALE_CORRUPT, "claims 448 bytes of weights at 4160",
               bundle(footer(4160, 448), &error));
  EXPECT_FAILS(QTALE_CORRUPT, "claims 18446744073709551615 bytes",
               bundle(footer(4096, UINT64_MAX), &error));
  EXPECT_FAILS(QTALE_CORRUPT, "have 384 bytes, this artifact's have 448",
               bundle(footer(4096, 384), &error));
}

TEST_F(Weights, MissingFilesAreNamed) {
  EXPECT_FAILS(QTALE_NOT_FOUND, "/nowhere/w: can't open the weights",
               open(&error, "/nowhere/w"));
  writeFile(folder / "m.so", "elf");
  EXPECT_FAILS(QTALE_NOT_FOUND, "fake.safetensors: can't open the weights",
               open(&error, nullptr));
  EXPECT_FAILS(QTALE_IO, "not a file", open(&error, "/tmp"));
  auto pipe = folder / "pipe";
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_FAILS(QTALE_IO, "not a file", open(&error, pipe.c_str()));
}

TEST_F(Weights, AnotherSizeIsRefused) {
  EXPECT_FAILS(QTALE_CORRUPT, "have 449 bytes, this artifact's have 448",
               openHere(fakeWeights() + "x", &error));
  EXPECT_FAILS(QTALE_CORRUPT, "have 0 bytes", openHere("", &error));
}

TEST_F(Weights, AnotherHeaderIsRefused) {
  std::string bytes = fakeWeights();
  bytes[0] ^= 1;
  EXPECT_FAILS(QTALE_CORRUPT, "header has 313 bytes, this artifact's has 312",
               openHere(bytes, &error));
  bytes = fakeWeights();
  bytes[319] = '\n'; // JSON does not mind
  EXPECT_FAILS(QTALE_CORRUPT,
               "this artifact's is 6f9ba7daf8bbf63f00a0e3ec1c1fe2f6e2a17e4256d9"
               "f59f86c619ab212dade6; compile again",
               openHere(bytes, &error));
}

TEST_F(Weights, VerifyFindsEveryAlteredByte) {
  for (size_t at = 320; at < 448; ++at) {
    std::string bytes = fakeWeights();
    bytes[at] ^= 0x40;
    ASSERT_EQ(openHere(bytes, nullptr), QTALE_OK);
    EXPECT_FAILS(QTALE_CORRUPT,
                 at < 384 ? "tensor 'scale' has the SHA-256"
                          : "tensor 'tail' has the SHA-256",
                 model->weights.verify(&error));
  }
}

TEST_F(Weights, VerifySeesAFileCutSinceItWasOpened) {
  ASSERT_EQ(openHere(fakeWeights(), nullptr), QTALE_OK);
  ASSERT_EQ(truncate((folder / "w").c_str(), 400), 0);
  EXPECT_FAILS(QTALE_CORRUPT, "cut since it was opened",
               model->weights.verify(&error));
  ASSERT_EQ(truncate((folder / "w").c_str(), 0), 0);
  EXPECT_FAILS(QTALE_CORRUPT, "cut since it was opened",
               model->weights.verify(&error));
}

TEST_F(Weights, AModelMayHaveNone) {
  qtale_module module = fake::module;
  module.weights_file = nullptr;
  ASSERT_EQ(openModel(module, "", nullptr, nullptr, &model, nullptr), QTALE_OK);
}
