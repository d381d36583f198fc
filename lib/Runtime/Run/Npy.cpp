//===- Npy.cpp - NumPy's array files --------------------------------------===//
//
// The header is a Python dictionary with three known keys, so a scanner of
// words reads it. Everything is checked before memory is asked for: a shape
// can't ask for more than the file holds.
//
//===----------------------------------------------------------------------===//

#include "Npy.h"
#include "Numbers.h"
#include <cerrno>
#include <cstring>
#include <new>
#include <sys/stat.h>

using namespace qtale::run;

namespace {

struct Dtype {
  int32_t dtype;
  const char *name;
  const char *descr; /// as numpy.save writes it: V where NumPy has no such type
  uint64_t bytes;

  bool isVoid() const { return descr[1] == 'V'; }
};

constexpr Dtype kDtypes[] = {
    {QTALE_BOOL, "bool", "|b1", 1},
    {QTALE_INT8, "int8", "|i1", 1},
    {QTALE_UINT8, "uint8", "|u1", 1},
    {QTALE_INT16, "int16", "<i2", 2},
    {QTALE_UINT16, "uint16", "<u2", 2},
    {QTALE_INT32, "int32", "<i4", 4},
    {QTALE_UINT32, "uint32", "<u4", 4},
    {QTALE_INT64, "int64", "<i8", 8},
    {QTALE_UINT64, "uint64", "<u8", 8},
    {QTALE_FLOAT16, "float16", "<f2", 2},
    {QTALE_BFLOAT16, "bfloat16", "<V2", 2},
    {QTALE_FLOAT32, "float32", "<f4", 4},
    {QTALE_FLOAT64, "float64", "<f8", 8},
    {QTALE_FLOAT8_E4M3FN, "float8_e4m3fn", "<V1", 1},
    {QTALE_FLOAT8_E4M3FNUZ, "float8_e4m3fnuz", "<V1", 1},
    {QTALE_FLOAT8_E5M2, "float8_e5m2", "<V1", 1},
    {QTALE_FLOAT8_E5M2FNUZ, "float8_e5m2fnuz", "<V1", 1},
    {QTALE_FLOAT8_E8M0FNU, "float8_e8m0fnu", "<V1", 1},
    {QTALE_FLOAT6_E2M3FN, "float6_e2m3fn", "<V1", 1},
    {QTALE_FLOAT6_E3M2FN, "float6_e3m2fn", "<V1", 1},
    {QTALE_FLOAT4_E2M1FN, "float4_e2m1fn", "<V1", 1},
    {QTALE_INT4, "int4", "<V1", 1},
    {QTALE_UINT4, "uint4", "<V1", 1},
    {QTALE_INT2, "int2", "<V1", 1},
    {QTALE_UINT2, "uint2", "<V1", 1},
};

constexpr char kMagic[] = "\x93NUMPY";
constexpr size_t kMagicBytes = 6;

/// The words of the dictionary, one at a time.
class Scanner {
public:
  explicit Scanner(const std::string &text) : text(text) {}

  bool symbol(char wanted) {
    skip();
    if (at == text.size() || text[at] != wanted)
      return false;
    ++at;
    return true;
  }
  /// 'text' or "text", without escapes: none of the three keys needs one.
  bool string(std::string &value) {
    skip();
    if (at == text.size() || (text[at] != '\'' && text[at] != '"'))
      return false;
    size_t end = text.find(text[at], at + 1);
    if (end == std::string::npos)
      return false;
    value = text.substr(at + 1, end - at - 1);
    at = end + 1;
    return true;
  }
  /// A number or a name: up to the next mark.
  std::string word() {
    skip();
    size_t begin = at;
    at = std::min(text.find_first_of(" ,():{}'\"\n", at), text.size());
    return text.substr(begin, at - begin);
  }

private:
  void skip() {
    while (at < text.size() && (text[at] == ' ' || text[at] == '\n'))
      ++at;
  }

  const std::string &text;
  size_t at = 0;
};

struct File {
  std::FILE *file;
  ~File() {
    if (file)
      std::fclose(file);
  }
};

} // namespace

static const Dtype *findDtype(int32_t dtype) {
  for (const Dtype &known : kDtypes)
    if (known.dtype == dtype)
      return &known;
  return nullptr;
}

uint64_t qtale::run::elementBytes(int32_t dtype) {
  const Dtype *known = findDtype(dtype);
  return known ? known->bytes : 0;
}

