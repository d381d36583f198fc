//===- Recipe.cpp - Weights, read part by part ----------------------------===//
//
//   result box            what its input is asked for
//   transpose  [n, k]     [k, n], strides swapped: the leaf writes in place
//   slice      [n, k]     [begin + n, k]
//   concat     [n, k]     a part of each input that the box meets
//   reshape    [n, k]     boxes that cover the same elements in row-major order
//
//===----------------------------------------------------------------------===//

#include "Recipe.h"

#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace qtale;
using llvm::Error;
using llvm::Expected;

using ReaderPtr = std::unique_ptr<Reader>;

namespace {

/// A reader that only asks its input for other boxes.
class Move : public Reader {
public:
  Move(RankedTensorType type, ReaderPtr input)
      : Reader(type), input(std::move(input)) {}
  bool isRaw() const override { return input->isRaw(); }
  unsigned getFastAxis() const override { return input->getFastAxis(); }

protected:
  ReaderPtr input;
};

class Transpose : public Move {
public:
  Transpose(RankedTensorType type, ReaderPtr input, ArrayRef<int64_t> perm)
      : Move(type, std::move(input)), perm(perm) {}

  Error read(const Box &box, const Destination &to) const override {
    Box part = box;
    Destination moved = to;
    for (auto [axis, from] : llvm::enumerate(perm)) {
      part.begin[from] = box.begin[axis];
      part.size[from] = box.size[axis];
      moved.strides[from] = to.strides[axis];
    }
    return input->read(part, moved);
  }
  unsigned getFastAxis() const override {
    auto found = llvm::find(perm, int64_t(input->getFastAxis()));
    return found == perm.end() ? 0 : found - perm.begin();
  }

private:
  ArrayRef<int64_t> perm;
};

class Slice : public Move {
public:
  Slice(RankedTensorType type, ReaderPtr input, int64_t axis, int64_t begin)
      : Move(type, std::move(input)), axis(axis), begin(begin) {}

  Error read(const Box &box, const Destination &to) const override {
    Box part = box;
    part.begin[axis] += begin;
    return input->read(part, to);
  }

private:
  int64_t axis, begin;
};

class Reshape : public Move {
public:
  using Move::Move;

  Error read(const Box &box, const Destination &to) const override {
    // A run: elements of the box that follow each other in the result and lie
    // at one stride in the destination.
    int64_t rank = box.size.size();
    int64_t run = 1, outer = rank;
    int64_t stride = rank ? to.strides[rank - 1] : 1;
    while (outer > 0 &&
           (outer == rank || (to.strides[outer - 1] == stride * run &&
                              box.size[outer] == getShape()[outer])))
      run *= box.size[--outer];
    Axes all = denseStrides(getShape());
    Error error = Error::success();
    Axes counts(box.size.begin(), box.size.begin() + outer);
    forEachIndex(counts, [&](ArrayRef<int64_t> index) {
      Axes first(box.begin);
      int64_t offset = 0;
      for (int64_t i = 0; i < outer; ++i) {
        first[i] += index[i];
        offset += index[i] * to.strides[i];
      }
      readRun(dot(first, all), run, stride, to.at(offset), error);
    });
    return error;
  }
  unsigned getFastAxis() const override {
    return getShape().empty() ? 0 : getShape().size() - 1;
  }

private:
  void readRun(int64_t first, int64_t count, int64_t stride,
               const Destination &to, Error &error) const {
    forEachBoxOfRange(input->getShape(), first, count,
                      [&](const Box &part, int64_t before) {
                        if (error)
                          return;
                        Destination run = to.at(before * stride);
                        run.strides = denseStrides(part.size);
                        for (int64_t &step : run.strides)
                          step *= stride;
                        error = input->read(part, run);
                      });
  }
};

class Concat : public Reader {
public:
  Concat(RankedTensorType type, SmallVector<ReaderPtr> inputs, int64_t axis)
      : Reader(type), inputs(std::move(inputs)), axis(axis) {}

