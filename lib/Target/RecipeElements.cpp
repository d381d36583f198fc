//===- RecipeElements.cpp - Casts and dequantization while reading --------===//
//
//   the input's box is read to the destination as f32, then changed in place
//
//===----------------------------------------------------------------------===//

#include "Floats.h"
#include "Recipe.h"

#include <vector>

using namespace mlir;
using namespace qtale;
using llvm::Error;

using ReaderPtr = std::unique_ptr<Reader>;

namespace {

/// The walk over a box in its destination: the axis with the smallest stride
/// innermost.
struct Walk {
  Walk(const Box &box, const Destination &to) : outer(box.size) {
    for (size_t i = 0; i < outer.size(); ++i)
      if (outer[i] > 1 &&
          (axis < 0 || outer[axis] == 1 || to.strides[i] < to.strides[axis]))
        axis = i;
    if (axis < 0 && !outer.empty())
      axis = outer.size() - 1;
    if (axis < 0)
      return;
    count = outer[axis];
    stride = to.strides[axis];
    outer[axis] = 1;
  }
  int64_t axis = -1; // none: a scalar
  int64_t count = 1, stride = 1;
  Axes outer;
};

/// Rounds values to what a half float or bfloat16 can hold.
void roundTo(Type type, float *values, int64_t count, int64_t stride) {
  auto each = [&](auto round) {
    if (stride == 1) {
      for (int64_t i = 0; i < count; ++i)
        values[i] = round(values[i]);
    } else {
      for (int64_t i = 0; i < count; ++i)
        values[i * stride] = round(values[i * stride]);
    }
  };
  if (type.isF16())
    each([](float x) { return halfToFloat(floatToHalf(x)); });
  else if (type.isBF16())
    each([](float x) { return bfloatToFloat(floatToBfloat(x)); });
}

class Cast : public Reader {
public:
  Cast(RankedTensorType type, ReaderPtr input)
      : Reader(type), input(std::move(input)) {}
  bool isRaw() const override { return false; }
  unsigned getFastAxis() const override { return input->getFastAxis(); }

  Error read(const Box &box, const Destination &to) const override {
    if (Error error = input->read(box, to))
      return error;
    Type element = getType().getElementType();
    if (element.isF32())
      return Error::success();
    Walk walk(box, to);
    forEachIndex(walk.outer, [&](ArrayRef<int64_t> index) {
      char *row = to.at(dot(index, to.strides)).data;
      roundTo(element, reinterpret_cast<float *>(row), walk.count, walk.stride);
    });
    return Error::success();
  }

private:
  ReaderPtr input;
};

class Dequantize : public Reader {
public:
  Dequantize(DequantizeAttr recipe, ReaderPtr input, ReaderPtr scale,
             ReaderPtr zero)
      : Reader(recipe.getTensorType()), input(std::move(input)),
        scale(std::move(scale)), zero(std::move(zero)), axis(recipe.getAxis()),
        block(recipe.getBlock()) {}
  bool isRaw() const override { return false; }
  unsigned getFastAxis() const override { return input->getFastAxis(); }

  Error read(const Box &box, const Destination &to) const override {
    // The scales that the box meets, and how far one moves in them along each
    // axis of the box (along `axis`, once every `step` elements).
    Box scaleBox;
    Axes moves(box.size.size(), 0);
    int64_t step = 1, phase = 0;
    bool perTensor =
        scale->getShape().empty() || (scale->getShape().size() == 1 &&
                                      block == 0 && scale->getShape()[0] == 1);
    if (perTensor) {
      scaleBox.begin.assign(scale->getShape().size(), 0);
      scaleBox.size.assign(scale->getShape().size(), 1);
    } else if (block == 0) {
      scaleBox.begin = {box.begin[axis]};
      scaleBox.size = {box.size[axis]};
      moves[axis] = 1;
    } else {
      scaleBox = box;
      step = block;
      phase = box.begin[axis] % block;
      scaleBox.begin[axis] = box.begin[axis] / block;
      scaleBox.size[axis] =
          llvm::divideCeil(box.begin[axis] + box.size[axis], block) -
          scaleBox.begin[axis];
      moves = denseStrides(scaleBox.size);
    }

    std::vector<float> scales(scaleBox.getElements()), zeros;
    if (Error error = readSmall(*scale, scaleBox, scales))
      return error;
    for (float s : scales)
      if ((floatBits(s) & magnitudeMask) >= infinityBits)
        return llvm::createStringError(
            "a scale of its dequantization is not a finite number");
    if (zero) {
      zeros.resize(scales.size());
      if (Error error = readSmall(*zero, scaleBox, zeros))
        return error;
    }
    if (Error error = input->read(box, to))
      return error;

    Walk walk(box, to);
    bool along = walk.axis == axis && moves.size() && moves[axis];
    forEachIndex(walk.outer, [&](ArrayRef<int64_t> index) {
      float *row =
          reinterpret_cast<float *>(to.at(dot(index, to.strides)).data);
      int64_t at = 0;
      for (size_t i = 0; i < index.size(); ++i)
        at += moves[i] *
              (int64_t(i) == axis ? (phase + index[i]) / step : index[i]);
      // Stretches with one scale, where scales change along the walk slowly.
      int64_t move = walk.axis < 0 ? 0 : moves[walk.axis];
      int64_t stretch = move == 0 ? walk.count : along ? step : 1;
      int64_t length = stretch - (along ? phase : 0);
      for (int64_t i = 0; i < walk.count; at += move) {
        int64_t n = std::min(length, walk.count - i);
        apply(row + i * walk.stride, n, walk.stride, scales[at],
              zero ? zeros[at] : 0.0f);
        i += n;
        length = stretch;
      }
      roundTo(getType().getElementType(), row, walk.count, walk.stride);
    });
    return Error::success();
  }

private:
  static Error readSmall(const Reader &reader, const Box &box,
                         std::vector<float> &values) {
    return reader.read(
        box, {reinterpret_cast<char *>(values.data()), denseStrides(box.size)});
  }

  static void apply(float *values, int64_t count, int64_t stride, float scale,
                    float zero) {
    if (stride == 1) {
      for (int64_t i = 0; i < count; ++i)
        values[i] = (values[i] - zero) * scale;
    } else {
      for (int64_t i = 0; i < count; ++i)
        values[i * stride] = (values[i * stride] - zero) * scale;
    }
  }

  ReaderPtr input, scale, zero;
  int64_t axis, block;
};

} // namespace

ReaderPtr qtale::makeCastReader(ReaderPtr input, RankedTensorType type) {
  return std::make_unique<Cast>(type, std::move(input));
}

ReaderPtr qtale::makeDequantizeReader(DequantizeAttr recipe, ReaderPtr input,
                                      ReaderPtr scale, ReaderPtr zero) {
  return std::make_unique<Dequantize>(recipe, std::move(input),
                                      std::move(scale), std::move(zero));
}
