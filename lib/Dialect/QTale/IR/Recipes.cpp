//===- Recipes.cpp - Types and checks of weight recipes -------------------===//
//
//   pack(quantize(cast(transpose(source))))   each gives a static tensor type
//
//===----------------------------------------------------------------------===//

#include "qtale/Dialect/QTale/IR/QTale.h"

#include "mlir/IR/Builders.h"
#include "mlir/IR/Diagnostics.h"
#include "llvm/ADT/TypeSwitch.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace qtale;

using EmitError = function_ref<InFlightDiagnostic()>;

static RankedTensorType withShape(RankedTensorType type,
                                  ArrayRef<int64_t> shape) {
  return RankedTensorType::get(shape, type.getElementType());
}

/// Floats that files hold and nothing computes with.
static bool isLowBitFloat(Type type) {
  return isa<Float8E4M3FNType, Float8E4M3FNUZType, Float8E5M2Type,
             Float8E5M2FNUZType, Float8E8M0FNUType, Float6E2M3FNType,
             Float6E3M2FNType, Float4E2M1FNType>(type);
}

/// How many recipes an attribute holds, itself among them; at most `most`, also
/// where they are too deep.
static int64_t countRecipes(Attribute attribute, int64_t most, int64_t depth) {
  if (!depth)
    return most;
  bool isRecipe = isa<RecipeAttrInterface>(attribute);
  int64_t count = isRecipe;
  attribute.walkImmediateSubElements(
      [&](Attribute inner) {
        if (count < most)
          count += countRecipes(inner, most - count, depth - isRecipe);
      },
      [](Type) {});
  return count;
}

bool qtale::isLarge(ArrayRef<RecipeAttrInterface> recipes, int64_t parts,
                    int64_t depth) {
  int64_t count = 0;
  for (RecipeAttrInterface recipe : recipes)
    if (recipe && count < parts)
      count += countRecipes(recipe, parts - count, depth);
  return count >= parts;
}

/// What verifiers rely on: they, and all that reads a recipe, visit it as a tree.
static LogicalResult verifySize(EmitError emitError,
                                ArrayRef<RecipeAttrInterface> inputs) {
  if (!isLarge(inputs, maxRecipeParts, maxRecipeDepth))
    return success();
  return emitError() << "has more than " << maxRecipeParts
                     << " recipes in it, or more than " << maxRecipeDepth
                     << " within each other";
}

/// What is quantized or packed is no array any more: nothing but a pack stands
/// around it.
static LogicalResult verifyArrays(EmitError emitError,
                                  ArrayRef<RecipeAttrInterface> inputs) {
  if (failed(verifySize(emitError, inputs)))
    return failure();
  for (RecipeAttrInterface input : inputs)
    if (input && input.getTensorType().getEncoding())
      return emitError() << "must not be made of what is quantized or packed: "
                         << input.getTensorType();
  return success();
}

//===----------------------------------------------------------------------===//
// Source
//===----------------------------------------------------------------------===//

/// Of a size that files can be mapped in, even if no dimension were 0, so that
/// sums and products of sizes stay numbers. The elements have a width.
static bool isMappable(RankedTensorType type) {
  int64_t bits = type.getElementTypeBitWidth();
  for (int64_t dim : type.getShape())
    if (llvm::MulOverflow(bits, std::max<int64_t>(dim, 1), bits))
      return false;
  return bits / 8 < int64_t(1) << 47;
}

LogicalResult SourceAttr::verify(EmitError emitError, StringAttr file,
                                 int64_t offset, int64_t bytes,
                                 RankedTensorType type) {
  Type element = type.getElementType();
  bool known =
      isa<Float64Type, Float32Type, Float16Type, BFloat16Type>(element) ||
      isLowBitFloat(element);
  if (auto integer = dyn_cast<IntegerType>(element))
    known = llvm::is_contained({1u, 2u, 4u, 6u, 8u, 16u, 32u, 64u},
                               integer.getWidth()) &&
            !integer.isSigned();
  if (!type.hasStaticShape() || type.getEncoding() || !known) // C1
    return emitError() << "source can't be of type " << type;
  if (!isMappable(type)) // C1
    return emitError() << "source of type " << type
                       << " is larger than any file that can be mapped";
  if (offset < 0 || bytes != getStorageBytes(type)) // C2
    return emitError() << "source of type " << type << " needs "
                       << getStorageBytes(type)
                       << " bytes at an offset of at least 0, but has " << bytes
                       << " at " << offset;
  return success();
}
RankedTensorType SourceAttr::getTensorType() const { return getType(); }

