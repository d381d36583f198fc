//===- Normalization.cpp - RMSNormalization and LayerNormalization --------===//
//
//   x [.., D], scale [D]   the last axis: rows of x, one verb
//   x [.., A, D]           earlier axis: the normalized axes collapse to one
//
// Everything is computed in f32 (stash_type 1). Where a mean or deviation is
// asked for, or D is known only at run time, the norm is written out.
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
  OpFoldResult size = g.math.product(inner);
  auto known = getConstantIntValue(size);
  if (!known && x.rows)
    return n.fail("needs normalized dimensions that are known; this model "
                  "leaves them open");
  Normalized result;
  result.axis = *axis;
  Dims flat(ArrayRef(x.dims).take_front(*axis));
  flat.push_back(size);
  result.matrix = {g.math.product(ArrayRef(flat).drop_back()), size};
  if (known) {
    Term collapsed =
        g.make(x.dtype, g.reshape(g.tensor(x), x.dims, flat), flat);
    result.rows = toRows(n, collapsed, *known);
  } else {
    Value wide = g.castFloat(g.tensor(x), x.dims, g.b.getF32Type());
    result.rows = g.reshape(wide, x.dims, result.matrix);
  }
  auto vector = [&](unsigned i) -> Value {
    Term &term = n.in(i);
    // [D], or what broadcasts to it.
    Dims dims(inner);
    Value value = g.castFloat(g.tensor(term), term.dims, g.b.getF32Type());
    if (term.rank() > (int64_t)inner.size())
      return {};
    auto broadcasts = g.broadcast({term.dims, dims});
    if (!broadcasts)
      return {};
    for (auto [wanted, got] : llvm::zip_equal(dims, *broadcasts)) {
      auto a = getConstantIntValue(wanted), c = getConstantIntValue(got);
      if (a && c && *a != *c)
        return {};
      g.math.check(got, wanted,
                   n.inputName(i) + " doesn't fit the normalized axes");
    }
    if (!llvm::equal(term.dims, dims, [&](OpFoldResult a, OpFoldResult c) {
          return g.math.same(a, c);
        }))
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

/// The mean of each row, as a column.
static Term meanOfRows(Node &n, Value rows, ArrayRef<OpFoldResult> matrix) {
  GraphBuilder &g = n.g;
  Type f32 = g.b.getF32Type();
  Dims column{matrix[0], g.math.constant(1)};
  Value sums = g.reduce(rows, matrix, {1}, g.scalar(f32, 0),
                        [](Scalars s, ValueRange v) {
                          return s.make<arith::AddFOp>(v[1], v[0]);
                        });
  Term total =
      g.make(TensorProto::FLOAT, g.reshape(sums, {matrix[0]}, column), column);
  Value size = arith::SIToFPOp::create(
      g.b, g.loc, f32,
      arith::IndexCastOp::create(g.b, g.loc, g.b.getI64Type(),
                                 g.math.value(matrix[1])));
  Value mean =
      g.elementwise({&total}, column, f32, [&](Scalars s, ValueRange v) {
        return s.make<arith::DivFOp>(v[0], size);
      });
  return g.make(TensorProto::FLOAT, mean, column);
}

namespace {
/// Rows around their mean, and 1 / sqrt(mean of their squares + epsilon).
struct Moments {
  Term mean, centered, inverse;
};
} // namespace

/// Of an RMS norm, rows are not shifted.
static Moments moments(Node &n, const Normalized &norm, bool shifted) {
  GraphBuilder &g = n.g;
  Type f32 = g.b.getF32Type();
  Moments result;
  result.centered = g.make(TensorProto::FLOAT, norm.rows, norm.matrix);
  if (shifted) {
    result.mean = meanOfRows(n, norm.rows, norm.matrix);
    Value centered =
        g.elementwise({&result.centered, &result.mean}, norm.matrix, f32,
                      [](Scalars s, ValueRange v) {
                        return s.make<arith::SubFOp>(v[0], v[1]);
                      });
    result.centered = g.make(TensorProto::FLOAT, centered, norm.matrix);
  }
  Value squares = g.elementwise({&result.centered}, norm.matrix, f32,
                                [](Scalars s, ValueRange v) {
                                  return s.make<arith::MulFOp>(v[0], v[0]);
                                });
  Term variance = meanOfRows(n, squares, norm.matrix);
  double epsilon = n.real("epsilon", 1e-5f);
  Value inverse = g.elementwise(
      {&variance}, variance.dims, f32, [&](Scalars s, ValueRange v) -> Value {
        Value sum = s.make<arith::AddFOp>(v[0], s.constant(f32, epsilon));
        return s.make<arith::DivFOp>(s.constant(f32, 1),
                                     math::SqrtOp::create(s.b, s.loc, sum));
      });
  result.inverse = g.make(TensorProto::FLOAT, inverse, variance.dims);
  return result;
}

/// The norm of rows whose size is not known.
static Value writtenOut(Node &n, const Normalized &norm, bool shifted) {
  GraphBuilder &g = n.g;
  Moments parts = moments(n, norm, shifted);
  Dims line{norm.matrix[1]};
  Term scale = g.make(TensorProto::FLOAT, norm.scale, line), bias;
  SmallVector<Term *> inputs{&parts.centered, &parts.inverse, &scale};
  if (norm.bias) {
    bias = g.make(TensorProto::FLOAT, norm.bias, line);
    inputs.push_back(&bias);
  }
  return g.elementwise(
      inputs, norm.matrix, g.b.getF32Type(), [](Scalars s, ValueRange v) {
        Value y = s.make<arith::MulFOp>(v[0], v[1]);
        y = s.make<arith::MulFOp>(y, v[2]);
        return v.size() == 3 ? y : s.make<arith::AddFOp>(y, v[3]);
      });
}

static LogicalResult buildRMS(Node &n) {
  FailureOr<Normalized> norm = prepare(n);
  if (failed(norm))
    return failure();
  GraphBuilder &g = n.g;
  if (!getConstantIntValue(norm->matrix[1]))
    return finish(n, *norm, writtenOut(n, *norm, /*shifted=*/false));
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
  Moments parts = moments(n, norm, /*shifted=*/true);
  Dims dims(n.in(0).dims);
  for (size_t i = norm.axis; i < dims.size(); ++i)
    dims[i] = g.math.constant(1);
  for (auto [i, term] :
       {std::pair(1u, &parts.mean), std::pair(2u, &parts.inverse)})
    if (n.wants(i))
      (void)n.set(i, g.reshape(*term, dims));
  return success();
}

static LogicalResult buildLayer(Node &n) {
  FailureOr<Normalized> norm = prepare(n);
  if (failed(norm))
    return failure();
  GraphBuilder &g = n.g;
  Value rows;
  if (getConstantIntValue(norm->matrix[1]))
    rows = LayerNormOp::create(g.b, g.loc, norm->rows.getType(), norm->rows,
                               norm->scale, norm->bias,
                               g.b.getF32FloatAttr(n.real("epsilon", 1e-5f)));
  else
    rows = writtenOut(n, *norm, /*shifted=*/true);
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
      .refuses("a stash_type other than 1 (float)",
               "moments are computed in 32 bits");
  table.add("LayerNormalization", 17, buildLayer, RowsRule::Axes)
      .refuses("a stash_type other than 1 (float)",
               "moments are computed in 32 bits");
  table.add("Softmax", 13, buildSoftmax, RowsRule::Axes);
  table.add("LpNormalization", 22, buildLp, RowsRule::Axes);
  table.add("LogSoftmax", 13, buildSoftmax, RowsRule::Axes);
}
