//===- TextStreamTest.cpp - Expected: Python's bytes.decode(errors=replace) //

#include "TextStream.h"
#include "gtest/gtest.h"

using qtale::run::TextStream;

static std::string whole(const std::string &bytes) {
  TextStream stream;
  std::string text = stream.push(bytes);
  return text + stream.finish();
}

static std::string byteByByte(const std::string &bytes) {
  TextStream stream;
  std::string text;
  for (char byte : bytes)
    text += stream.push(std::string(1, byte));
  return text + stream.finish();
}

TEST(TextStream, HoldsACharacterBackUntilItIsWhole) {
  TextStream stream;
  EXPECT_EQ(stream.push("a\xe2"), "a");
  EXPECT_EQ(stream.push("\x82"), "");
  EXPECT_EQ(stream.push("\xac!"), "\u20ac!");
  EXPECT_EQ(stream.push("\xf0\x9f\x98"), "");
  EXPECT_EQ(stream.push("\x80"), "\U0001f600");
  EXPECT_EQ(stream.finish(), "");
}

TEST(TextStream, ReplacesWhatIsNoCharacter) {
  const std::pair<const char *, const char *> cases[] = {
      {"\xff", "\ufffd"},
      {"\xc3(", "\ufffd("},
      {"\xe2\x82", "\ufffd"},
      {"\xe2\x82z", "\ufffdz"},
      {"\xf0\x9f\x98\xc3\xa9", "\ufffd\u00e9"},
      {"\xed\xa0\x80", "\ufffd\ufffd\ufffd"},           // a surrogate
      {"\xc0\xaf", "\ufffd\ufffd"},                     // overlong
      {"\xe0\x80\x80", "\ufffd\ufffd\ufffd"},           // overlong
      {"\xf4\x90\x80\x80", "\ufffd\ufffd\ufffd\ufffd"}, // above 10FFFF
      {"\x80\x80", "\ufffd\ufffd"},
      {"\xe1\x80\xe1\x80\x80", "\ufffd\u1000"}};
  for (auto [bytes, text] : cases) {
    EXPECT_EQ(whole(bytes), text);
    EXPECT_EQ(byteByByte(bytes), text);
  }
}