//===----------------------------------------------------------------------===//
// Shape: transpose, reshape, slice, concat
//===----------------------------------------------------------------------===//

LogicalResult TransposeAttr::verify(EmitError emitError,
                                    RecipeAttrInterface input,
                                    DenseI64ArrayAttr perm) {
  if (failed(verifyArrays(emitError, input))) // C2
    return failure();
  SmallVector<int64_t> sorted(perm.asArrayRef());
  llvm::sort(sorted);
  int64_t rank = input.getTensorType().getRank();
  if (!llvm::equal(sorted, llvm::seq<int64_t>(0, rank))) // C1
    return emitError() << "perm must be a permutation of " << rank
                       << " axes, but is " << perm;
  return success();
}
RankedTensorType TransposeAttr::getTensorType() const {
  RankedTensorType type = getInput().getTensorType();
  SmallVector<int64_t> shape;
  for (int64_t axis : getPerm().asArrayRef())
    shape.push_back(type.getDimSize(axis));
  return withShape(type, shape);
}

LogicalResult ReshapeAttr::verify(EmitError emitError,
                                  RecipeAttrInterface input,
                                  RankedTensorType type) {
  if (failed(verifyArrays(emitError, input))) // C2
    return failure();
  RankedTensorType from = input.getTensorType();
  if (from.getElementType() != type.getElementType() || type.getEncoding() ||
      !type.hasStaticShape() || !isMappable(type) ||
      from.getNumElements() != type.getNumElements()) // C1
    return emitError() << "can't reshape " << from << " to " << type;
  return success();
}
RankedTensorType ReshapeAttr::getTensorType() const { return getType(); }

LogicalResult SliceAttr::verify(EmitError emitError, RecipeAttrInterface input,
                                int64_t axis, int64_t begin, int64_t size) {
  if (failed(verifyArrays(emitError, input))) // C2
    return failure();
  RankedTensorType type = input.getTensorType();
  if (axis < 0 || axis >= type.getRank() || begin < 0 || size < 0 ||
      begin > type.getDimSize(axis) ||
      size > type.getDimSize(axis) - begin) // C1
    return emitError() << "slice of " << size << " from " << begin
                       << " on, along axis " << axis << ", is not within "
                       << type;
  return success();
}
RankedTensorType SliceAttr::getTensorType() const {
  RankedTensorType type = getInput().getTensorType();
  SmallVector<int64_t> shape(type.getShape());
  shape[getAxis()] = getSize();
  return withShape(type, shape);
}

LogicalResult ConcatAttr::verify(EmitError emitError, ArrayAttr inputs,
                                 int64_t axis) {
  SmallVector<RecipeAttrInterface> recipes;
  for (Attribute attribute : inputs) {
    recipes.push_back(dyn_cast<RecipeAttrInterface>(attribute));
    if (!recipes.back())
      return emitError() << "concat takes recipes, but has " << attribute;
  }
  if (failed(verifyArrays(emitError, recipes))) // C2
    return failure();
  RankedTensorType first;
  int64_t size = 0;
  for (RecipeAttrInterface input : recipes) {
    RankedTensorType type = input.getTensorType();
    if (!first)
      first = type;
    bool same = axis >= 0 && axis < type.getRank() &&
                type.getRank() == first.getRank() &&
                type.getElementType() == first.getElementType();
    for (int64_t i = 0; same && i < type.getRank(); ++i)
      same = i == axis || type.getDimSize(i) == first.getDimSize(i);
    if (!same) // C1
      return emitError() << "can't concat " << first << " and " << type
                         << " along axis " << axis;
    SmallVector<int64_t> shape(type.getShape());
    shape[axis] = size += type.getDimSize(axis);
    if (!isMappable(withShape(type, shape))) // C3
      return emitError() << "concat is larger than any file that can be mapped";
  }
  if (!first)
    return emitError() << "concat needs an input";
  return success();
}
RankedTensorType ConcatAttr::getTensorType() const {
  SmallVector<int64_t> shape;
  RankedTensorType type;
  for (Attribute input : getInputs()) {
    type = cast<RecipeAttrInterface>(input).getTensorType();
    if (shape.empty())
      shape.assign(type.getShape().begin(), type.getShape().end());
    else
      shape[getAxis()] += type.getDimSize(getAxis());
  }
  return withShape(type, shape);
}

