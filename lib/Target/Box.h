//===- Box.h - Parts of a tensor, and walks over them ---------------------===//

#ifndef QTALE_LIB_TARGET_BOX_H
#define QTALE_LIB_TARGET_BOX_H

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/SmallVector.h"
#include <cstdint>

namespace qtale {

using Axes = llvm::SmallVector<int64_t, 4>;

/// `size[i]` elements from `begin[i]` on, for each axis i.
struct Box {
  Axes begin, size;

  int64_t getElements() const {
    int64_t count = 1;
    for (int64_t extent : size)
      count *= extent;
    return count;
  }
};

/// Strides, in elements, of a dense row-major array.
inline Axes denseStrides(llvm::ArrayRef<int64_t> shape) {
  Axes strides(shape.size(), 1);
  for (int64_t i = int64_t(shape.size()) - 2; i >= 0; --i)
    strides[i] = strides[i + 1] * shape[i + 1];
  return strides;
}

/// Calls body(index) for every index below `size`, in row-major order.
template <typename Body>
void forEachIndex(llvm::ArrayRef<int64_t> size, Body body) {
  for (int64_t extent : size)
    if (extent == 0)
      return;
  Axes index(size.size(), 0);
  while (true) {
    body(llvm::ArrayRef<int64_t>(index));
    int64_t axis = int64_t(size.size()) - 1;
    for (; axis >= 0 && ++index[axis] == size[axis]; --axis)
      index[axis] = 0;
    if (axis < 0)
      return;
  }
}

inline int64_t dot(llvm::ArrayRef<int64_t> a, llvm::ArrayRef<int64_t> b) {
  int64_t sum = 0;
  for (size_t i = 0; i < a.size(); ++i)
    sum += a[i] * b[i];
  return sum;
}

/// Cuts `count` elements, from element `first` of a row-major tensor on, into
/// boxes, and calls body(box, elements before it).
template <typename Body>
void forEachBoxOfRange(llvm::ArrayRef<int64_t> shape, int64_t first,
                       int64_t count, Body body) {
  Axes inner = denseStrides(shape);
  size_t rank = shape.size();
  for (int64_t done = 0; done < count;) {
    Box box;
    int64_t at = first + done, left = count - done;
    // The outermost axis on which whole steps fit, from here on.
    size_t axis = 0;
    while (axis < rank && (at % inner[axis] != 0 || left < inner[axis]))
      ++axis;
    int64_t taken = 1;
    for (size_t i = 0; i < rank; ++i) {
      int64_t begin = at / inner[i] % shape[i];
      int64_t size = i < axis ? 1 : shape[i];
      if (i == axis)
        size = std::min(left / inner[i], shape[i] - begin);
      box.begin.push_back(begin);
      box.size.push_back(size);
      taken *= size;
    }
    body(box, done);
    done += taken;
  }
}

} // namespace qtale

#endif // QTALE_LIB_TARGET_BOX_H
