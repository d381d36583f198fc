//===- JsonTest.cpp - The model's description, for people -----------------===//

#include "Json.h"
#include "gtest/gtest.h"

using namespace qtale::run;

TEST(Json, AnObjectIsATable) {
  EXPECT_EQ(jsonTable(R"({"hash": "12\u00e9\"", "levels": ["a", "b"],
      "inputs": [{"name": "x", "dtype": "float32", "shape": [-1, 3]},
                 {"name": "y", "dtype": "bool", "shape": []}],
      "weights": {"file": "m.safetensors", "bytes": 3145728},
      "session": null})"),
            "hash     12\u00e9\"\n"
            "levels   [a, b]\n"
            "inputs   x, float32, shape [-1, 3]\n"
            "         y, bool, shape []\n"
            "weights  file m.safetensors, bytes 3145728 (3.0 MiB)\n"
            "session  none\n");
}

TEST(Json, WhatIsNoObjectStaysAsItIs) {
  for (std::string text : {"", "[1]", "{", "{\"a\" 1}", "{\"a\": }", "{} x",
                           "{\"a\": \"\\", "{\"a\": \"\\u12"})
    EXPECT_EQ(jsonTable(text), text + "\n");
  std::string deep = "{\"a\":" + std::string(100000, '[');
  EXPECT_EQ(jsonTable(deep), deep + "\n");
}