//===----------------------------------------------------------------------===//
// Elements: cast, dequantize, quantize
//===----------------------------------------------------------------------===//

LogicalResult CastAttr::verify(EmitError emitError, RecipeAttrInterface input,
                               Type elementType) {
  if (failed(verifyArrays(emitError, input))) // C2
    return failure();
  Type from = input.getTensorType().getElementType();
  auto code = dyn_cast<IntegerType>(from);
  bool unpacks = code && code.isUnsigned() && code.getWidth() < 8 &&
                 elementType.isSignlessInteger(8);
  if (!unpacks && (!isa<FloatType>(from) || !isa<FloatType>(elementType))) // C1
    return emitError() << "can't cast a weight from " << from << " to "
                       << elementType;
  if (!isMappable(RankedTensorType::get(input.getTensorType().getShape(),
                                        elementType))) // C3
    return emitError() << "cast to " << elementType
                       << " is larger than any file that can be mapped";
  return success();
}
RankedTensorType CastAttr::getTensorType() const {
  return RankedTensorType::get(getInput().getTensorType().getShape(),
                               getElementType());
}

LogicalResult DequantizeAttr::verify(EmitError emitError,
                                     RecipeAttrInterface input,
                                     RecipeAttrInterface scale,
                                     RecipeAttrInterface zero, int64_t axis,
                                     int64_t block) {
  if (failed(verifyArrays(emitError, {input, scale, zero}))) // C3
    return failure();
  RankedTensorType in = input.getTensorType(), sc = scale.getTensorType();
  if ((!isa<IntegerType>(in.getElementType()) &&
       !isLowBitFloat(in.getElementType())) ||
      !isa<FloatType>(sc.getElementType()) ||
      (zero &&
       (zero.getTensorType().getShape() != sc.getShape() ||
        zero.getTensorType().getElementType() != in.getElementType()))) // C1
    return emitError() << "can't dequantize " << in << " with scales " << sc
                       << (zero ? " and these zero points" : "");
  bool perTensor = block == 0 && sc.getNumElements() == 1 && sc.getRank() <= 1;
  bool ranged = axis >= 0 && axis < in.getRank() && block >= 0;
  bool perAxis = ranged && block == 0 && sc.getRank() == 1 &&
                 sc.getDimSize(0) == in.getDimSize(axis);
  bool blocked = ranged && block > 0 && sc.getRank() == in.getRank();
  for (int64_t i = 0; blocked && i < in.getRank(); ++i)
    blocked = sc.getDimSize(i) ==
              (i == axis ? int64_t(llvm::divideCeil(in.getDimSize(i), block))
                         : in.getDimSize(i));
  if (!perTensor && !perAxis && !blocked) // C2
    return emitError() << "scales " << sc
                       << " fit neither the tensor, nor axis " << axis
                       << ", nor blocks of " << block << " of " << in;
  return success();
}
RankedTensorType DequantizeAttr::getTensorType() const {
  return RankedTensorType::get(getInput().getTensorType().getShape(),
                               getScale().getTensorType().getElementType());
}

