//===- Selection.cpp - TopK, ArgMax, ArgMin -------------------------------===//
//
//   TopK keeps where the k best elements of a slice stand in a heap, the worst
//   on top, in the result itself: no more memory, O(n log k) in the worst case.
//
//      5 9 4 | 7 2 8 …       heap of the first k = 3
//      └──▶ 4                7 is better than the top:  it sinks in its place
//          9 5
//      at last the top goes to the end, one by one:  9 8 7
//
//   Values are read from the slice, also for the other result. (A heap of both
//   would need both results: what is not used loses its memory.)
//
// Of equal elements the first one is better. NaN counts as larger than all
// numbers (TopK); it is what ArgMax and ArgMin find, as NumPy has it.
//
//===----------------------------------------------------------------------===//

#include "Node.h"
#include "NodeTable.h"

#include "mlir/Dialect/ControlFlow/IR/ControlFlowOps.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace llvm;
using namespace mlir;
using namespace qtale::onnx_import;
using arith::CmpFPredicate;
using arith::CmpIPredicate;
using onnx::TensorProto;

namespace {

/// An order of elements of one type.
struct Order {
  bool isUnsigned;

  /// a > c; NaN is above all.
  Value above(Scalars s, Value a, Value c) const {
    if (isa<FloatType>(a.getType()))
      return precedes(s, CmpFPredicate::UGT, a, c);
    return s.cmp(isUnsigned ? CmpIPredicate::ugt : CmpIPredicate::sgt, a, c);
  }
  /// a < c; NaN is below all.
  Value below(Scalars s, Value a, Value c) const {
    if (isa<FloatType>(a.getType()))
      return precedes(s, CmpFPredicate::ULT, a, c);
    return s.cmp(isUnsigned ? CmpIPredicate::ult : CmpIPredicate::slt, a, c);
  }

private:
  /// Compares, where a may be NaN and c is not.
  static Value precedes(Scalars s, CmpFPredicate predicate, Value a, Value c) {
    Value ordered = arith::CmpFOp::create(s.b, s.loc, CmpFPredicate::ORD, c, c);
    Value first = arith::CmpFOp::create(s.b, s.loc, predicate, a, c);
    return s.make<arith::AndIOp>(first, ordered);
  }
};

/// An element of a slice, and where it stands there.
struct Candidate {
  Value value, index;
};

/// Reads an element of a slice.
using Read = llvm::function_ref<Value(Scalars, Value)>;

/// The best elements of a slice: a heap whose top is the worst of them.
class Heap {
public:
  Heap(Order order, bool largest, Read read, Value indices)
      : indices(indices), order(order), largest(largest), read(read) {}

  /// int64, in the result's memory.
  Value indices;

  /// Element `index` of the slice.
  Candidate numbered(Scalars s, Value index) const {
    Type i64 = s.b.getI64Type();
    return {read(s, index), arith::IndexCastOp::create(s.b, s.loc, i64, index)};
  }
  /// Element `i` of the heap.
  Candidate at(Scalars s, Value i) const {
    Value number = s.at(indices, i);
    Value index =
        arith::IndexCastOp::create(s.b, s.loc, s.b.getIndexType(), number);
    return {read(s, index), number};
  }
  void put(Scalars s, Value i, Value index) {
    indices = tensor::InsertOp::create(s.b, s.loc, index, indices, i);
  }
  /// Whether a's value alone makes it better.
  Value better(Scalars s, Value a, Value c) const {
    return largest ? order.above(s, a, c) : order.above(s, c, a);
  }
  Value better(Scalars s, Candidate a, Candidate c) const {
    Value first = s.cmp(CmpIPredicate::slt, a.index, c.index);
    Value notWorse = s.make<arith::XOrIOp>(better(s, c.value, a.value),
                                           s.integer(s.b.getI1Type(), 1));
    return s.make<arith::OrIOp>(better(s, a.value, c.value),
                                s.make<arith::AndIOp>(notWorse, first));
  }
  /// For each i from `from` to `to`, in a loop that carries the heap.
  void forEach(Scalars s, Value from, Value to,
               llvm::function_ref<void(Scalars, Heap &, Value)> body);
  /// Puts an element into a hole, from where it sinks through so many levels, if
  /// any: worse children rise.
  void sink(Scalars s, Value hole, Candidate what, Value size, Value levels);

private:
  Order order;
  bool largest;
  Read read;
};

} // namespace

