//===- Recipe.h - Weights, read part by part ------------------------------===//
//
//   qtale.weight's recipe              tree of readers
//   transpose(slice(source))    -->    Transpose -> Slice -> Source
//
//   read(box of the result) asks its inputs for the boxes that it needs, down
//   to the mapped files. Nobody ever holds a whole weight.
//
//===----------------------------------------------------------------------===//

#ifndef QTALE_LIB_TARGET_RECIPE_H
#define QTALE_LIB_TARGET_RECIPE_H

#include "Box.h"
#include "SourceFiles.h"
#include "qtale/Dialect/QTale/IR/QTale.h"
#include "llvm/Support/Error.h"
#include <memory>

namespace qtale {

/// Where the elements of a box go: element `i` of the box to
/// `data + dot(i, strides) * bytes`.
struct Destination {
  char *data;
  Axes strides;
  /// 0: as f32. Otherwise the elements' own size, copied bit by bit.
  unsigned rawBytes = 0;

  unsigned getBytes() const { return rawBytes ? rawBytes : 4; }
  Destination at(int64_t element) const {
    return {data + element * getBytes(), strides, rawBytes};
  }
};

class Reader {
public:
  explicit Reader(mlir::RankedTensorType type) : type(type) {}
  virtual ~Reader() = default;

  /// Thread-safe.
  virtual llvm::Error read(const Box &box, const Destination &to) const = 0;
  /// The axis along which neighbours lie together in the file.
  virtual unsigned getFastAxis() const = 0;
  /// Whether elements are those of files, moved only.
  virtual bool isRaw() const = 0;

  mlir::RankedTensorType getType() const { return type; }
  llvm::ArrayRef<int64_t> getShape() const { return type.getShape(); }

private:
  mlir::RankedTensorType type;
};

/// Reads the values of a recipe made of source, transpose, reshape, slice,
/// concat, cast and dequantize (quantize and pack: Pack.h).
llvm::Expected<std::unique_ptr<Reader>> makeReader(RecipeAttrInterface recipe,
                                                   SourceFiles &files);

/// The leaves of makeReader; `oddRounding`: doubles will be rounded once more.
llvm::Expected<std::unique_ptr<Reader>>
makeSourceReader(SourceAttr source, mlir::RankedTensorType shape,
                 bool oddRounding, SourceFiles &files);
std::unique_ptr<Reader> makeCastReader(std::unique_ptr<Reader> input,
                                       mlir::RankedTensorType type);
std::unique_ptr<Reader> makeDequantizeReader(DequantizeAttr recipe,
                                             std::unique_ptr<Reader> input,
                                             std::unique_ptr<Reader> scale,
                                             std::unique_ptr<Reader> zero);

} // namespace qtale

#endif // QTALE_LIB_TARGET_RECIPE_H
