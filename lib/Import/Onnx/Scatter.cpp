//===- Scatter.cpp - ScatterElements, ScatterND, TensorScatter ------------===//
//
//   ScatterElements   out[.., ids[u], ..] (op)= updates[u]    one element each
//   ScatterND         out[ids[u], :]      (op)= updates[u, :] a slice each
//   TensorScatter     out[b, .., w[b] + i, ..] = update[b, .., i, ..]
//
// Of the first two, updates are applied one after the other, in the order of
// the specification's loop, so that equal indices have one result. The last one
// has no equal indices: each element of the result finds where it comes from.
// An index that is out of range is an error before anything is written.
//
//===----------------------------------------------------------------------===//

#include "Node.h"
#include "NodeTable.h"

#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace llvm;
using namespace mlir;
using namespace qtale::onnx_import;
using arith::CmpIPredicate;

//===----------------------------------------------------------------------===//
// What the inputs must be
//===----------------------------------------------------------------------===//

/// Asserts -limit <= index < limit for all indices; `limit` is asked for the
/// number of an index in the last dimension.
static LogicalResult checkIndices(Node &n, Term &ids,
                                  ArrayRef<OpFoldResult> limits) {
  GraphBuilder &g = n.g;
  auto known = g.integers(ids);
  if (known && llvm::all_of(limits, getConstantIntValue)) {
    for (auto [i, id] : llvm::enumerate(*known)) {
      int64_t limit = *getConstantIntValue(limits[i % limits.size()]);
      if (id < -limit || id >= limit)
        return n.fail("index " + Twine(id) + " is outside of an axis of " +
                      Twine(limit) + " elements");
    }
    return success();
  }
  SmallVector<Value> bounds;
  for (OpFoldResult limit : limits)
    bounds.push_back(g.math.value(limit));
  Scalars outer{g.b, g.loc};
  Value valid = g.reduce(
      g.tensor(ids), ids.dims,
      llvm::to_vector(llvm::seq<int64_t>(0, ids.rank())),
      outer.integer(g.b.getI1Type(), 1), [&](Scalars s, ValueRange v) {
        Value id =
            arith::IndexCastOp::create(s.b, s.loc, s.b.getIndexType(), v[0]);
        Value limit = bounds[0];
        for (size_t i = 1; i < bounds.size(); ++i)
          limit = s.select(
              s.cmp(CmpIPredicate::eq, s.loopIndex(ids.rank() - 1), s.index(i)),
              bounds[i], limit);
        // [-limit, limit), moved to [0, 2 * limit).
        Value moved = s.make<arith::AddIOp>(id, limit);
        Value twice = s.make<arith::AddIOp>(limit, limit);
        return s.make<arith::AndIOp>(v[1],
                                     s.cmp(CmpIPredicate::ult, moved, twice));
      });
  n.require(tensor::ExtractOp::create(g.b, g.loc, valid, ValueRange()),
            "an index of " + n.inputName(1) + " is out of range");
  return success();
}

//===----------------------------------------------------------------------===//
// One update after the other
//===----------------------------------------------------------------------===//

namespace {
enum class Combine { Replace, Add, Multiply, Minimum, Maximum };
} // namespace

static FailureOr<Combine> combineOf(Node &n) {
  std::string name = n.text("reduction", "none");
  auto found = llvm::StringSwitch<std::optional<Combine>>(name)
                   .Case("none", Combine::Replace)
                   .Case("add", Combine::Add)
                   .Case("mul", Combine::Multiply)
                   .Case("min", Combine::Minimum)
                   .Case("max", Combine::Maximum)
                   .Default(std::nullopt);
  if (!found)
    return n.fail("the reduction '" + name +
                  "' is not one of none, add, mul, min and max");
  return *found;
}

/// Of truth values, sums and maxima are "or", products and minima "and".
static Value combine(Scalars s, Combine how, bool isUnsigned, Value old,
                     Value update) {
  if (how == Combine::Replace)
    return update;
  Type type = old.getType();
  bool sum = how == Combine::Add || how == Combine::Maximum;
  if (type.isInteger(1))
    return sum ? s.make<arith::OrIOp>(old, update)
               : s.make<arith::AndIOp>(old, update);
  if (isa<FloatType>(type)) {
    Type wide = type.isF64() ? type : Type(s.b.getF32Type());
    Value a = s.convert(old, wide, false, false),
          c = s.convert(update, wide, false, false);
    Value result = how == Combine::Add        ? s.make<arith::AddFOp>(a, c)
                   : how == Combine::Multiply ? s.make<arith::MulFOp>(a, c)
                   : how == Combine::Minimum  ? s.make<arith::MinimumFOp>(a, c)
                                              : s.make<arith::MaximumFOp>(a, c);
    return s.convert(result, type, false, false);
  }
  switch (how) {
  case Combine::Add:
    return s.make<arith::AddIOp>(old, update);
  case Combine::Multiply:
    return s.make<arith::MulIOp>(old, update);
  case Combine::Minimum:
    return isUnsigned ? s.make<arith::MinUIOp>(old, update)
                      : s.make<arith::MinSIOp>(old, update);
  default:
    return isUnsigned ? s.make<arith::MaxUIOp>(old, update)
                      : s.make<arith::MaxSIOp>(old, update);
  }
}

