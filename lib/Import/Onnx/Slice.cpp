//===- Slice.cpp - Parts of tensors: Slice, Split, Concat, Tile, Trilu ----===//
//
// Contiguous parts are tensor.extract_slice; what walks backwards or repeats
// reads by computed index. Parts of weights along an axis are recipes, and
// parts of shapes are shorter lists.
//
//===----------------------------------------------------------------------===//

#include "NodeTable.h"
#include "OpenAxes.h"
#include "StepNode.h"

#include "mlir/Dialect/ControlFlow/IR/ControlFlowOps.h"
#include "llvm/Support/MathExtras.h"

using namespace llvm;
using namespace mlir;
using namespace qtale::onnx_import;

/// Larger than any dimension, and far from the largest number.
static constexpr int64_t largest = int64_t(1) << 40;

static Value bounded(Scalars s, Value value) {
  return s.make<arith::MinSIOp>(
      s.make<arith::MaxSIOp>(value, s.index(-largest)), s.index(largest));
}

/// Elements [begin, begin + size) of an axis.
static Term part(Node &n, Term &x, int64_t axis, OpFoldResult begin,
                 OpFoldResult size) {
  GraphBuilder &g = n.g;
  if (g.math.same(size, x.dims[axis]))
    return x;
  Term result = g.make(x.dtype, {}, x.dims);
  result.dims[axis] = size;
  result.rows = x.rows;
  auto from = getConstantIntValue(begin), count = getConstantIntValue(size);
  if (from && count && x.recipe) {
    result.recipe = recipes::slice(x.recipe, axis, *from, *count);
    result.name = x.name;
    return result;
  }
  if (from && count && x.elements && x.rank() == 1) {
    result.elements = Dims(ArrayRef(*x.elements).slice(*from, *count));
    return result;
  }
  // A slice may not begin at the end: not even one without elements.
  auto isEmpty = [](OpFoldResult dim) { return isConstantIntValue(dim, 0); };
  if (llvm::any_of(result.dims, isEmpty) || isEmpty(x.dims[axis])) {
    result.value = g.empty(result.dims, n.type(x));
    return result;
  }
  Dims offsets(x.dims.size(), g.math.constant(0)),
      strides(x.dims.size(), g.math.constant(1));
  offsets[axis] = begin;
  auto type = RankedTensorType::get(staticShape(result.dims), n.type(x));
  result.value = tensor::ExtractSliceOp::create(g.b, g.loc, type, g.tensor(x),
                                                offsets, result.dims, strides);
  return result;
}

/// Every `step`-th element from `start` on, also backwards.
static Term strided(Node &n, Term &x, int64_t axis, OpFoldResult start,
                    OpFoldResult size, int64_t step) {
  GraphBuilder &g = n.g;
  Dims dims(x.dims);
  dims[axis] = size;
  Value input = g.tensor(x), first = g.math.value(start);
  Value value = g.generate(dims, n.type(x), [&](Scalars s) {
    SmallVector<Value> at;
    for (int64_t i = 0; i < x.rank(); ++i) {
      Value index = s.loopIndex(i);
      if (i == axis)
        index =
            s.clamped(s.make<arith::AddIOp>(
                          first, s.make<arith::MulIOp>(index, s.index(step))),
                      input, axis);
      at.push_back(index);
    }
    return s.at(input, at);
  });
  Term result = g.make(x.dtype, value, dims);
  result.rows = x.rows;
  return result;
}

