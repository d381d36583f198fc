//===- Shape.cpp - Shapes and views ---------------------------------------===//
//
//   Shape -> Gather -> Concat -> Reshape
//
// Shapes are lists of index values (Term::elements), so such a chain leaves
// nothing behind but the reshape. Views of weights are recipes.
//
//===----------------------------------------------------------------------===//

#include "Model.h"
#include "NodeTable.h"
#include "OpenAxes.h"
#include "StepNode.h"

#include "mlir/Dialect/ControlFlow/IR/ControlFlowOps.h"
#include "llvm/Support/MathExtras.h"

using namespace llvm;
using namespace mlir;
using namespace qtale::onnx_import;
using onnx::TensorProto;

//===----------------------------------------------------------------------===//
// Shapes
//===----------------------------------------------------------------------===//

/// ONNX's dims of a term: with rows, a batch of one whose tokens are all rows.
static Dims onnxDims(Node &n, const Term &term, Value allRows) {
  if (!term.rows)
    return term.dims;
  Dims dims;
  for (int64_t i = 0; i < term.rows->rank; ++i) {
    if (i == term.rows->rowAxis)
      dims.push_back(allRows);
    else if (auto stored = term.rows->stored(i))
      dims.push_back(term.dims[*stored]);
    else
      dims.push_back(n.g.math.constant(1));
  }
  return dims;
}

static LogicalResult shapeOf(Node &n, ArrayRef<OpFoldResult> dims) {
  int64_t rank = dims.size();
  for (OpFoldResult dim : dims)
    if (auto value = dyn_cast<Value>(dim))
      n.g.math.markNonNegative(value);
  auto bound = [&](StringRef name, int64_t otherwise) {
    int64_t at = n.integer(name, otherwise);
    return std::clamp<int64_t>(at < 0 ? at + rank : at, 0, rank);
  };
  int64_t start = bound("start", 0), end = bound("end", rank);
  return n.set(
      0, n.g.fromElements(TensorProto::INT64,
                          dims.slice(start, std::max(end, start) - start)));
}

static LogicalResult buildShape(Node &n) { return shapeOf(n, n.in(0).dims); }

static LogicalResult buildShapeRows(StepNode &n) {
  return shapeOf(n, onnxDims(n, n.in(0), n.step.count));
}

static LogicalResult buildSize(Node &n) {
  return n.set(0, n.g.fromElements(TensorProto::INT64,
                                   {n.g.math.product(n.in(0).dims)}, true));
}

//===----------------------------------------------------------------------===//
// Reshape
//===----------------------------------------------------------------------===//

/// A dimension of the input's symbols stays what it is, also if it is 0; ONNX
/// then copies the input's at that place. Where that is another one, and its
/// shape fits, too, there is an error instead of a shape that nobody expects.
static void checkComputedZeros(Node &n, ArrayRef<OpFoldResult> from,
                               ArrayRef<OpFoldResult> to,
                               std::optional<size_t> inferred) {
  GraphBuilder &g = n.g;
  Scalars s{g.b, g.loc};
  auto isZero = [&](OpFoldResult dim) {
    return s.cmp(arith::CmpIPredicate::eq, g.math.value(dim), s.index(0));
  };
  Value none = s.integer(g.b.getI1Type(), 0), differs = none;
  Dims copied(to);
  for (size_t i = 0; i < std::min(from.size(), to.size()); ++i) {
    if (inferred == i || getConstantIntValue(to[i]) ||
        g.math.same(to[i], from[i]))
      continue;
    Value zero = isZero(to[i]);
    differs = s.make<arith::OrIOp>(
        differs, s.select(zero,
                          s.make<arith::XOrIOp>(isZero(from[i]),
                                                s.integer(g.b.getI1Type(), 1)),
                          none));
    copied[i] = s.select(zero, g.math.value(from[i]), g.math.value(to[i]));
  }
  if (differs == none)
    return;
  if (inferred)
    copied.erase(copied.begin() + *inferred);
  Value count = g.math.value(g.math.product(copied));
  Value misfits =
      s.cmp(inferred ? arith::CmpIPredicate::eq : arith::CmpIPredicate::ne,
            count, inferred ? s.index(0) : g.math.value(g.math.product(from)));
  Value same = s.make<arith::XOrIOp>(differs, s.integer(g.b.getI1Type(), 1));
  cf::AssertOp::create(g.b, g.loc, s.make<arith::OrIOp>(same, misfits),
                       "Reshape: a computed dimension of 0 copies another one; "
                       "set allowzero, if 0 is meant");
}