/// Loops over all indices of `dims`, one in the other, that carry a tensor.
static Value nest(Scalars s, ArrayRef<Value> dims, Value carried,
                  SmallVector<Value> &at,
                  llvm::function_ref<Value(Scalars, Value)> body) {
  if (dims.empty())
    return body(s, carried);
  auto loop = scf::ForOp::create(
      s.b, s.loc, s.index(0), dims.front(), s.index(1), carried,
      [&](OpBuilder &b, Location loc, Value i, ValueRange inner) {
        at.push_back(i);
        Value result =
            nest(Scalars{b, loc}, dims.drop_front(), inner.front(), at, body);
        at.pop_back();
        scf::YieldOp::create(b, loc, result);
      });
  return loop.getResult(0);
}

/// An index that may count from the end.
static Value wrapped(Scalars s, Value id, Value dim) {
  Value at = arith::IndexCastOp::create(s.b, s.loc, s.b.getIndexType(), id);
  return s.select(s.cmp(CmpIPredicate::slt, at, s.index(0)),
                  s.make<arith::AddIOp>(at, dim), at);
}

static SmallVector<Value> values(GraphBuilder &g, ArrayRef<OpFoldResult> dims) {
  return llvm::map_to_vector(
      dims, [&](OpFoldResult dim) { return g.math.value(dim); });
}

static LogicalResult buildScatterElements(Node &n) {
  GraphBuilder &g = n.g;
  Term &data = n.in(0), &ids = n.in(1), &updates = n.in(2);
  FailureOr<int64_t> axis = n.axis(data, n.integer("axis", 0));
  FailureOr<Combine> how = combineOf(n);
  if (failed(axis) || failed(how))
    return failure();
  if (ids.rank() != data.rank() || updates.rank() != data.rank())
    return n.fail("needs data, indices and updates of one rank");
  for (int64_t i = 0; i < data.rank(); ++i) {
    if (failed(n.checkEqual(ids.dims[i], updates.dims[i],
                            "the shapes of indices and updates differ")))
      return failure();
    if (i != *axis &&
        failed(n.checkAtMost(ids.dims[i], data.dims[i],
                             "the indices are more than the data along axis " +
                                 Twine(i))))
      return failure();
  }
  if (failed(checkIndices(n, ids, data.dims[*axis])))
    return failure();
  Value index = g.tensor(ids), update = g.tensor(updates),
        dim = g.math.value(data.dims[*axis]);
  SmallVector<Value> loops;
  Value result =
      nest(Scalars{g.b, g.loc}, values(g, ids.dims), g.tensor(data), loops,
           [&](Scalars s, Value out) -> Value {
             SmallVector<Value> at(loops);
             at[*axis] = wrapped(s, s.at(index, loops), dim);
             Value value = combine(s, *how, isUnsigned(data.dtype),
                                   s.at(out, at), s.at(update, loops));
             return tensor::InsertOp::create(s.b, s.loc, value, out, at);
           });
  return n.set(result, data.dims);
}

static LogicalResult buildScatterND(Node &n) {
  GraphBuilder &g = n.g;
  Term &data = n.in(0), &ids = n.in(1), &updates = n.in(2);
  FailureOr<Combine> how = combineOf(n);
  if (failed(how))
    return failure();
  auto depth = ids.rank() ? getConstantIntValue(ids.dims.back()) : std::nullopt;
  if (!depth || *depth < 1 || *depth > data.rank())
    return n.fail("needs indices whose last dimension is known, from 1 to the "
                  "data's rank");
  Dims outer(ArrayRef(ids.dims).drop_back()),
      slice(ArrayRef(data.dims).drop_front(*depth)), all(outer);
  all.append(slice);
  if (updates.rank() != int64_t(all.size()))
    return n.fail("needs updates of " + Twine(all.size()) + " dimensions");
  for (auto [own, wanted] : llvm::zip_equal(updates.dims, all))
    if (failed(n.checkEqual(own, wanted,
                            "the updates' shape is not that of the indices and "
                            "a slice of the data")))
      return failure();
  if (failed(checkIndices(n, ids, ArrayRef(data.dims).take_front(*depth))))
    return failure();
  Value index = g.tensor(ids), update = g.tensor(updates);
  SmallVector<Value> dims = values(g, data.dims), number, loops;
  for (int64_t i = 0; i < *depth; ++i)
    number.push_back(g.math.value(g.math.constant(i)));
  Value result =
      nest(Scalars{g.b, g.loc}, values(g, outer), g.tensor(data), loops,
           [&](Scalars s, Value out) {
             // Indices are read once for each slice.
             SmallVector<Value> where(loops), at;
             for (int64_t i = 0; i < *depth; ++i) {
               where.push_back(number[i]);
               at.push_back(wrapped(s, s.at(index, where), dims[i]));
               where.pop_back();
             }
             SmallVector<Value> inner;
             return nest(
                 s, ArrayRef(dims).drop_front(*depth), out, inner,
                 [&](Scalars s, Value out) -> Value {
                   SmallVector<Value> to(at), from(loops);
                   to.append(inner);
                   from.append(inner);
                   Value value = combine(s, *how, isUnsigned(data.dtype),
                                         s.at(out, to), s.at(update, from));
                   return tensor::InsertOp::create(s.b, s.loc, value, out, to);
                 });
           });
  return n.set(result, data.dims);
}

