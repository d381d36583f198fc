//===- PrimitivesTest.cpp - Hash, half floats, boxes ----------------------===//

#include "../../lib/Runtime/Sha256.h"
#include "../../lib/Target/Box.h"
#include "../../lib/Target/Floats.h"

#include "llvm/ADT/APFloat.h"
#include "llvm/ADT/StringExtras.h"
#include <gtest/gtest.h>
#include <random>

using namespace qtale;
using qtale::rt::Sha256;

static std::string hashOf(llvm::StringRef text, bool useInstructions,
                          size_t piece) {
  Sha256 hash(useInstructions);
  for (; text.size() > piece; text = text.drop_front(piece))
    hash.update(text.data(), piece);
  hash.update(text.data(), text.size());
  return llvm::toHex(hash.finish(), /*LowerCase=*/true);
}

// Vectors published by NIST for FIPS 180-4.
TEST(Sha256, publishedVectors) {
  std::string million(1000000, 'a');
  const std::pair<std::string, const char *> vectors[] = {
      {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
      {"abc",
       "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
      {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
       "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
      {million,
       "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"}};
  for (auto &[text, digest] : vectors)
    for (size_t piece : {1u, 63u, 64u, 1000u}) {
      EXPECT_EQ(hashOf(text, false, piece), digest);
      if (Sha256::hasInstructions())
        EXPECT_EQ(hashOf(text, true, piece), digest);
    }
}

/// `value` in another format, by LLVM's own arithmetic.
static uint64_t rounded(llvm::APFloat value, const llvm::fltSemantics &format) {
  bool losesInfo;
  value.convert(format, llvm::APFloat::rmNearestTiesToEven, &losesInfo);
  return value.bitcastToAPInt().getZExtValue();
}

TEST(Floats, everyHalf) {
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    llvm::APFloat half(llvm::APFloat::IEEEhalf(), llvm::APInt(16, bits));
    if (half.isNaN()) {
      EXPECT_GT(floatBits(halfToFloat(bits)) & magnitudeMask, infinityBits);
      continue;
    }
    EXPECT_EQ(floatBits(halfToFloat(bits)),
              rounded(half, llvm::APFloat::IEEEsingle()));
    EXPECT_EQ(floatToHalf(halfToFloat(bits)), bits);
  }
}

template <typename Format>
static void everyCode(const llvm::fltSemantics &semantics) {
  for (uint32_t code = 0; code < 1u << Format::bits; ++code) {
    llvm::APFloat exact(semantics, llvm::APInt(Format::bits, code));
    uint32_t bits = floatBits(lowBitsToFloat<Format>(code));
    if (exact.isNaN())
      EXPECT_GT(bits & magnitudeMask, infinityBits) << code;
    else
      EXPECT_EQ(bits, rounded(exact, llvm::APFloat::IEEEsingle())) << code;
  }
}

TEST(Floats, everyCodeOfLowBitFloats) {
  everyCode<E4M3FN>(llvm::APFloat::Float8E4M3FN());
  everyCode<E4M3FNUZ>(llvm::APFloat::Float8E4M3FNUZ());
  everyCode<E5M2>(llvm::APFloat::Float8E5M2());
  everyCode<E5M2FNUZ>(llvm::APFloat::Float8E5M2FNUZ());
  everyCode<E8M0FNU>(llvm::APFloat::Float8E8M0FNU());
  everyCode<E2M3FN>(llvm::APFloat::Float6E2M3FN());
  everyCode<E3M2FN>(llvm::APFloat::Float6E3M2FN());
  everyCode<E2M1FN>(llvm::APFloat::Float4E2M1FN());
}

TEST(Floats, roundingOfFloats) {
  std::mt19937 random(1);
  for (int i = 0; i < 2000000; ++i) {
    uint32_t bits = random();
    // Half of them where half floats lie, with ties.
    if (i % 2)
      bits = (bits & 0x80003fff) | (0x32000000 + random() % 0x16000000);
    if (i % 4 == 3)
      bits = (bits & ~0x1fffu) | 0x1000;
    float value = bitsToFloat(bits);
    if (value != value) {
      EXPECT_GT(floatToHalf(value) & 0x7fff, 0x7c00);
      EXPECT_GT(floatToBfloat(value) & 0x7fff, 0x7f80);
      continue;
    }
    llvm::APFloat exact(value);
    ASSERT_EQ(floatToHalf(value), rounded(exact, llvm::APFloat::IEEEhalf()))
        << value;
    ASSERT_EQ(floatToBfloat(value), rounded(exact, llvm::APFloat::BFloat()))
        << value;
  }
}

TEST(Floats, doublesAreRoundedOnce) {
  std::mt19937_64 random(2);
  std::uniform_real_distribution<double> mantissa(-2, 2);
  for (int i = 0; i < 500000; ++i) {
    double value = std::ldexp(mantissa(random), int(random() % 60) - 40);
    if (i % 2) // near a tie of halves
      value = halfToFloat(random() & 0x77ff) * (1 + 0x1p-11) + value * 0x1p-60;
    llvm::APFloat exact(value);
    ASSERT_EQ(floatToHalf(doubleToOddFloat(value)),
              rounded(exact, llvm::APFloat::IEEEhalf()))
        << value;
    ASSERT_EQ(floatToBfloat(doubleToOddFloat(value)),
              rounded(exact, llvm::APFloat::BFloat()))
        << value;
  }
}

TEST(Box, rangesAreCoveredInOrder) {
  const Axes shape = {3, 4, 5};
  const Axes strides = denseStrides(shape);
  for (int64_t first = 0; first < 60; ++first)
    for (int64_t count = 0; first + count <= 60; ++count) {
      int64_t next = first, boxes = 0;
      forEachBoxOfRange(shape, first, count, [&](const Box &box, int64_t done) {
        EXPECT_EQ(first + done, next);
        EXPECT_EQ(dot(box.begin, strides), next);
        next += box.getElements();
        ++boxes;
      });
      EXPECT_EQ(next, first + count);
      EXPECT_LE(boxes, 5); // two for each axis, one in the middle
    }
}