/// Whether known dims have a product that no number holds.
static bool isBeyond64Bits(ArrayRef<OpFoldResult> dims) {
  SmallVector<int64_t> shape = staticShape(dims);
  int64_t product = 1;
  return !ShapedType::isDynamicShape(shape) && !llvm::is_contained(shape, 0) &&
         llvm::any_of(shape, [&](int64_t dim) {
           return MulOverflow(product, dim, product);
         });
}

/// The dims that a Reshape asks for, of a tensor with these dims.
static FailureOr<Dims> requested(Node &n, ArrayRef<OpFoldResult> from) {
  GraphBuilder &g = n.g;
  std::optional<Dims> to = g.indices(n.in(1));
  if (!to)
    return n.fail("needs a shape of a known rank");
  bool allowZero = n.integer("allowzero", 0);
  std::optional<size_t> inferred;
  for (auto [i, dim] : llvm::enumerate(*to)) {
    auto known = getConstantIntValue(dim);
    if (known == 0 && !allowZero) {
      if (i >= from.size())
        return n.fail("copies dimension " + Twine(i) +
                      ", which the input lacks");
      dim = from[i];
    } else if (known == -1) {
      if (inferred)
        return n.fail("has two dimensions of -1");
      inferred = i;
    } else if (known && *known < -1) {
      return n.fail("has a dimension of " + Twine(*known));
    }
  }
  // What is only known at run time may still be 0 or -1.
  Scalars s{g.b, g.loc};
  auto isOpen = [&](size_t i) {
    return inferred != i && !getConstantIntValue((*to)[i]) &&
           !g.math.isNonNegative((*to)[i]);
  };
  for (size_t i = 0; i < to->size() && !allowZero; ++i)
    if (isOpen(i) && i < from.size()) {
      Value value = g.math.value((*to)[i]);
      Value isCopied = s.cmp(arith::CmpIPredicate::eq, value, s.index(0));
      (*to)[i] = s.select(isCopied, g.math.value(from[i]), value);
    }
  for (size_t i = 0; i < to->size(); ++i) {
    if (!isOpen(i))
      continue;
    OpFoldResult others = g.math.constant(1);
    for (size_t j = 0; j < to->size(); ++j)
      if (j != i && inferred != j)
        others = g.math.mul(others, (*to)[j]);
    Value value = g.math.value((*to)[i]);
    Value isInferred = s.cmp(arith::CmpIPredicate::eq, value, s.index(-1));
    OpFoldResult rest = g.math.div(g.math.product(from), others);
    value = s.select(isInferred, g.math.value(rest), value);
    Value fits = s.cmp(arith::CmpIPredicate::sge, value, s.index(0));
    cf::AssertOp::create(g.b, g.loc, fits,
                         "a reshape must keep the number of elements");
    g.math.markNonNegative(value);
    (*to)[i] = value;
  }
  if (!allowZero)
    checkComputedZeros(n, from, *to, inferred);
  if (inferred) {
    Dims others(*to);
    others.erase(others.begin() + *inferred);
    OpFoldResult rest =
        g.math.div(g.math.product(from), g.math.product(others));
    (*to)[*inferred] = rest;
  }
  if (isBeyond64Bits(*to))
    return n.fail("asks for more elements than any tensor has");
  auto before = getConstantIntValue(g.math.product(from)),
       after = getConstantIntValue(g.math.product(*to));
  if (before && after && *before != *after)
    return n.fail("can't give " + Twine(*before) + " elements a shape of " +
                  Twine(*after));
  return *to;
}

static LogicalResult buildReshape(Node &n) {
  FailureOr<Dims> to = requested(n, n.in(0).dims);
  if (failed(to))
    return failure();
  return n.set(0, n.g.reshape(n.in(0), *to));
}

