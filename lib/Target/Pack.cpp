//===- Pack.cpp - Matrices in the order that kernels read -----------------===//
//
//   matrix [N, K]        blocks of rows x k, as f32       tiles of 16 rows
//   +---------+          (scratch; their shape follows    +----------------+
//   |  | b |  |   -->     the file, so that a source  --> | group 0        |
//   |  +---+  |           [K, N] is read in strips of     | group 1        |
//   +---------+           many columns)                   | …              |
//                                                         +----------------+
//
//   A model's own integers take the same way: small ones are exact in f32.
//
// The layout of tiles: QTaleAttributes.td, #qtale.packed.
//
//===----------------------------------------------------------------------===//

#include "Pack.h"
#include "Floats.h"

#include "llvm/Support/Endian.h"
#include <algorithm>
#include <cmath>

using namespace mlir;
using namespace qtale;
using llvm::Error;

namespace {

constexpr int64_t tileRows = PackedAttr::tileRows;
/// Integer kernels read 32 k at a time.
constexpr int64_t stepK = 32;

class Packer {
public:
  Packer(const PackInput &input, PackedAttr format, int64_t begin,
         int64_t count, uint8_t *out, llvm::MutableArrayRef<float> scratch)
      : input(input), matrix(*input.values), format(format),
        scheme(format.getScheme()), element(format.getFloat()),
        n(matrix.getShape()[0]), k(matrix.getShape()[1]), begin(begin),
        out(out), scratch(scratch), tileBytes(format.getTileBytes(k)) {
    rows = std::min(n - begin * tileRows, count * tileRows);
    if (scheme)
      group = scheme.getGroup();
    paddedRows = count * tileRows;
  }

  Error pack() {
    // Where the file's neighbours are rows, blocks are as high as possible;
    // otherwise as wide as possible.
    int64_t limit = scratch.size();
    int64_t blockRows = matrix.getFastAxis() == 0
                            ? std::min(rows, limit / minPackScratch)
                            : tileRows;
    blockRows = std::max(tileRows, blockRows / tileRows * tileRows);
    int64_t blockK = limit / blockRows - rowGap;
    blockK = std::min(blockK / 128 * 128, roundUp(k, 128));
    stride = blockK + rowGap;
    for (int64_t row = 0; row < rows; row += blockRows)
      for (int64_t first = 0; first < k; first += blockK)
        if (Error error = packBlock(row, std::min(blockRows, rows - row), first,
                                    std::min(blockK, k - first)))
          return error;
    return scheme && !input.hasScales() ? packEmptyRows() : Error::success();
  }

private:
  /// Rows of the scratch don't lie at powers of two, whose lines would all
  /// compete for one set of the cache.
  static constexpr int64_t rowGap = 16;

  Error packBlock(int64_t row, int64_t height, int64_t first, int64_t width) {
    Box box{{begin * tileRows + row, first}, {height, width}};
    if (Error error = matrix.read(
            box, {reinterpret_cast<char *>(scratch.data()), {stride, 1}}))
      return error;
    if (input.hasScales())
      return packModelIntegers(box);
    for (int64_t r = 0; r < height; ++r) {
      float *weights = scratch.data() + r * stride;
      if (format.getBytesType()) {
        packBytes(weights, row + r, first, width);
        continue;
      }
      Error error = scheme ? packInteger(weights, row + r, first, width)
                           : packFloat(weights, row + r, first, width);
      if (error)
        return error;
    }
    return Error::success();
  }

  uint8_t *tileOf(int64_t row) { return out + row / tileRows * tileBytes; }

  //===--- Integers -------------------------------------------------------===//

  Error packInteger(float *weights, int64_t row, int64_t first, int64_t width) {
    int64_t padded = roundUp(width, group);
    std::fill(weights + width, weights + padded, 0.0f);
    for (int64_t i = 0; i < padded; i += group) {
      uint8_t values[128], zero = 0;
      uint16_t scale = 0;
      switch (quantizeGroup(scheme, weights + i, values, scale, zero)) {
      case QuantizeProblem::None:
        break;
      case QuantizeProblem::NotFinite:
        return problem("is not a finite number", row, first + i);
      case QuantizeProblem::ScaleOverflow:
        return problem("needs a scale beyond float16 (65504)", row, first + i);
      }
      putGroup(row, first + i, values, halfToFloat(scale), zero);
    }
    return Error::success();
  }

