//===- PrimitivesTest.cpp - Hashes, headers, messages ---------------------===//

#include "Error.h"
#include "Fixtures.h"
#include "SafetensorsHeader.h"
#include "Sha256.h"

#include <cstring>

using namespace qtale::rt;

static std::string sha256(const std::string &text, size_t piece) {
  Sha256 hash;
  for (size_t at = 0; at < text.size(); at += piece)
    hash.update(text.data() + at, std::min(piece, text.size() - at));
  return hexDigits(hash.finish().data());
}

// Vectors of FIPS 180-4 (NIST's examples).
TEST(Sha256, PublishedVectors) {
  EXPECT_EQ(sha256("", 1), "e3b0c44298fc1c149afbf4c8996fb924"
                           "27ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(sha256("abc", 3), "ba7816bf8f01cfea414140de5dae2223"
                              "b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(
      sha256("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 100),
      "248d6a61d20638b8e5c026930c3e6039"
      "a33ce45964ff2167f6ecedd419db06c1");
}

TEST(Sha256, MillionLettersInPiecesOfAnySize) {
  std::string letters(1000000, 'a');
  for (size_t piece : {1, 55, 63, 64, 65, 119, 1000000})
    EXPECT_EQ(sha256(letters, piece), "cdc76e5c9914fb9281a1c7e284d73e67"
                                      "f1809a48a497200e046d39ccc7112cd0");
}

static std::string problemOf(std::string_view json) {
  SafetensorsHeader header;
  size_t position;
  const char *problem = parseSafetensorsHeader(json, header, position);
  return problem ? problem : "";
}

TEST(SafetensorsHeader, ReadsNamesRangesAndMetadata) {
  SafetensorsHeader header;
  size_t position;
  ASSERT_EQ(parseSafetensorsHeader(
                R"( {"__metadata__" : {"k\u00e9\ud83d\ude00\n":"\"v\""},)"
                R"("a/b":{"data_offsets":[0,64],"dtype":"U8","shape":[64]},)"
                R"("":{"dtype":"U8","shape":[],"data_offsets":[64,64]}}   )",
                header, position),
            nullptr);
  EXPECT_EQ(header.metadata.at("k\xC3\xA9\xF0\x9F\x98\x80\n"), "\"v\"");
  EXPECT_EQ(header.tensors.size(), 2u);
  EXPECT_EQ(header.tensors.at("a/b").end, 64u);
  EXPECT_EQ(header.tensors.at("").begin, 64u);
}

TEST(SafetensorsHeader, SaysWhatIsWrong) {
  EXPECT_EQ(problemOf(""), "expected '{'");
  EXPECT_EQ(problemOf("{} x"), "text after the header's end");
  EXPECT_EQ(problemOf(R"({"a":{"dtype":"U8"}})"),
            "a tensor without a range of bytes");
  EXPECT_EQ(problemOf(R"({"a":{"data_offsets":[2,1]}})"),
            "a tensor without a range of bytes");
  EXPECT_EQ(problemOf(R"({"a":{"data_offsets":[0,99999999999999999999]}})"),
            "number beyond 64 bits");
  EXPECT_EQ(problemOf(R"({"a":{"data_offsets":[0,-1]}})"),
            "expected a whole number");
  EXPECT_EQ(problemOf(R"({"a":{"data_offsets":[0,1]},"a":{)"
                      R"("data_offsets":[0,1]}})"),
            "a tensor stands twice");
  EXPECT_EQ(problemOf(R"({"\ud800":{}})"), "half a surrogate pair");
  EXPECT_EQ(problemOf(R"({"\q":{}})"), "unknown escape in a string");
  EXPECT_EQ(problemOf(R"({"__metadata__":{"a":1}})"), "expected a string");
}

TEST(SafetensorsHeader, EveryCutIsAnErrorAndNoFlippedByteCrashes) {
  std::string json = fakeWeights().substr(8, 320 - 8);
  json.resize(json.rfind('}') + 1);
  ASSERT_EQ(problemOf(json), "");
  for (size_t length = 0; length < json.size(); ++length)
    EXPECT_NE(problemOf(json.substr(0, length)), "") << length;
  for (size_t at = 0; at < json.size(); ++at)
    for (int flip : {1, 2, 0x10, 0x20, 0x80}) {
      std::string altered = json;
      altered[at] ^= flip;
      problemOf(altered);
    }
}

TEST(Error, CutsLongMessagesAtWholeCharacters) {
  for (int shift = 0; shift < 4; ++shift) {
    std::string text(shift, 'a');
    while (text.size() < 600)
      text += "\xE2\x82\xAC"; // the euro sign
    qtale_error error;
    EXPECT_EQ(fail(&error, QTALE_IO, "%s", text.c_str()), QTALE_IO);
    size_t length = strlen(error.message);
    EXPECT_EQ((length - shift) % 3, 0u);
    EXPECT_GT(length, sizeof(error.message) - 4);
  }
  EXPECT_EQ(fail(nullptr, QTALE_LIMIT, "nobody listens"), QTALE_LIMIT);
}
