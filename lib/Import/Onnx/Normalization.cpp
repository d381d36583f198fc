//===- Normalization.cpp - RMSNormalization and LayerNormalization --------===//
//
//   x [.., D], scale [D]   the last axis: rows of x, one verb
//   x [.., A, D]           earlier axis: the normalized axes collapse to one
//
// Everything is computed in f32 (stash_type 1). Where a mean or deviation is
// asked for, the norm is written out.
//
//===----------------------------------------------------------------------===//

#include "MatMul.h"
#include "NodeTable.h"

using namespace llvm;
using namespace mlir;
using namespace qtale;
using namespace qtale::onnx_import;
using onnx::TensorProto;

namespace {
/// x as rows of the normalized axes, scale and bias as vectors.
struct Normalized {
  Dims matrix;
  Value rows, scale, bias;
  int64_t axis;
};
} // namespace

static FailureOr<Normalized> prepare(Node &n) {
  GraphBuilder &g = n.g;
  Term &x = n.in(0);
  if (n.integer("stash_type", 1) != 1)
    return n.fail("is supported with float32 arithmetic only");
  FailureOr<int64_t> axis = n.axis(x, n.integer("axis", -1));
  if (failed(axis))
    return failure();
  // In @step an axis before the tokens can't be among the normalized ones.
  if (x.rows)
    for (int64_t i = n.integer("axis", -1); i < -1; ++i)
      if (failed(n.axis(x, i)))
        return failure();
  ArrayRef<OpFoldResult> inner = ArrayRef(x.dims).drop_front(*axis);
  auto size = getConstantIntValue(g.math.product(inner));
  if (!size)
    return n.fail("needs normalized dimensions that are known; this model "
                  "leaves them open");
  Normalized result;
  result.axis = *axis;
  Dims flat(ArrayRef(x.dims).take_front(*axis));
  flat.push_back(g.math.constant(*size));
  Term collapsed = g.make(x.dtype, g.reshape(g.tensor(x), x.dims, flat), flat);
  result.rows = toRows(n, collapsed, *size);
  result.matrix = {g.math.product(ArrayRef(flat).drop_back()), flat.back()};
  auto vector = [&](unsigned i) -> Value {
    Term &term = n.in(i);
    // [D], or what broadcasts to it.
    Dims dims(inner);
    Value value = g.castFloat(g.tensor(term), term.dims, g.b.getF32Type());
    if (term.rank() > (int64_t)inner.size())
      return {};
    auto broadcasts = g.broadcast({term.dims, dims});
    if (!broadcasts ||
        !llvm::equal(staticShape(*broadcasts), staticShape(dims)))
      return {};
    if (!llvm::equal(staticShape(term.dims), staticShape(dims)))
      value = g.broadcastTo(value, term.dims, dims);
    return g.reshape(value, dims, {flat.back()});
  };
  result.scale = vector(1);
  if (!result.scale)
    return n.fail("the shape of " + n.inputName(1) +
                  " doesn't fit the normalized axes");
  if (n.has(2)) {
    result.bias = vector(2);
    if (!result.bias)
      return n.fail("the shape of " + n.inputName(2) +
                    " doesn't fit the normalized axes");
  }
  return result;
}

static LogicalResult finish(Node &n, const Normalized &norm, Value rows) {
  Term &x = n.in(0);
  Value value = n.g.castFloat(rows, norm.matrix, n.type(x));
  return n.set(n.g.reshape(value, norm.matrix, x.dims), x.dims);
}

static LogicalResult buildRMS(Node &n) {
  FailureOr<Normalized> norm = prepare(n);
  if (failed(norm))
    return failure();
  GraphBuilder &g = n.g;
  FloatAttr epsilon = g.b.getF32FloatAttr(n.real("epsilon", 1e-5f));
  Value rows = RMSNormOp::create(g.b, g.loc, norm->rows.getType(), norm->rows,
                                 norm->scale, epsilon);
  return finish(n, *norm, rows);
}