LogicalResult QuantizeAttr::verify(EmitError emitError,
                                   RecipeAttrInterface input, IntAttr scheme) {
  if (failed(verifySize(emitError, input)))
    return failure();
  RankedTensorType type = input.getTensorType();
  if (type.getRank() != 2 || !isa<FloatType>(type.getElementType()) ||
      type.getEncoding()) // C1
    return emitError() << "only a matrix of floats is quantized, not " << type;
  return success();
}
RankedTensorType QuantizeAttr::getTensorType() const {
  return RankedTensorType::get(getInput().getTensorType().getShape(),
                               Float32Type::get(getContext()), getScheme());
}

LogicalResult IntegersAttr::verify(EmitError emitError,
                                   RecipeAttrInterface values,
                                   RecipeAttrInterface scale,
                                   RecipeAttrInterface zero, int64_t block,
                                   IntAttr scheme) {
  if (failed(verifyArrays(emitError, {values, scale, zero}))) // C6
    return failure();
  RankedTensorType in = values.getTensorType(), sc = scale.getTensorType();
  auto integer = dyn_cast<IntegerType>(in.getElementType());
  if (in.getRank() != 2 || !integer || integer.isSigned() ||
      integer.getWidth() != scheme.getBits()) // C1
    return emitError() << "values of " << scheme
                       << " are a matrix of such integers, not " << in;
  int64_t n = in.getDimSize(0), k = in.getDimSize(1);
  bool fits = sc.getRank() == 2 &&
              isa<Float32Type, Float16Type, BFloat16Type>(sc.getElementType());
  if (fits && block > 0)
    fits = sc.getDimSize(0) == n &&
           sc.getDimSize(1) == int64_t(llvm::divideCeil(k, block));
  else if (fits)
    fits = (sc.getDimSize(0) == n || sc.getDimSize(0) == 1) &&
           sc.getDimSize(1) == 1;
  if (!fits) // C2
    return emitError() << "scales " << sc << " fit no blocks of " << block
                       << " of " << in;
  if (scheme.getScales().isF16() && !sc.getElementType().isF16()) // C2
    return emitError() << scheme << " can't hold scales of "
                       << sc.getElementType();
  if (block < 0 || block % scheme.getGroup()) // C3
    return emitError() << "block must be 0 or a multiple of "
                       << scheme.getGroup() << ", but is " << block;
  if (zero && (zero.getTensorType().getShape() != sc.getShape() ||
               zero.getTensorType().getElementType() != integer)) // C4
    return emitError() << "zero points " << zero.getTensorType()
                       << " don't fit integers " << in << " with scales " << sc;
  if (scheme.getAsymmetric() != (zero || integer.isUnsigned())) // C5
    return emitError() << scheme << " must "
                       << (scheme.getAsymmetric() ? "not " : "")
                       << "be asymmetric for " << integer
                       << (zero ? " with" : " without") << " zero points";
  return success();
}
RankedTensorType IntegersAttr::getTensorType() const {
  return RankedTensorType::get(getValues().getTensorType().getShape(),
                               Float32Type::get(getContext()), getScheme());
}

LogicalResult PackAttr::verify(EmitError emitError, RecipeAttrInterface input) {
  if (failed(verifySize(emitError, input)))
    return failure();
  RankedTensorType type = input.getTensorType();
  bool ok =
      type.getRank() == 2 &&
      (isa_and_nonnull<IntAttr>(type.getEncoding()) ||
       (!type.getEncoding() &&
        (isa<Float32Type, Float16Type, BFloat16Type>(type.getElementType()) ||
         type.getElementType().isSignlessInteger(8) ||
         type.getElementType().isUnsignedInteger(8))));
  if (!ok) // C1
    return emitError() << "can't pack " << type;
  return success();
}
RankedTensorType PackAttr::getTensorType() const {
  RankedTensorType type = getInput().getTensorType();
  Attribute format = type.getEncoding();
  if (!format)
    format = TypeAttr::get(type.getElementType());
  return RankedTensorType::get(type.getShape(), type.getElementType(),
                               PackedAttr::get(getContext(), format));
}

//===----------------------------------------------------------------------===//
// Simplification
//===----------------------------------------------------------------------===//