/// A slice whose axes or steps are known only at run time: every axis has a
/// begin, a size and a step, which the axes' list chooses.
static LogicalResult buildOpenSlice(Node &n, ArrayRef<OpFoldResult> starts,
                                    ArrayRef<OpFoldResult> ends,
                                    ArrayRef<OpFoldResult> axes,
                                    ArrayRef<OpFoldResult> steps) {
  GraphBuilder &g = n.g;
  Scalars s{g.b, g.loc};
  Term &x = n.in(0);
  SmallVector<Value> places;
  for (OpFoldResult axis : axes)
    places.push_back(openAxis(n, axis, x.rank()));
  SmallVector<Value> begins, strides;
  Dims sizes;
  for (auto [i, dim] : llvm::enumerate(x.dims)) {
    Value begin = s.index(0), step = s.index(1), size = g.math.value(dim);
    for (auto [place, first, last, by] :
         llvm::zip(places, starts, ends, steps)) {
      Value stride = g.math.value(by);
      cf::AssertOp::create(g.b, g.loc,
                           s.cmp(arith::CmpIPredicate::ne, stride, s.index(0)),
                           "Slice: a step is 0");
      // Larger ones than any dimension do the same, and can't overflow.
      stride = bounded(s, stride);
      Value isForward = s.cmp(arith::CmpIPredicate::sgt, stride, s.index(0));
      OpFoldResult zero = g.math.constant(0), one = g.math.constant(1);
      // Forwards within [0, dim]; backwards within [0, dim) from, [-1, dim) to.
      OpFoldResult from = g.math.wrap(first, dim), to = g.math.wrap(last, dim);
      OpFoldResult down = to;
      if (auto known = getConstantIntValue(last); known && *known <= -INT32_MAX)
        down = g.math.constant(-1); // before the first
      OpFoldResult top = g.math.sub(dim, one);
      Value begun =
          s.select(isForward, g.math.value(g.math.clamp(from, dim)),
                   g.math.value(g.math.min(g.math.max(from, zero), top)));
      Value end = s.select(
          isForward, g.math.value(g.math.clamp(to, dim)),
          g.math.value(g.math.min(g.math.max(down, g.math.constant(-1)), top)));
      Value count = arith::CeilDivSIOp::create(
          g.b, g.loc, s.make<arith::SubIOp>(end, begun), stride);
      count = s.make<arith::MaxSIOp>(count, s.index(0));
      Value here = s.cmp(arith::CmpIPredicate::eq, place, s.index(i));
      begin = s.select(here, begun, begin);
      step = s.select(here, stride, step);
      size = s.select(here, count, size);
    }
    g.math.markNonNegative(size);
    begins.push_back(begin);
    strides.push_back(step);
    sizes.push_back(size);
  }
  Value input = n.tensor(0);
  return n.set(
      g.generate(
          sizes, n.type(x),
          [&](Scalars s) {
            SmallVector<Value> at;
            for (auto [i, begin, step] : llvm::enumerate(begins, strides))
              at.push_back(s.clamped(
                  s.make<arith::AddIOp>(
                      begin, s.make<arith::MulIOp>(s.loopIndex(i), step)),
                  input, i));
            return s.at(input, at);
          }),
      sizes);
}

static LogicalResult buildSlice(Node &n) {
  GraphBuilder &g = n.g;
  Term x = n.in(0);
  std::optional<Dims> starts = g.indices(n.in(1)), ends = g.indices(n.in(2));
  if (!starts || !ends || starts->size() != ends->size())
    return n.fail("needs as many starts as ends, of a known number");
  Dims allAxes, allSteps(starts->size(), g.math.constant(1));
  for (size_t i = 0; i < starts->size(); ++i)
    allAxes.push_back(g.math.constant(i));
  for (auto [i, list] : {std::pair(3, &allAxes), std::pair(4, &allSteps)}) {
    if (!n.has(i))
      continue;
    std::optional<Dims> given = g.indices(n.in(i));
    if (!given || given->size() != starts->size())
      return n.fail("needs as many axes and steps as starts");
    *list = *given;
  }
  auto axes = getConstantIntValues(allAxes),
       steps = getConstantIntValues(allSteps);
  if (!axes || !steps) {
    if (x.rows)
      return n.fail("has axes or steps that are not constant");
    return buildOpenSlice(n, *starts, *ends, allAxes, allSteps);
  }
  for (size_t i = 0; i < axes->size(); ++i) {
    FailureOr<int64_t> axis = n.axis(n.in(0), (*axes)[i]);
    if (failed(axis))
      return failure();
    OpFoldResult dim = x.dims[*axis], zero = g.math.constant(0);
    // Larger ones than any dimension do the same, and can't overflow.
    int64_t step = std::clamp((*steps)[i], -largest, largest);
    if (step == 0)
      return n.fail("has a step of 0");
    if (step > 0) {
      OpFoldResult begin = g.math.clamp(g.math.wrap((*starts)[i], dim), dim);
      OpFoldResult end = g.math.clamp(g.math.wrap((*ends)[i], dim), dim);
      // From the end on there is nothing, wherever it ends.
      OpFoldResult span = g.math.same(begin, dim)
                              ? zero
                              : g.math.max(g.math.sub(end, begin), zero);
      if (step == 1) {
        // begin + span <= dim also where the end lies before the begin.
        x = part(n, x, *axis, begin, span);
      } else {
        OpFoldResult size = g.math.div(
            g.math.add(span, g.math.constant(step - 1)), g.math.constant(step));
        x = strided(n, x, *axis, begin, size, step);
      }
      continue;
    }
    // Backwards: from 0 to dim - 1, down to at least -1, excluded. A start before
    // the first element is the first one (in NumPy nothing would be left).
    OpFoldResult last = g.math.sub(dim, g.math.constant(1));
    OpFoldResult begin =
        g.math.min(g.math.max(g.math.wrap((*starts)[i], dim), zero), last);
    OpFoldResult end = g.math.min(
        g.math.max(g.math.wrap((*ends)[i], dim), g.math.constant(-1)), last);
    // "Before the first" is written as a huge negative number.
    if (auto known = getConstantIntValue((*ends)[i]);
        known && *known <= -INT32_MAX)
      end = g.math.constant(-1);
    OpFoldResult span = g.math.max(g.math.sub(begin, end), zero);
    OpFoldResult size = g.math.div(g.math.add(span, g.math.constant(-step - 1)),
                                   g.math.constant(-step));
    x = strided(n, x, *axis, begin, size, step);
  }
  return n.set(0, x);
}

