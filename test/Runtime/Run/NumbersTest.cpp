//===- NumbersTest.cpp - Numbers as users write them ----------------------===//

#include "Numbers.h"
#include "gtest/gtest.h"

using namespace qtale::run;

TEST(Numbers, WholeNumbersAreTakenStrictly) {
  int64_t value = 0;
  EXPECT_TRUE(parseWhole("42", 0, 100, value));
  EXPECT_EQ(value, 42);
  EXPECT_TRUE(parseWhole("-7", -10, 0, value));
  EXPECT_EQ(value, -7);
  for (const char *text : {"", "-", " 1", "1 ", "1.0", "0x10", "1e3", "+1",
                           "101", "-1", "99999999999999999999"})
    EXPECT_FALSE(parseWhole(text, 0, 100, value)) << text;
}

TEST(Numbers, RealNumbersAreFinite) {
  double value = 0;
  EXPECT_TRUE(parseReal("0.25", 0, 1, value));
  EXPECT_EQ(value, 0.25);
  EXPECT_TRUE(parseReal("1e-3", 0, 1, value));
  for (const char *text :
       {"", "nan", "inf", "-0.1", "1.5", "0.5x", "0x1p-2", " 0.5", "1e999"})
    EXPECT_FALSE(parseReal(text, 0, 1, value)) << text;
}

TEST(Numbers, IdsStandBetweenCommas) {
  std::vector<int32_t> ids;
  EXPECT_TRUE(parseIds("1, 2,2147483647", ids));
  EXPECT_EQ(ids, (std::vector<int32_t>{1, 2, 2147483647}));
  for (const char *text :
       {"", ",", "1,", "1,,2", "a", "1 2", "-1", "2147483648", " "}) {
    ids.clear();
    EXPECT_FALSE(parseIds(text, ids)) << '"' << text << '"';
  }
}