/// A reshape that keeps rows apart: one result axis is that of the tokens.
static LogicalResult buildReshapeRows(StepNode &n) {
  Term &x = n.in(0);
  GraphBuilder &g = n.g;
  if (!x.rows || n.in(1).rows)
    return n.fail("has a shape made of tokens");
  Dims from = onnxDims(n, x, n.step.count);
  FailureOr<Dims> to = requested(n, from);
  if (failed(to))
    return failure();
  // All before the token axis must be 1 on both sides: then rows stay apart.
  auto leadingOnes =
      [&](ArrayRef<OpFoldResult> dims) -> std::optional<int64_t> {
    for (auto [i, dim] : llvm::enumerate(dims)) {
      if (g.math.same(dim, n.step.count))
        return int64_t(i);
      if (!isConstantIntValue(dim, 1))
        return std::nullopt;
    }
    return std::nullopt;
  };
  auto before = leadingOnes(from), after = leadingOnes(*to);
  if (!before || !after)
    return n.fail("reshapes across tokens");
  RowLayout layout{int64_t((*to).size()), *after, *after > 0};
  Dims stored{x.dims[0]};
  for (int64_t i = 0; i < layout.rank; ++i)
    if (layout.stored(i))
      stored.push_back((*to)[i]);
  return n.setRows(g.reshape(x, stored), layout);
}

static LogicalResult buildFlatten(Node &n) {
  Term &x = n.in(0);
  int64_t axis = n.integer("axis", 1), rank = x.rank();
  if (axis < -rank || axis > rank)
    return n.fail("axis " + Twine(axis) + " is outside of the tensor's axes");
  if (axis < 0)
    axis += rank;
  ArrayRef<OpFoldResult> dims = x.dims;
  return n.set(0, n.g.reshape(x, {n.g.math.product(dims.take_front(axis)),
                                  n.g.math.product(dims.drop_front(axis))}));
}

//===----------------------------------------------------------------------===//
// Views
//===----------------------------------------------------------------------===//

static FailureOr<SmallVector<int64_t>> permutation(Node &n, int64_t rank) {
  SmallVector<int64_t> perm = n.list("perm").value_or(SmallVector<int64_t>());
  if (!n.attribute("perm"))
    for (int64_t i = rank; i-- > 0;)
      perm.push_back(i);
  SmallVector<bool> seen(rank, false);
  bool valid = (int64_t)perm.size() == rank;
  for (int64_t axis : perm)
    valid =
        valid && axis >= 0 && axis < rank && !std::exchange(seen[axis], true);
  if (!valid)
    return n.fail("perm is no permutation of the tensor's " + Twine(rank) +
                  " axes");
  return perm;
}

static LogicalResult buildTranspose(Node &n) {
  Term &x = n.in(0);
  auto perm = permutation(n, x.rank());
  if (failed(perm))
    return failure();
  Term result = n.g.make(x.dtype, {}, {});
  for (int64_t axis : *perm)
    result.dims.push_back(x.dims[axis]);
  if (x.recipe) {
    result.recipe = recipes::transpose(x.recipe, *perm);
    result.name = x.name;
  } else {
    result.value = n.g.transpose(n.tensor(0), x.dims, *perm);
  }
  return n.set(0, result);
}

static LogicalResult buildTransposeRows(StepNode &n) {
  Term &x = n.in(0);
  auto perm = permutation(n, x.rows->rank);
  if (failed(perm))
    return failure();
  if (x.rows->batch && (*perm)[0] != 0)
    return n.fail("moves the batch");
  RowLayout layout = *x.rows;
  SmallVector<int64_t> stored{0};
  Dims dims{x.dims[0]};
  for (auto [i, axis] : llvm::enumerate(*perm)) {
    if (axis == x.rows->rowAxis)
      layout.rowAxis = i;
    else if (auto at = x.rows->stored(axis)) {
      stored.push_back(*at);
      dims.push_back(x.dims[*at]);
    }
  }
  return n.setRows(
      n.g.make(x.dtype, n.g.transpose(n.tensor(0), x.dims, stored), dims),
      layout);
}