static LogicalResult buildSplit(Node &n) {
  GraphBuilder &g = n.g;
  Term &x = n.in(0);
  FailureOr<int64_t> axis = n.axis(x, n.integer("axis", 0));
  if (failed(axis))
    return failure();
  unsigned count = n.proto.output_size();
  OpFoldResult dim = x.dims[*axis];
  Dims sizes;
  if (n.has(1)) {
    std::optional<Dims> given = g.indices(n.in(1));
    if (!given || given->size() != count)
      return n.fail("needs a size for each of its " + Twine(count) +
                    " results");
    sizes = *given;
    OpFoldResult total = g.math.constant(0);
    int64_t sumOfKnown = 0;
    for (OpFoldResult &size : sizes) {
      if (failed(n.checkSize(size)))
        return failure();
      auto known = getConstantIntValue(size);
      if (known && AddOverflow(sumOfKnown, *known, sumOfKnown))
        return n.fail("has sizes that are larger than any dimension");
      // So that the sum is what it seems.
      if (!known && failed(n.checkAtMost(
                        size, dim, "a size is larger than the dimension")))
        return failure();
      total = g.math.add(total, size);
    }
    auto sum = getConstantIntValue(total), whole = getConstantIntValue(dim);
    if (sum && whole && *sum != *whole)
      return n.fail("splits " + Twine(*whole) + " elements into " +
                    Twine(*sum));
    g.math.check(total, dim, "Split: the sizes must add up to the dimension");
  } else {
    // Equal parts, the last one smaller.
    OpFoldResult size = g.math.div(g.math.add(dim, g.math.constant(count - 1)),
                                   g.math.constant(count));
    OpFoldResult rest = dim;
    for (unsigned i = 0; i < count; ++i) {
      sizes.push_back(g.math.min(size, rest));
      rest = g.math.sub(rest, sizes.back());
    }
  }
  OpFoldResult begin = g.math.constant(0);
  for (unsigned i = 0; i < count; ++i) {
    if (failed(n.set(i, part(n, x, *axis, begin, sizes[i]))))
      return failure();
    begin = g.math.add(begin, sizes[i]);
  }
  return success();
}

static LogicalResult buildConcat(Node &n) {
  GraphBuilder &g = n.g;
  FailureOr<int64_t> axis = n.axis(n.in(0), n.integer("axis", 0));
  if (failed(axis))
    return failure();
  SmallVector<Term *> pieces;
  bool allRecipes = true, allElements = true;
  for (unsigned i = 0; i < n.size(); ++i) {
    Term &piece = n.in(i);
    if (piece.rank() != n.in(0).rank() || piece.dtype != n.in(0).dtype)
      return n.fail("needs inputs of one rank and element type");
    allRecipes &= bool(piece.recipe);
    // Small integer tensors are asked for their values one by one.
    if (n.in(0).rank() == 1 && isInteger(piece.dtype) && !piece.elements) {
      auto size = getConstantIntValue(piece.dims[0]);
      if (size && *size <= 4)
        (void)g.indices(piece);
    }
    allElements &= piece.elements.has_value();
    pieces.push_back(&piece);
  }
  if (allElements && n.in(0).rank() == 1) {
    Dims elements;
    for (Term *piece : pieces)
      elements.append(piece->elements->begin(), piece->elements->end());
    if (elements.size() <= 64)
      return n.set(0, g.fromElements(n.in(0).dtype, elements));
  }
  Dims dims(n.in(0).dims);
  for (Term *piece : ArrayRef(pieces).drop_front())
    for (int64_t i = 0; i < piece->rank(); ++i) {
      if (i == *axis) {
        dims[i] = g.math.add(dims[i], piece->dims[i]);
        continue;
      }
      auto a = getConstantIntValue(dims[i]),
           c = getConstantIntValue(piece->dims[i]);
      if (a && c && *a != *c)
        return n.fail("inputs have " + Twine(*a) + " and " + Twine(*c) +
                      " elements along axis " + Twine(i));
      g.math.check(dims[i], piece->dims[i],
                   "Concat: inputs differ along another axis");
      if (c)
        dims[i] = piece->dims[i];
    }
  if (allRecipes) {
    SmallVector<qtale::RecipeAttrInterface> inputs;
    for (Term *piece : pieces)
      inputs.push_back(piece->recipe);
    if (recipes::isLarge(inputs))
      return n.fail("puts together too many pieces of weights; store what it "
                    "gives in the model");
    double elements = 1;
    for (OpFoldResult dim : dims)
      elements *= *getConstantIntValue(dim);
    if (elements > 0x1p43)
      return n.fail("gives a weight larger than any file that can be mapped");
    Term result = g.make(n.in(0).dtype, {}, dims);
    result.recipe = recipes::concat(inputs, *axis);
    result.name = n.in(0).name;
    return n.set(0, result);
  }
  return n.set(g.concat(pieces, *axis, dims, n.type(n.in(0))), dims);
}