void Heap::forEach(Scalars s, Value from, Value to,
                   llvm::function_ref<void(Scalars, Heap &, Value)> body) {
  auto loop = scf::ForOp::create(
      s.b, s.loc, from, to, s.index(1), indices,
      [&](OpBuilder &b, Location loc, Value i, ValueRange carried) {
        Heap inner(order, largest, read, carried[0]);
        body(Scalars{b, loc}, inner, i);
        scf::YieldOp::create(b, loc, inner.indices);
      });
  indices = loop.getResult(0);
}

void Heap::sink(Scalars s, Value hole, Candidate what, Value size,
                Value levels) {
  Value one = s.index(1), last = s.make<arith::SubIOp>(size, one);
  auto loop = scf::ForOp::create(
      s.b, s.loc, s.index(0), levels, one, ValueRange{indices, hole},
      [&](OpBuilder &b, Location loc, Value, ValueRange carried) {
        Scalars s{b, loc};
        Heap inner(order, largest, read, carried[0]);
        Value hole = carried[1];
        Value left = s.make<arith::AddIOp>(
            s.make<arith::MulIOp>(hole, s.index(2)), s.index(1));
        Value right = s.make<arith::AddIOp>(left, s.index(1));
        // Beyond the end, both are the last element: read, and not taken.
        Value l = s.make<arith::MinSIOp>(left, last);
        Value r = s.make<arith::MinSIOp>(right, last);
        Candidate x = inner.at(s, l), y = inner.at(s, r);
        Value isRight = inner.better(s, x, y);
        Value child = s.select(isRight, r, l);
        Candidate worst{s.select(isRight, y.value, x.value),
                        s.select(isRight, y.index, x.index)};
        Value rises =
            s.make<arith::AndIOp>(s.cmp(CmpIPredicate::slt, left, size),
                                  inner.better(s, what, worst));
        inner.put(s, hole, worst.index);
        hole = s.select(rises, child, hole);
        // At every level: a place that the loop gave would be a result beside
        // the memory, which one thread can't tell the others.
        inner.put(s, hole, what.index);
        scf::YieldOp::create(b, loc, ValueRange{inner.indices, hole});
      });
  indices = loop.getResult(0);
}

/// The best k of n elements, the best one first.
static void select(Scalars s, Heap &heap, Value k, Value n) {
  Value zero = s.index(0), one = s.index(1);
  // As many levels as k has bits.
  Value bits = arith::IndexCastOp::create(s.b, s.loc, s.b.getI64Type(), k);
  bits = math::CountLeadingZerosOp::create(s.b, s.loc, bits);
  Value levels =
      arith::IndexCastOp::create(s.b, s.loc, s.b.getIndexType(), bits);
  levels = s.make<arith::SubIOp>(s.index(64), levels);

  heap.forEach(s, zero, k, [&](Scalars s, Heap &heap, Value i) {
    heap.put(s, i, arith::IndexCastOp::create(s.b, s.loc, s.b.getI64Type(), i));
  });
  Value half = s.make<arith::DivUIOp>(k, s.index(2));
  heap.forEach(s, zero, half, [&](Scalars s, Heap &heap, Value i) {
    Value hole =
        s.make<arith::SubIOp>(s.make<arith::SubIOp>(half, i), s.index(1));
    heap.sink(s, hole, heap.at(s, hole), k, levels);
  });
  // The rest; none where nothing is kept.
  Value from = s.select(s.cmp(CmpIPredicate::eq, k, zero), n, k);
  heap.forEach(s, from, n, [&](Scalars s, Heap &heap, Value i) {
    Value top = s.index(0);
    Candidate next = heap.numbered(s, i), worst = heap.at(s, top);
    Value enters = heap.better(s, next.value, worst.value);
    heap.sink(s, top,
              {s.select(enters, next.value, worst.value),
               s.select(enters, next.index, worst.index)},
              k, s.select(enters, levels, s.index(0)));
  });
  Value many = s.make<arith::MaxSIOp>(k, one);
  heap.forEach(s, one, many, [&](Scalars s, Heap &heap, Value i) {
    Value size = s.make<arith::SubIOp>(k, i);
    Candidate worst = heap.at(s, s.index(0)), last = heap.at(s, size);
    heap.put(s, size, worst.index);
    heap.sink(s, s.index(0), last, size, levels);
  });
}

