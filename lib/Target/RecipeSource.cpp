//===- RecipeSource.cpp - Elements of files, as f32 or bit by bit ---------===//
//
//   file, row-major          destination, any strides
//   c ─────────────▶
//   |  e e e e │ e e         dense along c: whole rows are converted
//   |  e e e e │ e e         dense along another axis: columns go in strips of
//   ▼  e e e e │ e e         16, so that a cache line of the file is read once
//
//===----------------------------------------------------------------------===//

#include "Floats.h"
#include "Recipe.h"

#include <algorithm>

using namespace mlir;
using namespace qtale;
using llvm::Error;
using llvm::Expected;

namespace {

/// Bytes of files have any alignment.
template <typename T> T load(const char *data, int64_t index) {
  T value;
  memcpy(&value, data + index * sizeof(T), sizeof(T));
  return value;
}

// How one element of a file becomes a number.
template <typename T> struct Number {
  using Out = float;
  static Out get(const char *data, int64_t i) {
    return static_cast<float>(load<T>(data, i));
  }
};
struct OddDouble {
  using Out = float;
  static Out get(const char *data, int64_t i) {
    return doubleToOddFloat(load<double>(data, i));
  }
};
struct Half {
  using Out = float;
  static Out get(const char *data, int64_t i) {
    return halfToFloat(load<uint16_t>(data, i));
  }
};
struct Bfloat {
  using Out = float;
  static Out get(const char *data, int64_t i) {
    return bfloatToFloat(load<uint16_t>(data, i));
  }
};
/// Elements of `bits` one after the other, low bits first, across bytes.
template <unsigned bits> struct Packed {
  static unsigned code(const char *data, int64_t i) {
    uint64_t first = static_cast<uint64_t>(i) * bits;
    unsigned shift = first % 8, word = static_cast<uint8_t>(data[first / 8]);
    if constexpr (8 % bits != 0)
      if (shift + bits > 8)
        word |= unsigned(static_cast<uint8_t>(data[first / 8 + 1])) << 8;
    return word >> shift & ((1u << bits) - 1);
  }
};
template <unsigned bits, bool isSigned> struct Short {
  using Out = float;
  static Out get(const char *data, int64_t i) {
    constexpr int sign = isSigned ? 1 << (bits - 1) : 0;
    int value = Packed<bits>::code(data, i);
    return static_cast<float>((value ^ sign) - sign);
  }
};
template <typename Format> struct LowFloat {
  using Out = float;
  static Out get(const char *data, int64_t i) {
    return lowBitsToFloat<Format>(Packed<Format::bits>::code(data, i));
  }
};
template <typename T> struct Bits {
  using Out = T;
  static Out get(const char *data, int64_t i) { return load<T>(data, i); }
};

/// Two axes of a box: `columns` neighbours in the file, `rows` at a distance.
struct Sheet {
  int64_t rows, columns;
  int64_t first;     // element of the file
  int64_t rowStride; // of the file, in elements
  int64_t toRow, toColumn;
};

using Copy = void (*)(const char *, const Sheet &, char *);

template <typename From>
void copySheet(const char *data, const Sheet &sheet, char *to) {
  using Out = typename From::Out;
  Out *out = reinterpret_cast<Out *>(to);
  if (sheet.toColumn == 1) {
    for (int64_t r = 0; r < sheet.rows; ++r) {
      int64_t first = sheet.first + r * sheet.rowStride;
      Out *row = out + r * sheet.toRow;
      for (int64_t c = 0; c < sheet.columns; ++c)
        row[c] = From::get(data, first + c);
    }
    return;
  }
  constexpr int64_t strip = 16;
  Out line[strip];
  for (int64_t c0 = 0; c0 < sheet.columns; c0 += strip) {
    int64_t width = std::min(strip, sheet.columns - c0);
    Out *column = out + c0 * sheet.toColumn;
    for (int64_t r = 0; r < sheet.rows; ++r) {
      int64_t first = sheet.first + r * sheet.rowStride + c0;
      if (width == strip) {
        for (int64_t c = 0; c < strip; ++c)
          line[c] = From::get(data, first + c);
      } else {
        for (int64_t c = 0; c < width; ++c)
          line[c] = From::get(data, first + c);
      }
      for (int64_t c = 0; c < width; ++c)
        column[c * sheet.toColumn + r * sheet.toRow] = line[c];
    }
  }
}

Copy numberCopy(Type type, bool oddRounding) {
  if (type.isF64())
    return oddRounding ? copySheet<OddDouble> : copySheet<Number<double>>;
  if (type.isF32())
    return copySheet<Number<float>>;
  if (type.isF16())
    return copySheet<Half>;
  if (type.isBF16())
    return copySheet<Bfloat>;
  if (isa<Float8E4M3FNType>(type))
    return copySheet<LowFloat<E4M3FN>>;
  if (isa<Float8E4M3FNUZType>(type))
    return copySheet<LowFloat<E4M3FNUZ>>;
  if (isa<Float8E5M2Type>(type))
    return copySheet<LowFloat<E5M2>>;
  if (isa<Float8E5M2FNUZType>(type))
    return copySheet<LowFloat<E5M2FNUZ>>;
  if (isa<Float8E8M0FNUType>(type))
    return copySheet<LowFloat<E8M0FNU>>;
  if (isa<Float6E2M3FNType>(type))
    return copySheet<LowFloat<E2M3FN>>;
  if (isa<Float6E3M2FNType>(type))
    return copySheet<LowFloat<E3M2FN>>;
  if (isa<Float4E2M1FNType>(type))
    return copySheet<LowFloat<E2M1FN>>;
  auto integer = cast<IntegerType>(type);
  bool isUnsigned = integer.isUnsigned();
  switch (integer.getWidth()) {
  case 64:
    return isUnsigned ? copySheet<Number<uint64_t>>
                      : copySheet<Number<int64_t>>;
  case 32:
    return isUnsigned ? copySheet<Number<uint32_t>>
                      : copySheet<Number<int32_t>>;
  case 16:
    return isUnsigned ? copySheet<Number<uint16_t>>
                      : copySheet<Number<int16_t>>;
  case 8:
    return isUnsigned ? copySheet<Number<uint8_t>> : copySheet<Number<int8_t>>;
  case 6: // codes of floats
    return copySheet<Short<6, false>>;
  case 4:
    return isUnsigned ? copySheet<Short<4, false>> : copySheet<Short<4, true>>;
  case 2:
    return isUnsigned ? copySheet<Short<2, false>> : copySheet<Short<2, true>>;
  default: // i1 is a byte
    return copySheet<Number<uint8_t>>;
  }
}

Copy bitsCopy(unsigned bytes) {
  switch (bytes) {
  case 8:
    return copySheet<Bits<uint64_t>>;
  case 4:
    return copySheet<Bits<uint32_t>>;
  case 2:
    return copySheet<Bits<uint16_t>>;
  default:
    return copySheet<Bits<uint8_t>>;
  }
}

class Source : public Reader {
public:
  Source(RankedTensorType type, const char *data, bool oddRounding,
         SourceFiles &files)
      : Reader(type), data(data), strides(denseStrides(type.getShape())),
        number(numberCopy(type.getElementType(), oddRounding)), files(files) {}

