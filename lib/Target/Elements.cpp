//===- Elements.cpp - Plain tensors, element by element -------------------===//
//
//   moved only    file --bits--> out
//   computed      recipe --f32--> scratch --rounded--> out
//
//===----------------------------------------------------------------------===//

#include "Elements.h"
#include "Floats.h"

using namespace mlir;
using namespace qtale;
using llvm::Error;

template <typename T, typename Round>
static void store(llvm::ArrayRef<float> values, uint8_t *out, Round round) {
  for (size_t i = 0; i < values.size(); ++i) {
    T bits = round(values[i]);
    memcpy(out + i * sizeof(T), &bits, sizeof(T));
  }
}

static void storeAs(Type type, llvm::ArrayRef<float> values, uint8_t *out) {
  if (type.isF16())
    store<uint16_t>(values, out, floatToHalf);
  else if (type.isBF16())
    store<uint16_t>(values, out, floatToBfloat);
  else if (type.isInteger(8)) // unpacked codes
    store<uint8_t>(values, out, [](float code) { return uint8_t(code); });
  else
    store<uint32_t>(values, out, floatBits);
}

/// Reads a range as boxes, dense one after the other.
static Error readRange(const Reader &tensor, int64_t first, int64_t count,
                       char *data, unsigned rawBytes) {
  Error error = Error::success();
  forEachBoxOfRange(tensor.getShape(), first, count,
                    [&](const Box &box, int64_t before) {
                      if (error)
                        return;
                      Destination to{data, denseStrides(box.size), rawBytes};
                      error = tensor.read(box, to.at(before));
                    });
  return error;
}

Error qtale::readElements(const Reader &tensor, int64_t first, int64_t count,
                          uint8_t *out, llvm::MutableArrayRef<float> scratch) {
  Type type = tensor.getType().getElementType();
  unsigned bytes = llvm::divideCeil(type.getIntOrFloatBitWidth(), 8);
  if (tensor.isRaw())
    return readRange(tensor, first, count, reinterpret_cast<char *>(out),
                     bytes);
  for (int64_t done = 0; done < count;) {
    int64_t step = std::min<int64_t>(count - done, scratch.size());
    if (Error error = readRange(tensor, first + done, step,
                                reinterpret_cast<char *>(scratch.data()), 0))
      return error;
    storeAs(type, scratch.take_front(step), out + done * bytes);
    done += step;
  }
  return Error::success();
}
