//===- LowBitTypes.h - Numbers of at most 8 bits that no CPU computes with ===//

#ifndef QTALE_LIB_IMPORT_ONNX_LOWBITTYPES_H
#define QTALE_LIB_IMPORT_ONNX_LOWBITTYPES_H

#include "GraphBuilder.h"

namespace qtale::onnx_import {

/// How the bits of an element are read.
struct LowBitType {
  int32_t dtype;
  llvm::StringLiteral name;
  unsigned bits;
  enum Kind {
    Signed,
    Unsigned,
    Finite,   ///< a float without infinity and NaN
    NaNOnly,  ///< all bits set is NaN; no infinity
    Standard, ///< infinity and NaN above it
    OneNaN,   ///< the code of -0 is the only NaN; no infinity
    Power,    ///< an exponent alone; all bits set is NaN
  } kind;
  /// Of floats: bits of the fraction, and the exponent of 1.0.
  int fraction = 0, bias = 0;

  bool isInteger() const { return kind == Signed || kind == Unsigned; }
  uint32_t mask() const { return (1u << bits) - 1; }
  uint32_t sign() const { return 1u << (bits - 1); }
  /// The code of the largest finite number.
  uint32_t largest() const;
};

/// Null where elements of the type are numbers of the IR.
const LowBitType *lowBitType(int32_t dtype);

/// What floats do that a type can't hold; attributes of Cast and others.
struct Rounding {
  bool saturate = true;
  /// Of float8e8m0; other types round to nearest even.
  enum { Up, Down, Nearest } power = Up;
};

/// The number that a code (i8) stands for: an i8 of the type's signedness for
/// integers, otherwise a f32.
mlir::Value decode(const Scalars &s, mlir::Value code, const LowBitType &type);
/// The code of a number of any type.
mlir::Value encode(const Scalars &s, mlir::Value number, bool isUnsigned,
                   const LowBitType &type, Rounding rounding = {});
/// Scalars::convert between element types of ONNX, of which any may be low-bit;
/// `to` is the type that the result has where `toDtype` is not.
mlir::Value convertElement(const Scalars &s, mlir::Value value,
                           int32_t fromDtype, int32_t toDtype, mlir::Type to,
                           Rounding rounding = {});

} // namespace qtale::onnx_import

#endif // QTALE_LIB_IMPORT_ONNX_LOWBITTYPES_H