  /// The scheme may hold half floats only: `scale` is one then.
  void putGroup(int64_t row, int64_t first, const uint8_t *values, float scale,
                uint8_t zero) {
    using namespace llvm::support::endian;
    int64_t lane = row % tileRows;
    uint8_t *at = tileOf(row) + first / group * format.getGroupBytes();
    if (scheme.getScales().isF16())
      write16le(at + 2 * lane, floatToHalf(scale));
    else
      write32le(at + 4 * lane, floatBits(scale));
    if (scheme.getAsymmetric())
      at[format.getZerosOffset() + lane] = zero;
    for (int64_t i = 0; i < group; i += stepK) {
      uint8_t *vectors = at + format.getValuesOffset() +
                         i * tileRows * scheme.getBits() / 8 + 4 * lane;
      const uint8_t *step = values + i;
      uint8_t halves[stepK / 2];
      int64_t bytes = stepK;
      if (scheme.getBits() == 4) {
        for (int64_t j = 0; j < stepK / 2; ++j)
          halves[j] = step[j] | step[j + stepK / 2] << 4;
        step = halves;
        bytes = stepK / 2;
      }
      for (int64_t j = 0; j < bytes / 4; ++j)
        memcpy(vectors + 64 * j, step + 4 * j, 4);
    }
  }

  /// The box is in the scratch. Rows beyond the matrix stay bytes of 0, and so
  /// have scales of 0.
  Error packModelIntegers(const Box &box) {
    int64_t height = box.size[0], width = box.size[1], first = box.begin[1];
    bool one = input.scale->getShape()[0] == 1;
    int64_t block = input.block ? input.block : roundUp(k, group);
    Box part{{one ? 0 : box.begin[0], first / block}, {one ? 1 : height, 0}};
    int64_t blocks = (first + width - 1) / block + 1 - part.begin[1];
    part.size[1] = blocks;
    std::vector<float> scales(part.getElements()), zeros;
    if (Error error = readSmall(*input.scale, part, scales))
      return error;
    if (input.zero) {
      zeros.resize(scales.size());
      if (Error error = readSmall(*input.zero, part, zeros))
        return error;
    }
    auto integer = cast<IntegerType>(matrix.getType().getElementType());
    int32_t bias = integer.isUnsigned() ? 0 : scheme.getBias();
    for (int64_t r = 0; r < height; ++r) {
      int64_t row = box.begin[0] + r - begin * tileRows;
      const float *from = scratch.data() + r * stride;
      for (int64_t i = 0; i < width; i += group) {
        int64_t at = (first + i) / block - part.begin[1];
        at += one ? 0 : r * blocks;
        if ((floatBits(scales[at]) & magnitudeMask) >= infinityBits)
          return problem("has a scale that is not a finite number", row,
                         first + i);
        uint8_t values[128];
        int32_t zero = bias + (input.zero ? int32_t(zeros[at]) : 0);
        int64_t count = std::min(group, width - i);
        for (int64_t j = 0; j < count; ++j)
          values[j] = int32_t(from[i + j]) + bias;
        // Padding is worth 0.
        std::fill(values + count, values + group, uint8_t(zero));
        putGroup(row, first + i, values, scales[at], zero);
      }
    }
    return Error::success();
  }

  static Error readSmall(const Reader &reader, const Box &box,
                         std::vector<float> &to) {
    return reader.read(
        box, {reinterpret_cast<char *>(to.data()), denseStrides(box.size)});
  }

  /// Rows beyond the matrix are rows of zeros.
  Error packEmptyRows() {
    std::vector<float> zeros(roundUp(k, group), 0.0f);
    for (int64_t row = rows; row < paddedRows; ++row)
      if (Error error = packInteger(zeros.data(), row, 0, k))
        return error;
    return Error::success();
  }

  //===--- Bytes ----------------------------------------------------------===//

  /// Adds to the row's sum what it stores.
  void packBytes(const float *weights, int64_t row, int64_t first,
                 int64_t width) {
    int bias = format.getBytesType().isUnsigned() ? 0 : 128;
    int64_t lane = row % tileRows;
    uint8_t *tile = tileOf(row), *values = tile + PackedAttr::sumBytes;
    uint32_t sum = llvm::support::endian::read32le(tile + 4 * lane);
    for (int64_t k = first; k < first + width; ++k) {
      uint8_t value = int(weights[k - first]) + bias;
      values[k / 4 * 4 * tileRows + 4 * lane + k % 4] = value;
      sum += value;
    }
    llvm::support::endian::write32le(tile + 4 * lane, sum);
  }

