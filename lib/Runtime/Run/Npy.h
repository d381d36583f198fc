//===- Npy.h - NumPy's array files ----------------------------------------===//
//
//   \x93NUMPY 1 0 | length | {'descr': '<f4', 'fortran_order': False,
//                             'shape': (2, 3), } | data
//
// Versions 1 to 3, little-endian, C order: what numpy.save writes here. Types
// that NumPy lacks (ml_dtypes') are void there: <V1, and <V2 of bfloat16.
//
//===----------------------------------------------------------------------===//

#ifndef QTALE_LIB_RUNTIME_RUN_NPY_H
#define QTALE_LIB_RUNTIME_RUN_NPY_H

#include "qtale/Runtime/qtale.h"
#include <cstdio>
#include <memory>
#include <string>

namespace qtale::run {

/// Bytes of an element; 0 for a number that is no qtale_dtype.
uint64_t elementBytes(int32_t dtype);
/// "float32"; "an unknown dtype".
const char *dtypeName(int32_t dtype);
/// "[2, ?, 64]": -1 is dynamic.
std::string shapeText(const qtale_tensor &tensor);
/// Elements of a tensor whose dims are known; false where that overflows.
bool countElements(const qtale_tensor &tensor, uint64_t &count);

struct Npy {
  qtale_tensor tensor = {};        /// its name is null
  std::unique_ptr<char[]> storage; /// what tensor.data points into
};

/// Reads a file; empty, or what is wrong with it (with its name). `expected`:
/// the dtype that void elements, and whole numbers of its size, stand for where
/// NumPy has none such.
std::string readNpy(const std::string &path, Npy &array, int32_t expected = 0);

/// Appends the file of a tensor to `file`; empty, or why NPY can't hold it or
/// the file system would not take it.
std::string writeNpy(std::FILE *file, const qtale_tensor &tensor);

} // namespace qtale::run

#endif // QTALE_LIB_RUNTIME_RUN_NPY_H