/// k, at least 0 and at most the axis.
static FailureOr<OpFoldResult> countOf(Node &n, OpFoldResult dim) {
  GraphBuilder &g = n.g;
  std::optional<Dims> given = g.indices(n.in(1));
  if (!given || given->size() != 1)
    return n.fail("needs one number K");
  OpFoldResult k = given->front();
  auto known = getConstantIntValue(k), size = getConstantIntValue(dim);
  if (known && (*known < 0 || (size && *known > *size)))
    return n.fail("takes " + Twine(*known) + " elements of an axis of " +
                  (size ? Twine(*size) : Twine("any size")));
  if (known && size)
    return k;
  if (n.in(0).rows)
    return n.fail("takes a number of elements that is not known");
  Scalars s{g.b, g.loc};
  // A negative number is a huge unsigned one.
  cf::AssertOp::create(
      g.b, g.loc, s.cmp(CmpIPredicate::ule, g.math.value(k), g.math.value(dim)),
      n.inputName(1) + " of TopK must be from 0 to the size of its axis");
  return g.math.max(k, g.math.constant(0));
}

static LogicalResult buildTopK(Node &n) {
  GraphBuilder &g = n.g;
  Term &x = n.in(0);
  if (!x.rank())
    return n.fail("needs an axis to choose along");
  FailureOr<int64_t> axis = n.axis(x, n.integer("axis", -1));
  if (failed(axis))
    return failure();
  FailureOr<OpFoldResult> k = countOf(n, x.dims[*axis]);
  if (failed(k))
    return failure();
  Dims dims(x.dims), slices(x.dims);
  dims[*axis] = *k;
  slices[*axis] = g.math.constant(1);
  Type type = n.type(x), wide = g.computeType(type), i64 = g.b.getI64Type();
  // No slice may be taken of nothing.
  if (llvm::is_contained(staticShape(dims), 0)) {
    (void)n.set(0, g.make(x.dtype, g.empty(dims, type), dims));
    return n.set(1, g.make(TensorProto::INT64, g.empty(dims, i64), dims));
  }
  Value input = g.tensor(x), count = g.math.value(*k),
        size = g.math.value(x.dims[*axis]);
  SmallVector<Value> counts;
  for (OpFoldResult dim : slices)
    counts.push_back(g.math.value(dim));
  auto loop = scf::ForallOp::create(
      g.b, g.loc, ArrayRef(g.math.product(slices)), g.empty(dims, i64),
      std::nullopt, [&](OpBuilder &b, Location loc, ValueRange args) {
        Scalars s{b, loc};
        // The slice's place, from its number.
        Value rest = args[0];
        Dims place(x.rank(), b.getIndexAttr(0)),
            sizes(x.rank(), b.getIndexAttr(1)), strides(sizes);
        SmallVector<Value> at(x.rank(), s.index(0));
        for (int64_t i = x.rank() - 1; i >= 0; --i) {
          if (isConstantIntValue(slices[i], 1))
            continue;
          place[i] = at[i] = s.make<arith::RemUIOp>(rest, counts[i]);
          rest = s.make<arith::DivUIOp>(rest, counts[i]);
        }
        sizes[*axis] = *k;
        auto read = [&](Scalars s, Value i) {
          at[*axis] = i;
          return s.convert(s.at(input, at), wide, false, false);
        };
        auto sliceType = RankedTensorType::get(staticOrDynamic(*k), i64);
        Heap heap(Order{isUnsigned(x.dtype)}, n.integer("largest", 1), read,
                  tensor::ExtractSliceOp::create(b, loc, sliceType, args[1],
                                                 place, sizes, strides));
        select(s, heap, count, size);
        auto end = scf::InParallelOp::create(b, loc);
        b.setInsertionPointToStart(end.getBody());
        tensor::ParallelInsertSliceOp::create(b, loc, heap.indices, args[1],
                                              place, sizes, strides);
      });
  Value indices = loop.getResult(0);
  Value values = g.generate(dims, type, [&](Scalars s) {
    SmallVector<Value> at;
    for (int64_t i = 0; i < x.rank(); ++i)
      at.push_back(s.loopIndex(i));
    at[*axis] = arith::IndexCastOp::create(s.b, s.loc, s.b.getIndexType(),
                                           s.at(indices, at));
    return s.at(input, at);
  });
  (void)n.set(0, g.make(x.dtype, values, dims));
  return n.set(1, g.make(TensorProto::INT64, indices, dims));
}