  //===--- Floats ---------------------------------------------------------===//

  Error packFloat(const float *weights, int64_t row, int64_t first,
                  int64_t width) {
    uint32_t largest = 0;
    if (element.isF32())
      largest = putLane<uint32_t>(weights, row, first, width, floatBits,
                                  [](uint32_t bits) { return bits; });
    else if (element.isF16())
      largest = putLane<uint16_t>(
          weights, row, first, width, floatToHalf,
          [](uint16_t half) { return floatBits(halfToFloat(half)); });
    else
      largest = putLane<uint16_t>(
          weights, row, first, width, floatToBfloat,
          [](uint16_t bfloat) { return uint32_t(bfloat) << 16; });
    if (largest < infinityBits || element.isF32())
      return Error::success();
    return checkLost(weights, row, first, width);
  }

  /// Infinities that a model has are kept, as masks have them, but none is made
  /// of what was finite.
  Error checkLost(const float *weights, int64_t row, int64_t first,
                  int64_t width) {
    std::vector<float> given(weights, weights + width);
    if (input.wide) {
      Box line{{begin * tileRows + row, first}, {1, width}};
      if (Error error = readSmall(*input.wide, line, given))
        return error;
    }
    for (int64_t i = 0; i < width; ++i) {
      float stored = element.isF16() ? halfToFloat(floatToHalf(weights[i]))
                                     : bfloatToFloat(floatToBfloat(weights[i]));
      if (std::isfinite(given[i]) && !std::isfinite(stored))
        return problem("is beyond the weights' type", row, first);
    }
    return Error::success();
  }

  /// Returns the largest magnitude stored, as bits of a float.
  template <typename Bits, typename Round, typename Magnitude>
  uint32_t putLane(const float *weights, int64_t row, int64_t first,
                   int64_t width, Round round, Magnitude magnitude) {
    uint8_t *lane =
        tileOf(row) + (first * tileRows + row % tileRows) * sizeof(Bits);
    uint32_t largest = 0;
    for (int64_t i = 0; i < width; ++i) {
      Bits bits = round(weights[i]);
      largest = std::max(largest, magnitude(bits) & magnitudeMask);
      memcpy(lane + i * tileRows * sizeof(Bits), &bits, sizeof(Bits));
    }
    return largest;
  }

  Error problem(const char *what, int64_t row, int64_t first) {
    return llvm::createStringError(
        "a value of its row " + Twine(begin * tileRows + row) +
        ", from column " + Twine(first) + " on, " + what);
  }

  const PackInput &input;
  const Reader &matrix;
  PackedAttr format;
  IntAttr scheme;
  FloatType element;
  int64_t n, k, begin;
  uint8_t *out;
  llvm::MutableArrayRef<float> scratch;
  int64_t tileBytes, rows, paddedRows, stride = 0;
  int64_t group = 0;
};

} // namespace

llvm::Expected<PackInput> qtale::makePackInput(RecipeAttrInterface recipe,
                                               SourceFiles &files) {
  PackInput input;
  Error error = Error::success();
  auto read = [&](std::unique_ptr<Reader> &reader, RecipeAttrInterface part) {
    if (error || !part)
      return;
    auto made = makeReader(part, files);
    if (made)
      reader = std::move(*made);
    else
      error = made.takeError();
  };
  if (auto integers = dyn_cast<IntegersAttr>(recipe)) {
    read(input.values, integers.getValues());
    read(input.scale, integers.getScale());
    read(input.zero, integers.getZero());
    input.block = integers.getBlock();
  } else {
    // Integers are found while packing.
    auto quantize = dyn_cast<QuantizeAttr>(recipe);
    read(input.values, quantize ? quantize.getInput() : recipe);
    if (auto cast = dyn_cast<CastAttr>(recipe))
      read(input.wide, cast.getInput());
  }
  if (error)
    return std::move(error);
  return std::move(input);
}

Error qtale::packTiles(const PackInput &input, PackedAttr format, int64_t begin,
                       int64_t count, uint8_t *out,
                       llvm::MutableArrayRef<float> scratch) {
  return Packer(input, format, begin, count, out, scratch).pack();
}