/// The axes that Squeeze removes, normalized; without axes all known ones.
static FailureOr<SmallVector<int64_t>> squeezed(Node &n,
                                                ArrayRef<OpFoldResult> dims) {
  auto axes = n.axes(1);
  if (failed(axes))
    return failure();
  SmallVector<int64_t> result;
  int64_t rank = dims.size();
  if (*axes) {
    for (int64_t axis : **axes) {
      if (axis < -rank || axis >= rank)
        return n.fail("axis " + Twine(axis) + " is outside of the tensor's " +
                      Twine(rank) + " axes");
      result.push_back(axis < 0 ? axis + rank : axis);
    }
    return result;
  }
  for (int64_t i = 0; i < rank; ++i) {
    if (!getConstantIntValue(dims[i]))
      return n.fail("needs axes, because dimension " + Twine(i) +
                    " is not known");
    if (isConstantIntValue(dims[i], 1))
      result.push_back(i);
  }
  return result;
}

static LogicalResult buildSqueeze(Node &n) {
  Term &x = n.in(0);
  if (std::optional<OpenAxes> open = openAxes(n, 1, x.rank())) {
    for (OpFoldResult dim : open->only(n.g, x.dims))
      n.g.math.check(dim, n.g.math.constant(1),
                     "Squeeze: the dimension must be 1");
    return n.set(0, n.g.reshape(x, open->removed(n.g, x.dims)));
  }
  auto axes = squeezed(n, x.dims);
  if (failed(axes))
    return failure();
  Dims dims, ones(x.dims);
  for (int64_t i = 0; i < x.rank(); ++i) {
    if (!llvm::is_contained(*axes, i)) {
      dims.push_back(x.dims[i]);
      continue;
    }
    auto known = getConstantIntValue(x.dims[i]);
    if (known && *known != 1)
      return n.fail("removes a dimension of " + Twine(*known));
    n.g.math.check(x.dims[i], n.g.math.constant(1),
                   "Squeeze: the dimension must be 1");
    ones[i] = n.g.math.constant(1);
  }
  // A dimension that was checked is 1 from here on.
  if (x.value) {
    auto type = RankedTensorType::get(staticShape(ones), n.type(x));
    Value value = x.value;
    if (value.getType() != type)
      value = tensor::CastOp::create(n.g.b, n.g.loc, type, value);
    Term checked = n.g.make(x.dtype, value, ones);
    checked.elements = x.elements;
    return n.set(0, n.g.reshape(checked, dims));
  }
  return n.set(0, n.g.reshape(x, dims));
}

static LogicalResult buildSqueezeRows(StepNode &n) {
  Term &x = n.in(0);
  if (!x.rows || (n.has(1) && n.in(1).rows))
    return n.fail("has axes made of tokens");
  auto axes = squeezed(n, onnxDims(n, x, n.step.count));
  if (failed(axes))
    return failure();
  RowLayout layout = *x.rows;
  Dims stored(x.dims);
  llvm::sort(*axes, std::greater<int64_t>());
  for (int64_t axis : *axes) {
    if (axis == x.rows->rowAxis)
      return n.fail("removes the axis of tokens");
    --layout.rank;
    if (axis < x.rows->rowAxis)
      --layout.rowAxis;
    if (auto at = x.rows->stored(axis)) {
      if (!isConstantIntValue(x.dims[*at], 1))
        return n.fail("removes a dimension that is not 1");
      stored.erase(stored.begin() + *at);
    } else {
      layout.batch = false;
    }
  }
  return n.setRows(n.g.reshape(x, stored), layout);
}

static FailureOr<SmallVector<int64_t>> inserted(Node &n, int64_t rank) {
  auto axes = n.axes(1);
  if (failed(axes))
    return failure();
  if (!*axes)
    return n.fail("needs axes");
  SmallVector<int64_t> result;
  int64_t total = rank + (*axes)->size();
  for (int64_t axis : **axes) {
    if (axis < -total || axis >= total)
      return n.fail("axis " + Twine(axis) + " is outside of the result's " +
                    Twine(total) + " axes");
    result.push_back(axis < 0 ? axis + total : axis);
  }
  llvm::sort(result);
  if (std::adjacent_find(result.begin(), result.end()) != result.end())
    return n.fail("names an axis twice");
  return result;
}