static RecipeAttrInterface simplify(TransposeAttr attr) {
  SmallVector<int64_t> perm(attr.getPerm().asArrayRef());
  RecipeAttrInterface input = attr.getInput();
  if (auto inner = dyn_cast<TransposeAttr>(input)) {
    for (int64_t &axis : perm)
      axis = inner.getPerm().asArrayRef()[axis];
    input = inner.getInput();
  }
  if (llvm::equal(perm, llvm::seq<int64_t>(0, perm.size())))
    return input;
  return TransposeAttr::get(attr.getContext(), input,
                            DenseI64ArrayAttr::get(attr.getContext(), perm));
}

static RecipeAttrInterface simplify(ReshapeAttr attr) {
  RecipeAttrInterface input = attr.getInput();
  if (auto inner = dyn_cast<ReshapeAttr>(input))
    input = inner.getInput();
  if (input.getTensorType() == attr.getType())
    return input;
  return ReshapeAttr::get(attr.getContext(), input, attr.getType());
}

static RecipeAttrInterface simplify(SliceAttr attr) {
  RecipeAttrInterface input = attr.getInput();
  int64_t begin = attr.getBegin();
  auto inner = dyn_cast<SliceAttr>(input);
  if (inner && inner.getAxis() == attr.getAxis()) {
    begin += inner.getBegin();
    input = inner.getInput();
  }
  if (input.getTensorType().getDimSize(attr.getAxis()) == attr.getSize())
    return input;
  return SliceAttr::get(attr.getContext(), input, attr.getAxis(), begin,
                        attr.getSize());
}

RecipeAttrInterface qtale::simplifyRecipe(RecipeAttrInterface recipe) {
  // Inner recipes first: what they become may meet what is outside.
  MLIRContext *context = recipe.getContext();
  return llvm::TypeSwitch<Attribute, RecipeAttrInterface>(recipe)
      .Case([&](TransposeAttr attr) {
        return simplify(TransposeAttr::get(
            context, simplifyRecipe(attr.getInput()), attr.getPerm()));
      })
      .Case([&](ReshapeAttr attr) {
        return simplify(ReshapeAttr::get(
            context, simplifyRecipe(attr.getInput()), attr.getType()));
      })
      .Case([&](SliceAttr attr) {
        return simplify(SliceAttr::get(context, simplifyRecipe(attr.getInput()),
                                       attr.getAxis(), attr.getBegin(),
                                       attr.getSize()));
      })
      .Case([&](ConcatAttr attr) -> RecipeAttrInterface {
        SmallVector<Attribute> inputs;
        for (Attribute input : attr.getInputs())
          inputs.push_back(simplifyRecipe(cast<RecipeAttrInterface>(input)));
        if (inputs.size() == 1)
          return cast<RecipeAttrInterface>(inputs[0]);
        return ConcatAttr::get(context, ArrayAttr::get(context, inputs),
                               attr.getAxis());
      })
      .Case([&](CastAttr attr) -> RecipeAttrInterface {
        RecipeAttrInterface input = simplifyRecipe(attr.getInput());
        if (input.getTensorType().getElementType() == attr.getElementType())
          return input;
        return CastAttr::get(context, input, attr.getElementType());
      })
      .Case([&](DequantizeAttr attr) {
        RecipeAttrInterface zero = attr.getZero();
        return DequantizeAttr::get(context, simplifyRecipe(attr.getInput()),
                                   simplifyRecipe(attr.getScale()),
                                   zero ? simplifyRecipe(zero) : zero,
                                   attr.getAxis(), attr.getBlock());
      })
      .Case([&](QuantizeAttr attr) {
        return QuantizeAttr::get(context, simplifyRecipe(attr.getInput()),
                                 attr.getScheme());
      })
      .Case([&](IntegersAttr attr) {
        RecipeAttrInterface zero = attr.getZero();
        return IntegersAttr::get(context, simplifyRecipe(attr.getValues()),
                                 simplifyRecipe(attr.getScale()),
                                 zero ? simplifyRecipe(zero) : zero,
                                 attr.getBlock(), attr.getScheme());
      })
      .Case([&](PackAttr attr) {
        return PackAttr::get(context, simplifyRecipe(attr.getInput()));
      })
      .Default(recipe);
}
