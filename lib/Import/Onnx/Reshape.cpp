//===- Reshape.cpp - Another shape without moving data --------------------===//
//
//   [B, S, 64]  ->  [B, S, 8, 8]      groups of equal products:
//    └┘ └┘ └─┘       └┘ └┘ └──┘       collapse each, expand each
//
// Where no groups match, all dims are one group, and the sizes are compared at
// run time.
//
//===----------------------------------------------------------------------===//

#include "GraphBuilder.h"

#include "mlir/Dialect/ControlFlow/IR/ControlFlowOps.h"
#include "llvm/ADT/SmallVectorExtras.h"

using namespace llvm;
using namespace mlir;
using namespace qtale::onnx_import;

namespace {
/// `from` dims that together are `to` dims.
struct Group {
  ReassociationIndices from, to;
};
} // namespace

/// Splits both shapes into the smallest groups with equal products.
static std::optional<SmallVector<Group>>
match(IndexMath &math, ArrayRef<OpFoldResult> from, ArrayRef<OpFoldResult> to) {
  SmallVector<Group> groups;
  size_t i = 0, j = 0;
  while (i < from.size() && j < to.size()) {
    bool found = false;
    // Shortest first, so that equal dims stay apart.
    for (size_t total = 2; !found && total <= from.size() - i + to.size() - j;
         ++total)
      for (size_t p = 1; !found && p < total; ++p) {
        size_t q = total - p;
        if (i + p > from.size() || j + q > to.size())
          continue;
        IndexMath::Product left = math.factors(from.slice(i, p));
        // A factor of 0 or -1 (overflow) matches anything and nothing.
        if (left.factor <= 0 || !(left == math.factors(to.slice(j, q))))
          continue;
        Group group;
        for (size_t k = 0; k < p; ++k)
          group.from.push_back(i++);
        for (size_t k = 0; k < q; ++k)
          group.to.push_back(j++);
        groups.push_back(group);
        found = true;
      }
    if (!found)
      return std::nullopt;
  }
  // Ones at the end.
  for (; i < from.size(); ++i) {
    if (!isConstantIntValue(from[i], 1) || groups.empty())
      return std::nullopt;
    groups.back().from.push_back(i);
  }
  for (; j < to.size(); ++j) {
    if (!isConstantIntValue(to[j], 1) || groups.empty())
      return std::nullopt;
    groups.back().to.push_back(j);
  }
  return groups;
}

/// Asserts that shapes have equally many elements; also where a product of the
/// second one, which may be of any numbers, is beyond 64 bits.
static void checkCount(GraphBuilder &g, ArrayRef<OpFoldResult> from,
                       ArrayRef<OpFoldResult> to, StringRef message) {
  OpFoldResult count = g.math.product(from), product = g.math.product(to);
  if (g.math.same(count, product) && getConstantIntValue(product))
    return;
  g.math.check(count, product, message);
  // Divided by each dimension, 1 is left of what is equal, and nothing of what
  // is less. Where a dimension is 0, products don't overflow.
  Scalars s{g.b, g.loc};
  Value one = s.index(1),
        rest = s.make<arith::MaxUIOp>(g.math.value(count), one);
  Value fits = s.integer(g.b.getI1Type(), 0);
  for (OpFoldResult dim : to) {
    if (isConstantIntValue(dim, 1))
      continue;
    Value size = g.math.value(dim);
    rest = s.make<arith::DivUIOp>(rest, s.make<arith::MaxUIOp>(size, one));
    fits = s.make<arith::OrIOp>(
        fits, s.cmp(arith::CmpIPredicate::eq, size, s.index(0)));
  }
  fits = s.make<arith::OrIOp>(
      fits, s.cmp(arith::CmpIPredicate::ne, rest, s.index(0)));
  cf::AssertOp::create(g.b, g.loc, fits, message);
}

Value GraphBuilder::collapse(Value input, ArrayRef<OpFoldResult> dims,
                             ArrayRef<ReassociationIndices> groups,
                             Dims &result) {
  result.clear();
  for (const ReassociationIndices &group : groups)
    result.push_back(math.product(dims.slice(group.front(), group.size())));
  if (result.size() == dims.size())
    return input;
  Type type = cast<RankedTensorType>(input.getType()).getElementType();
  return tensor::CollapseShapeOp::create(
      b, loc, RankedTensorType::get(staticShape(result), type), input, groups);
}

