//===- NpyTest.cpp - NumPy's array files ----------------------------------===//
//
// Files that NumPy itself reads and writes are tested in test_function.py;
// here stand those that it would not write.
//
//===----------------------------------------------------------------------===//

#include "Npy.h"
#include "gtest/gtest.h"
#include <cstdlib>
#include <unistd.h>

using namespace qtale::run;

namespace {
class NpyFile : public testing::Test {
protected:
  NpyFile() {
    int file = mkstemp(path);
    close(file);
  }
  ~NpyFile() override { unlink(path); }

  /// What reading a file with these bytes says.
  std::string read(const std::string &bytes, int32_t expected = 0) {
    FILE *file = fopen(path, "wb");
    fwrite(bytes.data(), 1, bytes.size(), file);
    fclose(file);
    array = Npy();
    return readNpy(path, array, expected);
  }

  /// A file of version 1 with this dictionary.
  std::string version1(const std::string &dictionary, const std::string &data) {
    return std::string("\x93NUMPY\x01\x00", 8) + char(dictionary.size()) +
           char(dictionary.size() >> 8) + dictionary + data;
  }
  std::string dictionary(const std::string &descr, const std::string &shape,
                         const std::string &order = "False") {
    return "{'descr': '" + descr + "', 'fortran_order': " + order +
           ", 'shape': " + shape + ", }\n";
  }

  char path[32] = "/tmp/qtale-npy-XXXXXX";
  Npy array;
};
} // namespace

TEST_F(NpyFile, OtherVersionsAndSpellings) {
  std::string words = "{ \"shape\":(2,),'fortran_order':False,"
                      "'descr':\"|u1\"}";
  EXPECT_EQ(read(version1(words, "ab")), "");
  EXPECT_EQ(array.tensor.dtype, QTALE_UINT8);
  EXPECT_EQ(static_cast<char *>(array.tensor.data)[1], 'b');
  std::string version2 = std::string("\x93NUMPY\x02\x00", 8) +
                         char(words.size()) + std::string(3, 0) + words + "ab";
  EXPECT_EQ(read(version2), "");
  EXPECT_EQ(array.tensor.dims[0], 2);
}

TEST_F(NpyFile, DataIsAlignedForVectors) {
  EXPECT_EQ(read(version1(dictionary("<f4", "()"), "abcd")), "");
  EXPECT_EQ(array.tensor.rank, 0);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(array.tensor.data) % 64, 0u);
}

TEST_F(NpyFile, RefusesWithAReason) {
  const std::pair<std::string, const char *> cases[] = {
      {"", "it is no NPY file"},
      {"\x93NUMPY", "it is no NPY file"},
      {std::string("\x93NUMPY\x09\x00\x01\x00", 10), "NPY version 9"},
      {std::string("\x93NUMPY\x01\x00\xff\xff{", 11), "it is cut off"},
      {version1(dictionary("<f4", "(2, 2)", "True"), std::string(16, 0)),
       "Fortran order"},
      {version1(dictionary(">f4", "(1,)"), "abcd"), "big-endian (>f4)"},
      {version1(dictionary("<c8", "(1,)"), "abcdefgh"), "dtype <c8"},
      {version1(dictionary("<V2", "(1,)"), "ab"), "types that NumPy lacks"},
      {version1(dictionary("<f4", "(2,)"), "abcd"),
       "needs 8 bytes of data, but it has 4"},
      {version1(dictionary("<f4", "(1,)"), "abcdefgh"),
       "needs 4 bytes of data, but it has 8"},
      {version1(dictionary("<f8", "(4611686018427387904, 8)"), ""),
       "beyond any memory"},
      {version1(dictionary("<f8", "(4611686018427387904,)"), ""),
       "beyond any memory"},
      {version1(dictionary("<f4", "(-1,)"), ""), "whole numbers"},
      {version1(dictionary("<f4", "(1,1,1,1,1,1,1,1,1)"), "abcd"),
       "more than 8 dimensions"},
      {version1("{'descr': [('a', '<f4')]}", ""), "records"},
      {version1("{'descr': '<f4'}", "abcd"), "incomplete"},
      {version1("{'descr': '<f4'", "abcd"), "damaged"},
      {version1("{'descr': '<f4', 'x': 1}", "abcd"), "unknown key 'x'"},
      {version1("('descr')", "abcd"), "no dictionary"}};
  for (const auto &[bytes, reason] : cases) {
    std::string said = read(bytes);
    EXPECT_NE(said.find(reason), std::string::npos) << reason << " / " << said;
    EXPECT_NE(said.find(path), std::string::npos) << said;
  }
}

TEST_F(NpyFile, EveryCutIsRefused) {
  std::string bytes = version1(dictionary("<f4", "(2,)"), "abcdefgh");
  for (size_t length = 0; length < bytes.size(); ++length)
    EXPECT_NE(read(bytes.substr(0, length)), "") << length;
}

TEST_F(NpyFile, NoFileAndAFolder) {
  EXPECT_EQ(readNpy("/absent.npy", array),
            "cannot open '/absent.npy': No such file or directory");
  EXPECT_EQ(readNpy("/tmp", array),
            "cannot read '/tmp': it is no ordinary file");
}

TEST_F(NpyFile, VoidStandsForTheTypeThatIsExpected) {
  const std::pair<const char *, int32_t> cases[] = {
      {"<V1", QTALE_INT4}, {"|V1", QTALE_FLOAT8_E5M2}, {"|u1", QTALE_UINT2},
      {"|i1", QTALE_INT4}, {"<V2", QTALE_BFLOAT16},    {"<u2", QTALE_BFLOAT16},
  };
  for (auto [descr, dtype] : cases) {
    std::string data(descr[2] - '0', 'a');
    EXPECT_EQ(read(version1(dictionary(descr, "(1,)"), data), dtype), "");
    EXPECT_EQ(array.tensor.dtype, dtype) << descr;
  }
  // Types that NumPy has are as the file says.
  EXPECT_EQ(read(version1(dictionary("|u1", "(1,)"), "a"), QTALE_INT8), "");
  EXPECT_EQ(array.tensor.dtype, QTALE_UINT8);
  for (const char *descr : {"<V2", "<i2", ">u2", "<V1"}) {
    std::string data(descr[2] - '0', 'a');
    int32_t dtype =
        descr[1] == 'V' && descr[2] == '2' ? QTALE_INT4 : QTALE_BFLOAT16;
    (void)read(version1(dictionary(descr, "(1,)"), data), dtype);
    EXPECT_NE(array.tensor.dtype, dtype) << descr;
  }
}