  bool isRaw() const override {
    unsigned bits = getType().getElementTypeBitWidth();
    return bits == 1 || bits >= 8;
  }
  unsigned getFastAxis() const override {
    return strides.empty() ? 0 : strides.size() - 1;
  }

  Error read(const Box &box, const Destination &to) const override {
    int64_t rank = box.size.size();
    Sheet sheet{1, 1, 0, 0, 0, 1};
    // The columns are the last axis; the rows the one that is dense in the
    // destination, or the last but one.
    Axes outer(box.size), begin(box.begin);
    if (rank > 0) {
      sheet.columns = box.size[rank - 1];
      sheet.toColumn = to.strides[rank - 1];
      outer[rank - 1] = 1;
    }
    if (rank > 1) {
      int64_t axis = rank - 2;
      for (int64_t i = 0; i < rank - 1; ++i)
        if (to.strides[i] == 1 && box.size[i] > 1)
          axis = i;
      sheet.rows = box.size[axis];
      sheet.rowStride = strides[axis];
      sheet.toRow = to.strides[axis];
      outer[axis] = 1;
    }
    if (sheet.columns == 1)
      sheet.toColumn = 1;

    Copy copy = to.rawBytes ? bitsCopy(to.rawBytes) : number;
    int64_t first = dot(begin, strides);
    forEachIndex(outer, [&](ArrayRef<int64_t> index) {
      sheet.first = first + dot(index, strides);
      copyParts(copy, sheet, to.at(dot(index, to.strides)));
    });
    return Error::success();
  }

private:
  /// Reports every few rows: those of a strip lie far apart, and each one maps
  /// its neighbourhood.
  void copyParts(Copy copy, Sheet sheet, Destination to) const {
    int64_t bits = std::max(getType().getElementTypeBitWidth(), 8u);
    int64_t rowBytes = sheet.columns * bits / 8;
    int64_t step = std::min(sheet.rowStride * bits / 8,
                            rowBytes + SourceFiles::faultBytes);
    int64_t part = SourceFiles::reportBytes / std::max<int64_t>(step, 1);
    part = std::clamp<int64_t>(part, 1, sheet.rows);
    for (int64_t left = sheet.rows; left > 0; left -= part) {
      sheet.rows = std::min(part, left);
      copy(data, sheet, to.data);
      files.touched((sheet.rows - 1) * step + rowBytes);
      sheet.first += part * sheet.rowStride;
      to = to.at(part * sheet.toRow);
    }
  }

  const char *data;
  Axes strides;
  Copy number;
  SourceFiles &files;
};

} // namespace

Expected<std::unique_ptr<Reader>> qtale::makeSourceReader(SourceAttr source,
                                                          RankedTensorType type,
                                                          bool oddRounding,
                                                          SourceFiles &files) {
  Expected<const char *> data = files.map(
      source.getFile().getValue(), source.getOffset(), source.getBytes());
  if (!data)
    return data.takeError();
  return std::make_unique<Source>(type, *data, oddRounding, files);
}