const char *qtale::run::dtypeName(int32_t dtype) {
  const Dtype *known = findDtype(dtype);
  return known ? known->name : "an unknown dtype";
}

std::string qtale::run::shapeText(const qtale_tensor &tensor) {
  std::string text = "[";
  for (int32_t i = 0; i < tensor.rank; ++i)
    text += (i ? ", " : "") +
            (tensor.dims[i] < 0 ? "?" : std::to_string(tensor.dims[i]));
  return text + "]";
}

bool qtale::run::countElements(const qtale_tensor &tensor, uint64_t &count) {
  count = 1;
  for (int32_t i = 0; i < tensor.rank; ++i)
    if (tensor.dims[i] < 0 ||
        __builtin_mul_overflow(count, static_cast<uint64_t>(tensor.dims[i]),
                               &count))
      return false;
  return true;
}

/// "(2, 3)", "(2,)" or "()".
static std::string readShape(Scanner &scanner, qtale_tensor &tensor) {
  if (!scanner.symbol('('))
    return "its shape is no tuple";
  tensor.rank = 0;
  while (!scanner.symbol(')')) {
    int64_t dim;
    if (!parseWhole(scanner.word(), 0, INT64_MAX, dim))
      return "its shape holds something else than whole numbers";
    if (tensor.rank == QTALE_MAX_RANK)
      return "it has more than " + std::to_string(QTALE_MAX_RANK) +
             " dimensions";
    tensor.dims[tensor.rank++] = dim;
    scanner.symbol(',');
  }
  return "";
}

/// Types that NumPy lacks are void in files, or whole numbers of their size.
static bool holdsVoid(const Dtype &wanted, const std::string &descr) {
  return wanted.isVoid() && descr.size() == 3 &&
         (descr[0] != '>' || wanted.bytes == 1) &&
         (descr[1] == 'V' || descr[1] == 'u' ||
          (descr[1] == 'i' && wanted.bytes == 1)) &&
         descr[2] == wanted.descr[2];
}

static std::string readDtype(const std::string &descr, int32_t expected,
                             qtale_tensor &tensor) {
  const Dtype *wanted = findDtype(expected);
  if (wanted && holdsVoid(*wanted, descr)) {
    tensor.dtype = expected;
    return "";
  }
  for (const Dtype &known : kDtypes)
    // One byte has no order; all three marks are seen in files.
    if (!known.isVoid() && descr.size() == 3 &&
        descr.compare(1, 2, known.descr + 1) == 0 &&
        (descr[0] == known.descr[0] || (known.bytes == 1 && descr[0] != '>') ||
         descr[0] == '=')) {
      tensor.dtype = known.dtype;
      return "";
    }
  if (descr.compare(0, 1, ">") == 0)
    return "its numbers are big-endian (" + descr +
           "); save it with array.astype(array.dtype.newbyteorder('<'))";
  return "its dtype " + descr +
         " is not supported; NPY files hold bool, (u)int8 to 64, float16, "
         "float32 or float64 here, and V1 or V2 for inputs of types that NumPy "
         "lacks";
}

static std::string readDictionary(const std::string &text, int32_t expected,
                                  qtale_tensor &tensor) {
  Scanner scanner(text);
  if (!scanner.symbol('{'))
    return "its header is no dictionary";
  bool haveDtype = false, haveOrder = false, haveShape = false;
  while (!scanner.symbol('}')) {
    std::string key, value, wrong;
    if (!scanner.string(key) || !scanner.symbol(':'))
      return "its header is damaged";
    if (key == "descr") {
      if (!scanner.string(value))
        return "its elements are records, not numbers";
      wrong = readDtype(value, expected, tensor);
      haveDtype = true;
    } else if (key == "fortran_order") {
      value = scanner.word();
      if (value != "True" && value != "False")
        return "its header is damaged";
      if (value == "True")
        wrong = "it is in Fortran order; save numpy.ascontiguousarray(array)";
      haveOrder = true;
    } else if (key == "shape") {
      wrong = readShape(scanner, tensor);
      haveShape = true;
    } else {
      wrong = "its header has the unknown key '" + key + "'";
    }
    if (!wrong.empty())
      return wrong;
    scanner.symbol(',');
  }
  return haveDtype && haveOrder && haveShape ? "" : "its header is incomplete";
}

