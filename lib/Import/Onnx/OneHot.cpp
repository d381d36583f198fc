//===- OneHot.cpp - Ones where an index says so ---------------------------===//
//
//   OneHot   values[1] at the index, values[0] elsewhere, along a new axis
//   Hardmax  1 at the first largest element of each line
//   EyeLike  1 on a diagonal
//
//===----------------------------------------------------------------------===//

#include "NodeTable.h"
#include "OpenAxes.h"

#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace llvm;
using namespace mlir;
using namespace qtale::onnx_import;
using arith::CmpIPredicate;
using onnx::TensorProto;

/// The depth, of any type of number.
static std::optional<OpFoldResult> depthOf(Node &n) {
  GraphBuilder &g = n.g;
  Term &depth = n.in(1);
  if (!depth.isScalar())
    return std::nullopt;
  if (!isFloat(depth.dtype)) {
    std::optional<Dims> known = g.indices(depth);
    return known ? std::optional(known->front()) : std::nullopt;
  }
  Scalars s{g.b, g.loc};
  Value number = s.at(g.reshape(n.tensor(1), depth.dims, {}), {});
  Value whole = s.convert(number, g.b.getI64Type(), false, false);
  return OpFoldResult(
      arith::IndexCastOp::create(g.b, g.loc, g.b.getIndexType(), whole)
          .getResult());
}

static LogicalResult buildOneHot(Node &n) {
  GraphBuilder &g = n.g;
  Term &indices = n.in(0), &values = n.in(2);
  std::optional<OpFoldResult> depth = depthOf(n);
  if (!depth)
    return n.fail("needs a depth of one number");
  int64_t rank = indices.rank() + 1, axis = n.integer("axis", -1);
  if (axis < -rank || axis >= rank)
    return n.fail("axis " + Twine(axis) + " is outside of the result's " +
                  Twine(rank) + " axes");
  axis += axis < 0 ? rank : 0;
  if (values.rank() != 1)
    return n.fail("needs two values: off and on");
  if (failed(n.checkEqual(values.dims[0], g.math.constant(2),
                          "the values must be two")))
    return failure();
  Dims dims(indices.dims);
  dims.insert(dims.begin() + axis, g.math.max(*depth, g.math.constant(0)));
  Value size = g.math.value(*depth), list = n.tensor(0), both = n.tensor(2);
  Value result = g.generate(dims, n.type(values), [&](Scalars s) {
    SmallVector<Value> at;
    for (int64_t i = 0; i < rank; ++i)
      if (i != axis)
        at.push_back(s.loopIndex(i));
    Value number = s.convert(s.at(list, at), s.b.getI64Type(),
                             isUnsigned(indices.dtype), false);
    Value index =
        arith::IndexCastOp::create(s.b, s.loc, s.b.getIndexType(), number);
    // Without a sign there is no counting from the end.
    if (!isUnsigned(indices.dtype)) {
      Value isNegative = s.cmp(CmpIPredicate::slt, index, s.index(0));
      index = s.select(isNegative, s.make<arith::AddIOp>(index, size), index);
    }
    Value isOn = s.cmp(CmpIPredicate::eq, index, s.loopIndex(axis));
    return s.select(isOn, s.at(both, s.index(1)), s.at(both, s.index(0)));
  });
  return n.set(0, g.make(values.dtype, result, dims));
}

static LogicalResult buildHardmax(Node &n) {
  GraphBuilder &g = n.g;
  Term &x = n.in(0);
  FailureOr<int64_t> axis = n.axis(x, n.integer("axis", -1));
  if (failed(axis))
    return failure();
  Value input = n.tensor(0);
  Type type = n.type(x), index = g.b.getI64Type();
  Dims lines(x.dims);
  lines[*axis] = g.math.constant(1);
  // The place of each line's first largest element.
  Value places = g.generate(lines, index, [&](Scalars s) -> Value {
    SmallVector<Value> at;
    for (int64_t i = 0; i < x.rank(); ++i)
      at.push_back(s.loopIndex(i));
    Value size = tensor::DimOp::create(s.b, s.loc, input, *axis);
    auto element = [&](Scalars s, Value place) {
      SmallVector<Value> here(at);
      here[*axis] = s.clamped(place, input, *axis);
      return s.convert(s.at(input, here), g.computeType(type), false, false);
    };
    Value none = s.index(0);
    auto loop = scf::ForOp::create(
        s.b, s.loc, none, size, s.index(1), none,
        [&](OpBuilder &b, Location loc, Value i, ValueRange best) {
          Scalars inner{b, loc};
          Value isLarger = arith::CmpFOp::create(
              b, loc, arith::CmpFPredicate::OGT, element(inner, i),
              element(inner, best.front()));
          scf::YieldOp::create(b, loc, inner.select(isLarger, i, best.front()));
        });
    return arith::IndexCastOp::create(s.b, s.loc, index, loop.getResult(0));
  });
  Term line = g.make(TensorProto::INT64, places, lines);
  Value result =
      g.elementwise({&line}, x.dims, type, [&](Scalars s, ValueRange v) {
        Value own =
            arith::IndexCastOp::create(s.b, s.loc, index, s.loopIndex(*axis));
        Type wide = g.computeType(type);
        return s.select(s.cmp(CmpIPredicate::eq, v[0], own),
                        s.constant(wide, 1), s.constant(wide, 0));
      });
  return n.set(result, x.dims);
}

static LogicalResult buildEyeLike(Node &n) {
  GraphBuilder &g = n.g;
  Term &x = n.in(0);
  if (x.rank() != 2)
    return n.fail("needs a matrix");
  int32_t dtype = n.integer("dtype", x.dtype);
  Type type = elementType(g.context(), dtype);
  if (!type)
    return n.fail("element type " + Twine(dtype) + " is not supported");
  int64_t k = n.integer("k", 0);
  Value result = g.generate(x.dims, type, [&](Scalars s) {
    Value diagonal = s.make<arith::AddIOp>(s.loopIndex(0), s.index(k));
    return s.select(s.cmp(CmpIPredicate::eq, diagonal, s.loopIndex(1)),
                    s.constant(type, 1), s.constant(type, 0));
  });
  return n.set(0, g.make(dtype, result, x.dims));
}

void qtale::onnx_import::addOneHot(NodeTable &table) {
  table.add("OneHot", {11, 28}, buildOneHot);
  table.add("Hardmax", 13, buildHardmax, RowsRule::Axes);
  table.add("EyeLike", 22, buildEyeLike);
}