static LogicalResult buildUnsqueeze(Node &n) {
  Term &x = n.in(0);
  int64_t count = n.in(1).rank() ? staticOrDynamic(n.in(1).dims[0]) : 1;
  if (!ShapedType::isDynamic(count))
    if (std::optional<OpenAxes> open = openAxes(n, 1, x.rank() + count))
      return n.set(0, n.g.reshape(x, open->inserted(n.g, x.dims)));
  auto axes = inserted(n, n.in(0).rank());
  if (failed(axes))
    return failure();
  Dims dims(n.in(0).dims);
  for (int64_t axis : *axes)
    dims.insert(dims.begin() + axis, n.g.math.constant(1));
  return n.set(0, n.g.reshape(n.in(0), dims));
}

static LogicalResult buildUnsqueezeRows(StepNode &n) {
  Term &x = n.in(0);
  if (!x.rows || n.in(1).rows)
    return n.fail("has axes made of tokens");
  auto axes = inserted(n, x.rows->rank);
  if (failed(axes))
    return failure();
  RowLayout layout = *x.rows;
  Dims dims(x.dims);
  for (int64_t axis : *axes) {
    if (axis == 0)
      return n.fail("puts an axis before the batch");
    ++layout.rank;
    if (axis <= layout.rowAxis)
      ++layout.rowAxis;
    dims.insert(dims.begin() + *layout.stored(axis), n.g.math.constant(1));
  }
  return n.setRows(n.g.reshape(x, dims), layout);
}

static LogicalResult buildIdentity(Node &n) { return n.set(0, n.in(0)); }

/// As models are run: nothing is dropped.
static LogicalResult buildDropout(Node &n) {
  if (n.wants(1)) {
    Value all = n.g.scalar(n.g.b.getI1Type(), 1);
    Dims dims(n.in(0).dims);
    if (failed(
            n.set(1, n.g.make(TensorProto::BOOL, n.g.filled(dims, all), dims))))
      return failure();
  }
  return n.set(0, n.in(0));
}

static LogicalResult buildExpand(Node &n) {
  std::optional<Dims> shape = n.g.indices(n.in(1));
  if (!shape)
    return n.fail("needs a shape of a known rank");
  for (OpFoldResult &size : *shape)
    if (failed(n.checkSize(size)))
      return failure();
  std::optional<Dims> dims = n.g.broadcast({n.in(0).dims, *shape});
  if (!dims)
    return n.fail("the shape doesn't fit the tensor's");
  return n.set(n.g.elementwise({&n.in(0)}, *dims, n.type(n.in(0)),
                               [](Scalars, ValueRange v) { return v[0]; }),
               *dims);
}

void qtale::onnx_import::addShape(NodeTable &table) {
  table.add("Shape", {15, 24, 25}, buildShape, buildShapeRows);
  table.add("Size", {13, 24, 25}, buildSize);
  table.add("Reshape", {14, 24, 25}, buildReshape, buildReshapeRows)
      .refuses("a shape of unknown length", rankIsKnown)
      .refuses("when the model runs: a computed dimension of 0 that copies "
               "another one",
               "nobody expects the shape that this gives; set allowzero, if 0 "
               "is meant");
  table.add("Flatten", {13, 24, 25}, buildFlatten);
  table.add("Transpose", {13, 24, 25}, buildTranspose, buildTransposeRows);
  table.add("Squeeze", {13, 24, 25}, buildSqueeze, buildSqueezeRows)
      .refuses("axes of unknown number", rankIsKnown)
      .refuses("no axes, where a dimension is known only at run time",
               rankIsKnown);
  table.add("Unsqueeze", {13, 24, 25}, buildUnsqueeze, buildUnsqueezeRows)
      .refuses("axes of unknown number", rankIsKnown);
  table.add("Identity", {14, 24, 25}, buildIdentity, RowsRule::Elementwise);
  table.add("Dropout", 22, buildDropout, RowsRule::Elementwise)
      .refuses("a training_mode that is not the constant false",
               "what is random in training has no place in an artifact; export "
               "the model for inference",
               [](Node &n) {
                 DenseElementsAttr mode;
                 if (n.has(2))
                   mode = n.in(2).constant;
                 return n.has(2) && !(mode && mode.isSplat() &&
                                      mode.getSplatValue<APInt>().isZero());
               });
  table.add("Expand", 13, buildExpand)
      .refuses("a shape of unknown length", rankIsKnown);
}
