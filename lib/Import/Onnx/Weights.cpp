//===- Weights.cpp - Weights as symbols with recipes ----------------------===//
//
//   embed (source) ─ Transpose ─ MatMul's transpose   =   embed (source)
//
// Transposes of transposes cancel, so a tied head is the embedding's symbol.
//
//===----------------------------------------------------------------------===//

#include "Weights.h"

using namespace llvm;
using namespace mlir;
using namespace qtale;
using namespace qtale::onnx_import;

RecipeAttrInterface Weights::source(MLIRContext *context,
                                    const onnx::TensorProto &tensor,
                                    const Blob &blob) {
  Type element = recipeElementType(context, tensor.data_type());
  if (!element)
    return {};
  SmallVector<int64_t> shape(tensor.dims().begin(), tensor.dims().end());
  return SourceAttr::get(context, StringAttr::get(context, blob.file),
                         blob.offset, blob.length,
                         RankedTensorType::get(shape, element));
}

FlatSymbolRefAttr Weights::symbol(RecipeAttrInterface recipe, StringRef name,
                                  Location loc) {
  StringAttr &symbol = symbols[recipe];
  if (!symbol) {
    std::string unique = name.empty() ? "weight" : name.str();
    for (unsigned i = 1; !names.insert(unique).second; ++i)
      unique = (name + "." + Twine(i)).str();
    OpBuilder b(module.getContext());
    if (last)
      b.setInsertionPointAfter(last);
    else
      b.setInsertionPointToStart(module.getBody());
    last = WeightOp::create(b, loc, b.getStringAttr(unique),
                            TypeAttr::get(recipe.getTensorType()), recipe,
                            IntegerAttr());
    symbol = last.getSymNameAttr();
  }
  return FlatSymbolRefAttr::get(symbol);
}

void Weights::eraseUnused() {
  llvm::DenseSet<StringAttr> used;
  module.walk(
      [&](ParamOp param) { used.insert(param.getWeightAttr().getAttr()); });
  for (WeightOp weight : llvm::make_early_inc_range(module.getOps<WeightOp>()))
    if (!used.contains(weight.getSymNameAttr()))
      weight.erase();
}

RecipeAttrInterface recipes::transpose(RecipeAttrInterface input,
                                       ArrayRef<int64_t> perm) {
  SmallVector<int64_t> total(perm);
  if (auto inner = dyn_cast<TransposeAttr>(Attribute(input))) {
    for (int64_t &axis : total)
      axis = inner.getPerm()[axis];
    input = inner.getInput();
  }
  if (llvm::equal(total, llvm::seq<int64_t>(0, total.size())))
    return input;
  MLIRContext *context = input.getContext();
  return TransposeAttr::get(context, input,
                            DenseI64ArrayAttr::get(context, total));
}

RecipeAttrInterface recipes::reshape(RecipeAttrInterface input,
                                     ArrayRef<int64_t> shape) {
  if (auto inner = dyn_cast<ReshapeAttr>(Attribute(input)))
    input = inner.getInput();
  RankedTensorType type = input.getTensorType();
  if (type.getShape() == shape)
    return input;
  auto result = RankedTensorType::get(shape, type.getElementType());
  if (auto source = dyn_cast<SourceAttr>(Attribute(input)))
    return SourceAttr::get(input.getContext(), source.getFile(),
                           source.getOffset(), source.getBytes(), result);
  return ReshapeAttr::get(input.getContext(), input, result);
}

RecipeAttrInterface recipes::slice(RecipeAttrInterface input, int64_t axis,
                                   int64_t begin, int64_t size) {
  if (size == input.getTensorType().getDimSize(axis))
    return input;
  return SliceAttr::get(input.getContext(), input, axis, begin, size);
}

RecipeAttrInterface recipes::concat(ArrayRef<RecipeAttrInterface> inputs,
                                    int64_t axis) {
  if (inputs.size() == 1)
    return inputs.front();
  MLIRContext *context = inputs.front().getContext();
  SmallVector<Attribute> list(inputs.begin(), inputs.end());
  return ConcatAttr::get(context, ArrayAttr::get(context, list), axis);
}

RecipeAttrInterface recipes::cast(RecipeAttrInterface input, Type type) {
  if (input.getTensorType().getElementType() == type)
    return input;
  return CastAttr::get(input.getContext(), input, type);
}

RecipeAttrInterface recipes::dequantize(RecipeAttrInterface input,
                                        RecipeAttrInterface scale,
                                        RecipeAttrInterface zero, int64_t axis,
                                        int64_t block) {
  return DequantizeAttr::get(input.getContext(), input, scale, zero, axis,
                             block);
}

/// The same moves, of a file whose elements are read as another type.
static RecipeAttrInterface retyped(RecipeAttrInterface input, Type element) {
  MLIRContext *context = input.getContext();
  auto changed = [&](RankedTensorType old) {
    return RankedTensorType::get(old.getShape(), element);
  };
  Attribute attribute = input;
  if (auto source = dyn_cast<SourceAttr>(attribute))
    return SourceAttr::get(context, source.getFile(), source.getOffset(),
                           source.getBytes(), changed(source.getType()));
  if (auto op = dyn_cast<TransposeAttr>(attribute))
    return TransposeAttr::get(context, retyped(op.getInput(), element),
                              op.getPerm());
  if (auto op = dyn_cast<ReshapeAttr>(attribute))
    return ReshapeAttr::get(context, retyped(op.getInput(), element),
                            changed(op.getType()));
  if (auto op = dyn_cast<SliceAttr>(attribute))
    return SliceAttr::get(context, retyped(op.getInput(), element),
                          op.getAxis(), op.getBegin(), op.getSize());
  auto op = ::cast<ConcatAttr>(attribute);
  SmallVector<RecipeAttrInterface> inputs;
  for (Attribute each : op.getInputs())
    inputs.push_back(retyped(::cast<RecipeAttrInterface>(each), element));
  return recipes::concat(inputs, op.getAxis());
}

RecipeAttrInterface recipes::stored(RecipeAttrInterface input) {
  Type element = input.getTensorType().getElementType();
  MLIRContext *context = input.getContext();
  unsigned bits = element.getIntOrFloatBitWidth();
  auto integer = dyn_cast<IntegerType>(element);
  Type byte = IntegerType::get(context, 8);
  if (bits > 1 && bits < 8) {
    Type code = IntegerType::get(context, bits, IntegerType::Unsigned);
    return CastAttr::get(context, retyped(input, code), byte);
  }
  if (!integer && bits == 8)
    return retyped(input, byte);
  if (integer && integer.isUnsigned())
    return retyped(input, IntegerType::get(context, bits));
  return input;
}

RecipeAttrInterface recipes::peelWidening(RecipeAttrInterface input) {
  Attribute attribute = input;
  // A transpose stands outside of the cast where MatMul added it.
  if (auto op = dyn_cast<TransposeAttr>(attribute)) {
    RecipeAttrInterface inner = peelWidening(op.getInput());
    return inner == op.getInput() ? input : transpose(inner, op.getPerm());
  }
  auto op = dyn_cast<CastAttr>(attribute);
  if (!op)
    return input;
  Type from = op.getInput().getTensorType().getElementType();
  bool widens = op.getElementType().isF32() && (from.isF16() || from.isBF16());
  return widens ? op.getInput() : input;
}