/// The header, up to the data.
static std::string readHeader(std::FILE *file, uint64_t fileBytes,
                              int32_t expected, qtale_tensor &tensor) {
  unsigned char begin[kMagicBytes + 6];
  if (std::fread(begin, 1, kMagicBytes + 4, file) != kMagicBytes + 4 ||
      std::memcmp(begin, kMagic, kMagicBytes) != 0)
    return "it is no NPY file";
  int version = begin[kMagicBytes];
  if (version < 1 || version > 3)
    return "it has the NPY version " + std::to_string(version) +
           ", but 1, 2 and 3 are supported";
  uint64_t length = begin[8] | begin[9] << 8;
  if (version > 1) {
    if (std::fread(begin + 10, 1, 2, file) != 2)
      return "it is cut off";
    length |= uint64_t(begin[10]) << 16 | uint64_t(begin[11]) << 24;
  }
  if (length > fileBytes)
    return "it is cut off";
  std::string header(length, 0);
  if (std::fread(&header[0], 1, length, file) != length)
    return "it is cut off";
  return readDictionary(header, expected, tensor);
}

static std::string readData(std::FILE *file, uint64_t fileBytes, Npy &array) {
  uint64_t count, bytes;
  if (!countElements(array.tensor, count) ||
      __builtin_mul_overflow(count, elementBytes(array.tensor.dtype), &bytes))
    return "its shape " + shapeText(array.tensor) + " is beyond any memory";
  uint64_t have = fileBytes - static_cast<uint64_t>(std::ftell(file));
  if (bytes != have)
    return "its shape " + shapeText(array.tensor) + " needs " +
           std::to_string(bytes) + " bytes of data, but it has " +
           std::to_string(have);
  // Compiled code may load whole vectors from an aligned begin.
  constexpr uint64_t alignment = 64;
  array.storage.reset(new (std::nothrow) char[bytes + alignment]);
  if (!array.storage)
    return "its " + std::to_string(bytes) + " bytes do not fit in memory";
  uint64_t address = reinterpret_cast<uintptr_t>(array.storage.get());
  char *data = array.storage.get() + (-address & (alignment - 1));
  if (std::fread(data, 1, bytes, file) != bytes)
    return std::string("it can't be read: ") + std::strerror(errno);
  array.tensor.data = data;
  return "";
}

std::string qtale::run::readNpy(const std::string &path, Npy &array,
                                int32_t expected) {
  File file{std::fopen(path.c_str(), "rb")};
  struct stat status;
  if (!file.file || fstat(fileno(file.file), &status) != 0)
    return "cannot open '" + path + "': " + std::strerror(errno);
  if (!S_ISREG(status.st_mode))
    return "cannot read '" + path + "': it is no ordinary file";
  uint64_t bytes = static_cast<uint64_t>(status.st_size);
  std::string wrong = readHeader(file.file, bytes, expected, array.tensor);
  if (wrong.empty())
    wrong = readData(file.file, bytes, array);
  return wrong.empty() ? "" : "cannot read '" + path + "': " + wrong;
}

std::string qtale::run::writeNpy(std::FILE *file, const qtale_tensor &tensor) {
  const Dtype *dtype = findDtype(tensor.dtype);
  if (!dtype)
    return std::string("NPY files can't hold ") + dtypeName(tensor.dtype);
  std::string header = std::string("{'descr': '") + dtype->descr +
                       "', 'fortran_order': False, 'shape': (";
  for (int32_t i = 0; i < tensor.rank; ++i)
    header += std::to_string(tensor.dims[i]) + (i + 1 < tensor.rank ? ", "
                                                : i == 0            ? ","
                                                                    : "");
  header += "), }";
  // Spaces and a newline, so that the data begins at a multiple of 64.
  size_t used = kMagicBytes + 4 + header.size() + 1;
  header.append((64 - used % 64) % 64, ' ');
  header += '\n';

  unsigned char begin[kMagicBytes + 4] = {};
  std::memcpy(begin, kMagic, kMagicBytes);
  begin[6] = 1;
  begin[8] = static_cast<unsigned char>(header.size());
  begin[9] = static_cast<unsigned char>(header.size() >> 8);
  uint64_t count;
  countElements(tensor, count);
  if (std::fwrite(begin, 1, sizeof(begin), file) != sizeof(begin) ||
      std::fwrite(header.data(), 1, header.size(), file) != header.size() ||
      std::fwrite(tensor.data, dtype->bytes, count, file) != count)
    return std::strerror(errno);
  return "";
}