Value GraphBuilder::reshape(Value input, ArrayRef<OpFoldResult> from,
                            ArrayRef<OpFoldResult> to) {
  if (from.size() == to.size() &&
      llvm::all_of(llvm::zip(from, to), [&](auto pair) {
        return math.same(std::get<0>(pair), std::get<1>(pair));
      }))
    return input;
  Type type = cast<RankedTensorType>(input.getType()).getElementType();
  auto resultType = RankedTensorType::get(staticShape(to), type);

  // To and from a scalar: all dims are 1.
  if (to.empty()) {
    if (!from.empty())
      math.check(math.product(from), math.constant(1),
                 "a tensor of one element is needed");
    Dims ones(from.size(), math.constant(1));
    SmallVector<int64_t> shape(from.size(), 1);
    auto unit = RankedTensorType::get(shape, type);
    if (input.getType() != unit)
      input = tensor::CastOp::create(b, loc, unit, input);
    return tensor::CollapseShapeOp::create(b, loc, resultType, input,
                                           ArrayRef<ReassociationIndices>());
  }
  if (from.empty()) {
    checkCount(*this, from, to, "a tensor of one element has another shape");
    Dims ones(to.size(), math.constant(1));
    input = tensor::ExpandShapeOp::create(
        b, loc, RankedTensorType::get(staticShape(ones), type), input,
        ArrayRef<ReassociationIndices>(), ones);
    return input.getType() == resultType
               ? input
               : tensor::CastOp::create(b, loc, resultType, input);
  }

  std::optional<SmallVector<Group>> groups = match(math, from, to);
  if (!groups) {
    groups.emplace(1);
    for (size_t i = 0; i < from.size(); ++i)
      groups->front().from.push_back(i);
    for (size_t j = 0; j < to.size(); ++j)
      groups->front().to.push_back(j);
    OpFoldResult fromSize = math.product(from), toSize = math.product(to);
    checkCount(*this, from, to, "a reshape must keep the number of elements");
    // Nothing moves, and a product of open dimensions and 0 is not open.
    if (isConstantIntValue(fromSize, 0) || isConstantIntValue(toSize, 0))
      return empty(to, type);
    auto flat = RankedTensorType::get({staticOrDynamic(toSize)}, type);
    Dims flatDims;
    SmallVector<ReassociationIndices> all{groups->front().from};
    input = collapse(input, from, all, flatDims);
    if (input.getType() != flat)
      input = tensor::CastOp::create(b, loc, flat, input);
    if (to.size() == 1)
      return input.getType() == resultType
                 ? input
                 : tensor::CastOp::create(b, loc, resultType, input);
    SmallVector<ReassociationIndices> whole{groups->front().to};
    return tensor::ExpandShapeOp::create(b, loc, resultType, input, whole, to);
  }
  auto fromGroups =
      llvm::map_to_vector(*groups, [](const Group &g) { return g.from; });
  auto toGroups =
      llvm::map_to_vector(*groups, [](const Group &g) { return g.to; });
  Dims middle;
  input = collapse(input, from, fromGroups, middle);
  if (toGroups.size() == to.size())
    return input;
  return tensor::ExpandShapeOp::create(b, loc, resultType, input, toGroups, to);
}

Term GraphBuilder::reshape(Term &term, ArrayRef<OpFoldResult> to) {
  Term result;
  result.dtype = term.dtype;
  result.dims.assign(to.begin(), to.end());
  result.name = term.name;
  SmallVector<int64_t> shape = staticShape(to);
  bool isStatic = !ShapedType::isDynamicShape(shape);
  if (term.elements && to.size() <= 1) {
    result.elements = term.elements;
    // How many there are is known, also where the shape is not.
    OpFoldResult count = math.constant(term.elements->size());
    if (!isStatic) {
      math.check(to[0], count, "a reshape must keep the number of elements");
      result.dims[0] = count;
    }
  }
  if (term.constant && isStatic)
    result.constant = term.constant.reshape(cast<ShapedType>(
        RankedTensorType::get(shape, term.constant.getElementType())));
  if (term.recipe && isStatic)
    result.recipe = recipes::reshape(term.recipe, shape);
  if (!result.elements && !result.constant && !result.recipe)
    result.value = reshape(tensor(term), term.dims, to);
  return result;
}

Value GraphBuilder::insert(Value piece, Value into,
                           ArrayRef<OpFoldResult> offsets,
                           ArrayRef<OpFoldResult> sizes) {
  // Not even what has no elements may be put behind the last one.
  if (llvm::any_of(
          sizes, [](OpFoldResult size) { return isConstantIntValue(size, 0); }))
    return into;
  SmallVector<OpFoldResult> strides(offsets.size(), math.constant(1));
  return tensor::InsertSliceOp::create(b, loc, piece, into, offsets, sizes,
                                       strides);
}

Value GraphBuilder::concat(ArrayRef<Term *> pieces, int64_t axis,
                           ArrayRef<OpFoldResult> dims, Type type) {
  Value result = empty(dims, type);
  Dims offsets(dims.size(), math.constant(0));
  for (Term *piece : pieces) {
    Dims sizes(dims);
    sizes[axis] = piece->dims[axis];
    // What is equal at run time gets the result's dims.
    Value value = tensor(*piece);
    auto wanted = RankedTensorType::get(staticShape(sizes), type);
    if (value.getType() != wanted)
      value = tensor::CastOp::create(b, loc, wanted, value);
    result = insert(value, result, offsets, sizes);
    offsets[axis] = math.add(offsets[axis], piece->dims[axis]);
  }
  return result;
}