  Error read(const Box &box, const Destination &to) const override {
    int64_t begin = box.begin[axis], end = begin + box.size[axis];
    int64_t inputBegin = 0;
    for (const ReaderPtr &input : inputs) {
      int64_t inputEnd = inputBegin + input->getShape()[axis];
      int64_t from = std::max(begin, inputBegin);
      int64_t until = std::min(end, inputEnd);
      if (from < until) {
        Box part = box;
        part.begin[axis] = from - inputBegin;
        part.size[axis] = until - from;
        if (Error error =
                input->read(part, to.at((from - begin) * to.strides[axis])))
          return error;
      }
      inputBegin = inputEnd;
    }
    return Error::success();
  }
  bool isRaw() const override {
    return llvm::all_of(inputs, [](const ReaderPtr &r) { return r->isRaw(); });
  }
  unsigned getFastAxis() const override { return inputs[0]->getFastAxis(); }

private:
  SmallVector<ReaderPtr> inputs;
  int64_t axis;
};

/// Builds the tree. `oddRounding` is set below a cast to a half float.
struct TreeBuilder {
  SourceFiles &files;

  Expected<ReaderPtr> build(RecipeAttrInterface recipe, bool oddRounding) {
    RankedTensorType type = recipe.getTensorType();
    return llvm::TypeSwitch<Attribute, Expected<ReaderPtr>>(recipe)
        .Case([&](SourceAttr source) {
          return makeSourceReader(source, type, oddRounding, files);
        })
        .Case([&](TransposeAttr op) {
          return move(op.getInput(), oddRounding, [&](ReaderPtr input) {
            return std::make_unique<Transpose>(type, std::move(input),
                                               op.getPerm().asArrayRef());
          });
        })
        .Case([&](SliceAttr op) {
          return move(op.getInput(), oddRounding, [&](ReaderPtr input) {
            return std::make_unique<Slice>(type, std::move(input), op.getAxis(),
                                           op.getBegin());
          });
        })
        .Case([&](ReshapeAttr op) -> Expected<ReaderPtr> {
          // Bytes of a file have any shape.
          if (auto source = dyn_cast<SourceAttr>(op.getInput()))
            return makeSourceReader(source, type, oddRounding, files);
          return move(op.getInput(), oddRounding, [&](ReaderPtr input) {
            return std::make_unique<Reshape>(type, std::move(input));
          });
        })
        .Case([&](ConcatAttr op) -> Expected<ReaderPtr> {
          SmallVector<ReaderPtr> inputs;
          for (Attribute input : op.getInputs()) {
            auto reader = build(cast<RecipeAttrInterface>(input), oddRounding);
            if (!reader)
              return reader.takeError();
            inputs.push_back(std::move(*reader));
          }
          return std::make_unique<Concat>(type, std::move(inputs),
                                          op.getAxis());
        })
        .Case([&](CastAttr op) -> Expected<ReaderPtr> {
          Type to = op.getElementType();
          if (!isa<Float32Type, Float16Type, BFloat16Type>(to) &&
              !to.isInteger(8))
            return refuse(op);
          return move(op.getInput(), !to.isF32(), [&](ReaderPtr input) {
            return makeCastReader(std::move(input), type);
          });
        })
        .Case([&](DequantizeAttr op) -> Expected<ReaderPtr> {
          if (!isa<Float32Type, Float16Type, BFloat16Type>(
                  type.getElementType()))
            return refuse(op);
          return dequantize(op);
        })
        .Default([&](Attribute other) { return refuse(other); });
  }

private:
  template <typename Make>
  Expected<ReaderPtr> move(RecipeAttrInterface input, bool oddRounding,
                           Make make) {
    Expected<ReaderPtr> reader = build(input, oddRounding);
    if (!reader)
      return reader.takeError();
    return make(std::move(*reader));
  }

  Expected<ReaderPtr> dequantize(DequantizeAttr op) {
    Expected<ReaderPtr> input = build(op.getInput(), false);
    if (!input)
      return input.takeError();
    Expected<ReaderPtr> scale = build(op.getScale(), false);
    if (!scale)
      return scale.takeError();
    ReaderPtr zero;
    if (op.getZero()) {
      Expected<ReaderPtr> reader = build(op.getZero(), false);
      if (!reader)
        return reader.takeError();
      zero = std::move(*reader);
    }
    return makeDequantizeReader(op, std::move(*input), std::move(*scale),
                                std::move(zero));
  }

  static Expected<ReaderPtr> refuse(Attribute recipe) {
    std::string text;
    llvm::raw_string_ostream(text) << recipe;
    return llvm::createStringError(
        "its recipe can't be evaluated at '" +
        llvm::StringRef(text).take_front(80) +
        "': casts and scales are f32, f16 or bf16, and a scheme stands "
        "directly below a pack");
  }
};

} // namespace

Expected<ReaderPtr> qtale::makeReader(RecipeAttrInterface recipe,
                                      SourceFiles &files) {
  return TreeBuilder{files}.build(recipe, /*oddRounding=*/false);
}
