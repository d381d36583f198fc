//===- ModelIntegers.cpp - Matrices that a model brings as integers -------===//
//
//   transpose(dequantize(q [K, N], scale [K/32, N], axis 0, block 32))
//
//   -->  integers(transpose(q), transpose(scale), block 32)   int4/32
//
// A dequantization spreads each scale over a box of elements. Such boxes can be
// moved as the elements are, so transposes and slices go below it.
//
//===----------------------------------------------------------------------===//

#include "ModelIntegers.h"

#include "mlir/IR/Builders.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace qtale;

namespace {

/// Integers, and scales of the same rank.
struct Parts {
  RecipeAttrInterface values, scale, zero; // zero may be null
  /// Elements along each axis that share a scale; 0: all.
  SmallVector<int64_t> spans;

  void change(function_ref<RecipeAttrInterface(RecipeAttrInterface)> change) {
    scale = change(scale);
    if (zero)
      zero = change(zero);
  }
};

class Splitter {
public:
  explicit Splitter(std::string &problem) : problem(problem) {}

  /// No parts where nothing is dequantized.
  FailureOr<std::optional<Parts>> split(RecipeAttrInterface recipe) {
    return llvm::TypeSwitch<Attribute, FailureOr<std::optional<Parts>>>(recipe)
        .Case([&](DequantizeAttr op) { return Parts(split(op)); })
        .Case([&](CastAttr op) { return split(op.getInput()); })
        .Case([&](TransposeAttr op) {
          return below(op.getInput(),
                       [&](Parts &parts) { return move(op, parts); });
        })
        .Case([&](SliceAttr op) {
          return below(op.getInput(),
                       [&](Parts &parts) { return move(op, parts); });
        })
        .Case([&](ReshapeAttr op) {
          return below(op.getInput(), [&](Parts &) {
            return fail("it is reshaped after it is dequantized");
          });
        })
        .Case([&](ConcatAttr op) {
          return below(cast<RecipeAttrInterface>(op.getInputs()[0]),
                       [&](Parts &) {
                         return fail("parts that are dequantized are joined");
                       });
        })
        .Default([](Attribute) { return std::optional<Parts>(); });
  }

  LogicalResult fail(const Twine &what) {
    problem = what.str();
    return failure();
  }

private:
  FailureOr<std::optional<Parts>>
  below(RecipeAttrInterface input,
        function_ref<LogicalResult(Parts &)> change) {
    FailureOr<std::optional<Parts>> parts = split(input);
    if (failed(parts) || !*parts)
      return parts;
    if (failed(change(**parts)))
      return failure();
    return parts;
  }

  static Parts split(DequantizeAttr op) {
    Parts parts{op.getInput(), op.getScale(), op.getZero(), {}};
    // Kernels widen half floats themselves.
    if (auto widen = dyn_cast<CastAttr>(parts.scale))
      if (widen.getElementType().isF32() &&
          widen.getInput().getTensorType().getElementType().isF16())
        parts.scale = widen.getInput();
    int64_t rank = op.getInput().getTensorType().getRank(), axis = op.getAxis();
    if (op.getBlock()) {
      parts.spans.assign(rank, 1);
      parts.spans[axis] = op.getBlock();
      return parts;
    }
    // One scale, or a vector of them.
    RankedTensorType type = op.getScale().getTensorType();
    SmallVector<int64_t> shape(rank, 1);
    parts.spans.assign(rank, 0);
    if (type.getNumElements() > 1) {
      shape[axis] = type.getNumElements();
      parts.spans[axis] = 1;
    }
    parts.change([&](RecipeAttrInterface recipe) {
      Type element = recipe.getTensorType().getElementType();
      return ReshapeAttr::get(recipe.getContext(), recipe,
                              RankedTensorType::get(shape, element));
    });
    return parts;
  }

  static LogicalResult move(TransposeAttr op, Parts &parts) {
    auto move = [&](RecipeAttrInterface recipe) {
      return TransposeAttr::get(op.getContext(), recipe, op.getPerm());
    };
    parts.values = move(parts.values);
    parts.change(move);
    SmallVector<int64_t> spans;
    for (int64_t axis : op.getPerm().asArrayRef())
      spans.push_back(parts.spans[axis]);
    parts.spans = spans;
    return success();
  }

  LogicalResult move(SliceAttr op, Parts &parts) {
    int64_t axis = op.getAxis(), span = parts.spans[axis];
    auto slice = [&](RecipeAttrInterface recipe, int64_t begin, int64_t size) {
      return SliceAttr::get(op.getContext(), recipe, axis, begin, size);
    };
    if (span && op.getBegin() % span)
      return fail("it is cut within blocks of " + Twine(span));
    parts.values = slice(parts.values, op.getBegin(), op.getSize());
    if (span)
      parts.change([&](RecipeAttrInterface recipe) {
        return slice(recipe, op.getBegin() / span,
                     llvm::divideCeil(op.getSize(), span));
      });
    return success();
  }

  std::string &problem;
};

/// The largest group that divides `span`; 0: none.
int64_t groupOf(int64_t span) {
  for (int64_t group : {128, 64, 32})
    if (span % group == 0)
      return group;
  return 0;
}

} // namespace

FailureOr<IntegersAttr> qtale::getModelIntegers(RecipeAttrInterface recipe,
                                                std::string &problem) {
  Splitter splitter(problem);
  FailureOr<std::optional<Parts>> found = splitter.split(recipe);
  if (failed(found))
    return failure();
  if (!*found)
    return IntegersAttr();
  Parts &parts = **found;
  int64_t k = recipe.getTensorType().getDimSize(1);
  int64_t rows = parts.spans[0], block = parts.spans[1];

  auto integer =
      dyn_cast<IntegerType>(parts.values.getTensorType().getElementType());
  std::string element;
  llvm::raw_string_ostream(element)
      << parts.values.getTensorType().getElementType();
  if (!integer || (integer.getWidth() != 4 && integer.getWidth() != 8))
    return splitter.fail("its elements are " + Twine(element) +
                         ", not integers of 4 or 8 bits");

  Type scale = parts.scale.getTensorType().getElementType();
  if (!isa<Float32Type, Float16Type, BFloat16Type>(scale))
    return splitter.fail("its scales are double");

  if (rows > 1)
    return splitter.fail("its blocks lie along the outputs");
  if (parts.scale.getTensorType().getDimSize(1) == 1)
    block = 0;
  if (block == 1)
    return splitter.fail("it has a scale for each input");
  if (k < 32)
    return splitter.fail("it has fewer inputs than the smallest group, 32");
  // A scale for all of K is repeated for each group.
  int64_t group = block ? groupOf(block) : std::max<int64_t>(groupOf(k), 32);
  if (!group)
    return splitter.fail("no group of 32, 64 or 128 divides its blocks of " +
                         Twine(block));

  MLIRContext *context = recipe.getContext();
  Type scales = scale.isF16() ? scale : Float32Type::get(context);
  bool asymmetric = parts.zero || integer.isUnsigned();
  auto scheme =
      IntAttr::get(context, integer.getWidth(), group, asymmetric, scales);
  return cast<IntegersAttr>(Attribute(simplifyRecipe(IntegersAttr::get(
      context, parts.values, parts.scale, parts.zero, block, scheme))));
}