//===----------------------------------------------------------------------===//
// TensorScatter
//===----------------------------------------------------------------------===//

static LogicalResult buildTensorScatter(Node &n) {
  GraphBuilder &g = n.g;
  Term &past = n.in(0), &update = n.in(1);
  FailureOr<int64_t> axis = n.axis(past, n.integer("axis", -2));
  if (failed(axis))
    return failure();
  if (*axis == 0 || update.rank() != past.rank())
    return n.fail("needs an update of the cache's rank, and an axis that is "
                  "not the batch");
  std::string mode = n.text("mode", "linear");
  if (mode != "linear" && mode != "circular")
    return n.fail("the mode '" + mode + "' is not linear or circular");
  bool circular = mode == "circular";
  for (int64_t i = 0; i < past.rank(); ++i)
    if (i != *axis &&
        failed(n.checkEqual(update.dims[i], past.dims[i],
                            "the shapes of cache and update differ")))
      return failure();
  OpFoldResult most = past.dims[*axis], count = update.dims[*axis];
  if (failed(n.checkAtMost(count, most, "the update is longer than the cache")))
    return failure();
  bool given = n.has(2);
  if (given && (n.in(2).rank() != 1 ||
                failed(n.checkEqual(n.in(2).dims[0], past.dims[0],
                                    "needs a write index for each batch"))))
    return n.in(2).rank() == 1 ? failure()
                               : n.fail("needs write indices of one dimension");

  Value old = g.tensor(past), fresh = g.tensor(update),
        index = given ? n.tensor(2) : Value();
  Value size = g.math.value(most), length = g.math.value(count);
  if (given) {
    // From 0; where the cache does not wrap around, also to its end.
    Scalars outer{g.b, g.loc};
    Value valid = g.reduce(
        index, n.in(2).dims, {0}, outer.integer(g.b.getI1Type(), 1),
        [&](Scalars s, ValueRange v) {
          Value at =
              arith::IndexCastOp::create(s.b, s.loc, s.b.getIndexType(), v[0]);
          Value end = s.make<arith::AddIOp>(at, length);
          Value ok = circular ? s.cmp(CmpIPredicate::sge, at, s.index(0))
                              : s.make<arith::AndIOp>(
                                    s.cmp(CmpIPredicate::sge, at, s.index(0)),
                                    s.cmp(CmpIPredicate::ule, end, size));
          return s.make<arith::AndIOp>(v[1], ok);
        });
    n.require(tensor::ExtractOp::create(g.b, g.loc, valid, ValueRange()),
              n.inputName(2) +
                  (circular
                       ? " has an index below 0"
                       : " has an index at which the update leaves the cache"));
  }
  Type type = n.type(past);
  Value result = g.generate(past.dims, type, [&](Scalars s) -> Value {
    SmallVector<Value> at;
    for (int64_t i = 0; i < past.rank(); ++i)
      at.push_back(s.loopIndex(i));
    // Which element of the update stands here, if one does.
    Value from = at[*axis];
    if (given) {
      Value begin = arith::IndexCastOp::create(s.b, s.loc, s.b.getIndexType(),
                                               s.at(index, at[0]));
      if (circular)
        begin = s.make<arith::RemUIOp>(begin, size);
      from = s.make<arith::SubIOp>(from, begin);
      if (circular)
        from = s.select(s.cmp(CmpIPredicate::slt, from, s.index(0)),
                        s.make<arith::AddIOp>(from, size), from);
    }
    // As unsigned numbers, places before the first are beyond the last.
    auto branch = scf::IfOp::create(
        s.b, s.loc, s.cmp(CmpIPredicate::ult, from, length),
        [&](OpBuilder &b, Location loc) {
          SmallVector<Value> there(at);
          there[*axis] = from;
          scf::YieldOp::create(b, loc, Scalars{b, loc}.at(fresh, there));
        },
        [&](OpBuilder &b, Location loc) {
          scf::YieldOp::create(b, loc, Scalars{b, loc}.at(old, at));
        });
    return branch.getResult(0);
  });
  return n.set(result, past.dims);
}

void qtale::onnx_import::addScatter(NodeTable &table) {
  // Deprecated, and the same without reductions.
  table.add("Scatter", 11, buildScatterElements);
  table.add("ScatterElements", 18, buildScatterElements);
  table.add("ScatterND", 18, buildScatterND)
      .refuses("indices whose last dimension is known only at run time",
               rankIsKnown);
  table.add("TensorScatter", {24}, buildTensorScatter);
}