/// Mean and 1 / sqrt(variance + epsilon) of rows, as results 1 and 2.
static LogicalResult setMoments(Node &n, const Normalized &norm) {
  GraphBuilder &g = n.g;
  if (n.in(0).rows)
    return n.fail("gives mean or deviation, which a session can't");
  Type f32 = g.b.getF32Type();
  double size = double(*getConstantIntValue(norm.matrix[1]));
  Dims column{norm.matrix[0], g.math.constant(1)};
  auto sum = [&](Value of) {
    return g.make(TensorProto::FLOAT,
                  g.reshape(g.reduce(of, norm.matrix, {1}, g.scalar(f32, 0),
                                     [](Scalars s, ValueRange v) {
                                       return s.make<arith::AddFOp>(v[1], v[0]);
                                     }),
                            {norm.matrix[0]}, column),
                  column);
  };
  Term x = g.make(TensorProto::FLOAT, norm.rows, norm.matrix);
  Term total = sum(norm.rows);
  Value mean =
      g.elementwise({&total}, column, f32, [&](Scalars s, ValueRange v) {
        return s.make<arith::DivFOp>(v[0], s.constant(f32, size));
      });
  Term center = g.make(TensorProto::FLOAT, mean, column);
  Value squares = g.elementwise({&x, &center}, norm.matrix, f32,
                                [](Scalars s, ValueRange v) {
                                  Value d = s.make<arith::SubFOp>(v[0], v[1]);
                                  return s.make<arith::MulFOp>(d, d);
                                });
  Term variance = sum(squares);
  double epsilon = n.real("epsilon", 1e-5f);
  Value inverse = g.elementwise(
      {&variance}, column, f32, [&](Scalars s, ValueRange v) -> Value {
        Value mean = s.make<arith::DivFOp>(v[0], s.constant(f32, size));
        Value sum = s.make<arith::AddFOp>(mean, s.constant(f32, epsilon));
        return s.make<arith::DivFOp>(s.constant(f32, 1),
                                     math::SqrtOp::create(s.b, s.loc, sum));
      });
  Dims dims(n.in(0).dims);
  for (size_t i = norm.axis; i < dims.size(); ++i)
    dims[i] = g.math.constant(1);
  for (auto [i, value] : {std::pair(1u, mean), std::pair(2u, inverse)})
    if (n.wants(i) &&
        failed(n.set(i, g.make(TensorProto::FLOAT,
                               g.reshape(value, column, dims), dims))))
      return failure();
  return success();
}

static LogicalResult buildLayer(Node &n) {
  FailureOr<Normalized> norm = prepare(n);
  if (failed(norm))
    return failure();
  GraphBuilder &g = n.g;
  FloatAttr epsilon = g.b.getF32FloatAttr(n.real("epsilon", 1e-5f));
  Value rows = LayerNormOp::create(g.b, g.loc, norm->rows.getType(), norm->rows,
                                   norm->scale, norm->bias, epsilon);
  if ((n.wants(1) || n.wants(2)) && failed(setMoments(n, *norm)))
    return failure();
  return finish(n, *norm, rows);
}

static LogicalResult buildSoftmax(Node &n) {
  FailureOr<int64_t> axis = n.axis(n.in(0), n.integer("axis", -1));
  if (failed(axis))
    return failure();
  bool log = n.proto.op_type() == "LogSoftmax";
  return n.set(n.g.softmax(n.tensor(0), n.in(0).dims, *axis, log),
               n.in(0).dims);
}

/// x / norm along an axis; 0 where the norm is 0.
static LogicalResult buildLp(Node &n) {
  GraphBuilder &g = n.g;
  Term &x = n.in(0);
  FailureOr<int64_t> axis = n.axis(x, n.integer("axis", -1));
  if (failed(axis))
    return failure();
  int64_t p = n.integer("p", 2);
  if (p != 1 && p != 2)
    return n.fail("needs a p of 1 or 2, not " + Twine(p));
  Type wide = g.computeType(n.type(x));
  Value sum =
      g.reduce(n.tensor(0), x.dims, {*axis}, g.scalar(wide, 0),
               [&](Scalars s, ValueRange v) {
                 Value size =
                     p == 1 ? math::AbsFOp::create(s.b, s.loc, v[0]).getResult()
                            : s.make<arith::MulFOp>(v[0], v[0]);
                 return s.make<arith::AddFOp>(v[1], size);
               });
  Dims lines(x.dims), kept(x.dims);
  lines.erase(lines.begin() + *axis);
  kept[*axis] = g.math.constant(1);
  Term norm = g.make(wide.isF64() ? x.dtype : int32_t(TensorProto::FLOAT),
                     g.reshape(sum, lines, kept), kept);
  return n.set(g.elementwise(
                   {&x, &norm}, x.dims, n.type(x),
                   [&](Scalars s, ValueRange v) {
                     Value length =
                         p == 1 ? v[1] : math::SqrtOp::create(s.b, s.loc, v[1]);
                     Value zero = s.constant(wide, 0);
                     Value isZero = arith::CmpFOp::create(
                         s.b, s.loc, arith::CmpFPredicate::OEQ, length, zero);
                     return s.select(isZero, zero,
                                     s.make<arith::DivFOp>(v[0], length));
                   }),
               x.dims);
}

void qtale::onnx_import::addNormalization(NodeTable &table) {
  table.add("RMSNormalization", 23, buildRMS, RowsRule::Axes)
      .refuses("normalized dimensions that are known only at run time",
               "the kernel is made for their size; give the input's shape")
      .refuses("a stash_type other than 1 (float)",
               "moments are computed in 32 bits");
  table.add("LayerNormalization", 17, buildLayer, RowsRule::Axes)
      .refuses("normalized dimensions that are known only at run time",
               "the kernel is made for their size; give the input's shape")
      .refuses("a stash_type other than 1 (float)",
               "moments are computed in 32 bits");
  table.add("Softmax", 13, buildSoftmax, RowsRule::Axes);
  table.add("LpNormalization", 22, buildLp, RowsRule::Axes);
  table.add("LogSoftmax", 13, buildSoftmax, RowsRule::Axes);
}