/// Along an axis of one row; all inputs are rows.
static LogicalResult buildConcatRows(StepNode &n) {
  for (unsigned i = 0; i < n.size(); ++i)
    if (!n.in(i).rows || !(*n.in(i).rows == *n.in(0).rows))
      return n.fail("joins tokens with something else");
  if (failed(buildConcat(n)))
    return failure();
  return n.keepRows();
}

static LogicalResult buildTile(Node &n) {
  GraphBuilder &g = n.g;
  Term &x = n.in(0);
  std::optional<Dims> repeats = g.indices(n.in(1));
  if (!repeats || (int64_t)repeats->size() != x.rank())
    return n.fail("needs a number of repeats for each axis");
  Dims dims;
  for (auto [dim, count] : llvm::zip(x.dims, *repeats)) {
    if (failed(n.checkSize(count)))
      return failure();
    dims.push_back(g.math.mul(dim, count));
  }
  Value input = g.tensor(x);
  SmallVector<Value> sizes;
  for (OpFoldResult dim : x.dims)
    sizes.push_back(g.math.value(dim));
  Value value = g.generate(dims, n.type(x), [&](Scalars s) {
    SmallVector<Value> at;
    for (int64_t i = 0; i < x.rank(); ++i)
      // The loop is empty where the dimension is 0, but division is not lazy.
      at.push_back(s.make<arith::RemUIOp>(
          s.loopIndex(i), s.make<arith::MaxUIOp>(sizes[i], s.index(1))));
    return s.at(input, at);
  });
  return n.set(value, dims);
}

static LogicalResult buildTrilu(Node &n) {
  GraphBuilder &g = n.g;
  Term &x = n.in(0);
  if (x.rank() < 2)
    return n.fail("needs at least 2 dimensions");
  bool upper = n.integer("upper", 1);
  Value diagonal = g.math.value(g.math.constant(0));
  if (n.has(1)) {
    std::optional<Dims> k = g.indices(n.in(1));
    if (!k || k->size() != 1)
      return n.fail("needs one number k");
    diagonal = bounded(Scalars{g.b, g.loc}, g.math.value(k->front()));
  }
  Type type = n.type(x);
  Value value = g.elementwise({&x}, x.dims, type, [&](Scalars s, ValueRange v) {
    Value row = s.make<arith::AddIOp>(s.loopIndex(x.rank() - 2), diagonal);
    Value keep =
        s.cmp(upper ? arith::CmpIPredicate::sge : arith::CmpIPredicate::sle,
              s.loopIndex(x.rank() - 1), row);
    return s.select(keep, v[0], s.constant(v[0].getType(), 0));
  });
  return n.set(value, x.dims);
}

void qtale::onnx_import::addSlice(NodeTable &table) {
  table.add("Slice", 13, buildSlice, RowsRule::Axes)
      .refuses("starts, ends, axes or steps of unknown number", rankIsKnown);
  table.add("Split", 18, buildSplit, RowsRule::Axes)
      .refuses("sizes of unknown number", rankIsKnown);
  table.add("Concat", 13, buildConcat, buildConcatRows);
  table.add("Tile", 13, buildTile)
      .refuses("repeats of unknown number", rankIsKnown);
  table.add("Trilu", 14, buildTrilu);
}