static LogicalResult buildArg(Node &n) {
  GraphBuilder &g = n.g;
  Term &x = n.in(0);
  if (!x.rank())
    return n.set(0, g.fromElements(TensorProto::INT64, {g.math.constant(0)},
                                   /*scalar=*/true));
  FailureOr<int64_t> axis = n.axis(x, n.integer("axis", 0));
  if (failed(axis))
    return failure();
  bool keep = n.integer("keepdims", 1);
  if (x.rows && !keep)
    return n.fail("removes an axis of each token's values");
  bool last = n.integer("select_last_index", 0);
  bool greatest = n.proto.op_type() == "ArgMax";
  Dims dims(x.dims), reduced(x.dims);
  reduced.erase(reduced.begin() + *axis);
  if (keep)
    dims[*axis] = g.math.constant(1);
  else
    dims = reduced;
  Type wide = g.computeType(n.type(x)), i64 = g.b.getI64Type();
  // Nobody chooses where there are no results.
  OpFoldResult count = g.math.product(reduced);
  if (isConstantIntValue(count, 0))
    return n.set(0, g.make(TensorProto::INT64, g.empty(dims, i64), dims));
  if (failed(n.checkRead(x.dims[*axis], reduced)))
    return failure();
  Scalars outer{g.b, g.loc};

  // A fold of elements and their places: unlike a loop within an elementwise
  // body, it is not repeated for each element of what reads it.
  Order order{isUnsigned(x.dtype)};
  Value input = g.tensor(x);
  SmallVector<AffineExpr> kept;
  SmallVector<utils::IteratorType> loops(x.rank(),
                                         utils::IteratorType::parallel);
  loops[*axis] = utils::IteratorType::reduction;
  for (int64_t i = 0; i < x.rank(); ++i)
    if (i != *axis)
      kept.push_back(g.b.getAffineDimExpr(i));
  AffineMap all = g.b.getMultiDimIdentityMap(x.rank()),
            out = AffineMap::get(x.rank(), 0, kept, g.context());
  Value inits[] = {g.filled(reduced, g.scalar(wide, 0)),
                   g.filled(reduced, outer.integer(i64, -1))};
  Value result =
      linalg::GenericOp::create(
          g.b, g.loc, TypeRange{inits[0].getType(), inits[1].getType()}, input,
          inits, ArrayRef<AffineMap>{all, out, out}, loops,
          [&](OpBuilder &b, Location loc, ValueRange args) {
            Scalars s{b, loc};
            Value next = s.convert(args[0], wide, false, false);
            auto beats = [&](Value a, Value c) {
              return greatest ? order.above(s, a, c) : order.below(s, a, c);
            };
            // The last one of equals is whichever is not beaten.
            Value taken =
                last ? s.make<arith::XOrIOp>(beats(args[1], next),
                                             s.integer(b.getI1Type(), 1))
                     : beats(next, args[1]);
            Value first = s.cmp(CmpIPredicate::slt, args[2], s.integer(i64, 0));
            taken = s.make<arith::OrIOp>(taken, first);
            Value place =
                arith::IndexCastOp::create(b, loc, i64, s.loopIndex(*axis));
            linalg::YieldOp::create(
                b, loc,
                ValueRange{s.select(taken, next, args[1]),
                           s.select(taken, place, args[2])});
          })
          .getResult(1);
  return n.set(0,
               g.make(TensorProto::INT64,
                      keep ? g.reshape(result, reduced, dims) : result, dims));
}

void qtale::onnx_import::addSelection(NodeTable &table) {
  table.add("TopK", {11, 24}, buildTopK, RowsRule::Axes);
  table.add("ArgMax", 13, buildArg, RowsRule::Axes);
  table.add("ArgMin", 13, buildArg, RowsRule::Axes);
}
