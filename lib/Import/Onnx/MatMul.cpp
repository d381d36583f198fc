//===- MatMul.cpp - MatMul and Gemm ---------------------------------------===//
//
//   x [.., K] · W [K, N]     W a weight: rows of x, collapsed, meet W^T [N, K]
//                            (a transposed weight cancels this transpose)
//   x [.., M, K] · y [.., K, N]    otherwise: a contraction, batches broadcast
//
//===----------------------------------------------------------------------===//

#include "MatMul.h"
#include "Node.h"
#include "NodeTable.h"
#include "StepNode.h"

#include <cmath>

using namespace llvm;
using namespace mlir;
using namespace qtale;
using namespace qtale::onnx_import;
using onnx::TensorProto;

static bool isWeightType(int32_t dtype) {
  return dtype == TensorProto::FLOAT || dtype == TensorProto::FLOAT16 ||
         dtype == TensorProto::BFLOAT16;
}

bool qtale::onnx_import::isWeightMatrix(const Term &term) {
  return term.recipe && term.rank() == 2 && isWeightType(term.dtype);
}

Value qtale::onnx_import::toRows(Node &n, Term &term, int64_t columns) {
  ArrayRef<OpFoldResult> dims = term.dims;
  OpFoldResult rows = n.g.math.product(dims.drop_back());
  Dims matrix{rows, dims.back()};
  Value value = n.g.castFloat(n.g.tensor(term), dims, n.g.b.getF32Type());
  value = n.g.reshape(value, dims, matrix);
  auto type = RankedTensorType::get({staticOrDynamic(rows), columns},
                                    n.g.b.getF32Type());
  if (value.getType() != type) {
    n.g.math.check(dims.back(), n.g.math.constant(columns),
                   n.inputName(0) + ": its last dimension must be " +
                       Twine(columns));
    value = tensor::CastOp::create(n.g.b, n.g.loc, type, value);
  }
  return value;
}

Value qtale::onnx_import::matmul(Node &n, Value rows,
                                 RecipeAttrInterface weight, StringRef name,
                                 Value bias) {
  GraphBuilder &g = n.g;
  weight = recipes::peelWidening(weight);
  Value param = ParamOp::create(g.b, g.loc, weight.getTensorType(),
                                g.weights.symbol(weight, name, g.loc));
  auto type = RankedTensorType::get(
      {cast<RankedTensorType>(rows.getType()).getDimSize(0),
       weight.getTensorType().getDimSize(0)},
      g.b.getF32Type());
  return MatmulOp::create(g.b, g.loc, type, rows, param, bias, Value());
}

/// x [.., K] with a weight [N, K], as rows; the result has x's element type.
static Term linear(Node &n, Term &x, RecipeAttrInterface weight, StringRef name,
                   Value bias = {}) {
  ArrayRef<int64_t> shape = weight.getTensorType().getShape();
  Value result = matmul(n, toRows(n, x, shape[1]), weight, name, bias);
  Dims dims(x.dims);
  dims.back() = n.g.math.constant(shape[0]);
  Dims matrix{n.g.math.product(ArrayRef(dims).drop_back()), dims.back()};
  result = n.g.castFloat(result, matrix, n.type(x));
  return n.g.make(x.dtype, n.g.reshape(result, matrix, dims), dims);
}

Term qtale::onnx_import::settled(GraphBuilder &g, Term term,
                                 ArrayRef<OpFoldResult> full) {
  full = full.take_back(term.rank());
  Dims to;
  bool known = true;
  for (auto [dim, extent] : llvm::zip_equal(term.dims, full)) {
    bool one = isConstantIntValue(dim, 1);
    known &= one || g.math.same(dim, extent);
    to.push_back(one ? dim : extent);
  }
  if (known)
    return term;
  return g.make(term.dtype, g.broadcastTo(g.tensor(term), term.dims, to), to);
}

FailureOr<MatrixOperands>
qtale::onnx_import::readMatrices(Node &n, unsigned atA, unsigned atC) {
  GraphBuilder &g = n.g;
  Term a = n.in(atA), c = n.in(atC);
  if (!a.rank() || !c.rank())
    return n.fail("needs inputs of at least one dimension");
  bool vectorA = a.rank() == 1, vectorC = c.rank() == 1;
  if (vectorA)
    a = g.reshape(a, {g.math.constant(1), a.dims[0]});
  if (vectorC)
    c = g.reshape(c, {c.dims[0], g.math.constant(1)});

  OpFoldResult k = a.dims.back(), kc = c.dims[c.rank() - 2];
  auto ka = getConstantIntValue(k), kb = getConstantIntValue(kc);
  if (ka && kb && *ka != *kb)
    return n.fail("the inputs' inner dimensions are " + Twine(*ka) + " and " +
                  Twine(*kb));
  g.math.check(k, kc,
               StringRef(n.proto.op_type()) + ": inner dimensions differ");

  std::optional<Dims> batch = g.broadcast(
      {ArrayRef(a.dims).drop_back(2), ArrayRef(c.dims).drop_back(2)});
  if (!batch)
    return n.fail("the inputs' batch dimensions don't fit each other");
  for (Term *term : {&a, &c}) {
    Dims full(*batch);
    full.append(term->dims.end() - 2, term->dims.end());
    *term = settled(g, *term, full);
  }
  Dims dims(*batch);
  dims.append({a.dims[a.rank() - 2], c.dims.back()});
  Dims given(dims);
  if (vectorC)
    given.pop_back();
  if (vectorA)
    given.erase(given.begin() + batch->size());
  return MatrixOperands{a, c, dims, given};
}

static LogicalResult contraction(Node &n) {
  GraphBuilder &g = n.g;
  FailureOr<MatrixOperands> operands = readMatrices(n, 0, 1);
  if (failed(operands))
    return failure();
  auto &[a, c, dims, given] = *operands;

  // Loops: batches, m, n, k.
  int64_t batches = dims.size() - 2, m = batches, nn = m + 1, kk = m + 2;
  SmallVector<int64_t> loopsA, loopsC, loopsOut;
  for (int64_t i = batches - (a.rank() - 2); i < batches; ++i)
    loopsA.push_back(i);
  for (int64_t i = batches - (c.rank() - 2); i < batches; ++i)
    loopsC.push_back(i);
  for (int64_t i = 0; i < batches; ++i)
    loopsOut.push_back(i);
  loopsA.append({m, kk});
  loopsC.append({kk, nn});
  loopsOut.append({m, nn});
  Value result = g.contract(a, loopsA, c, loopsC, loopsOut, dims, kk + 1);
  return n.set(g.reshape(result, dims, given), given);
}

static LogicalResult buildMatMul(Node &n) {
  Term &x = n.in(0), &w = n.in(1);
  if (isWeightMatrix(w) && isWeightType(x.dtype) && x.rank() >= 1) {
    if (auto k = getConstantIntValue(x.dims.back());
        k && *k != w.recipe.getTensorType().getDimSize(0))
      return n.fail("the inputs' inner dimensions are " + Twine(*k) + " and " +
                    Twine(w.recipe.getTensorType().getDimSize(0)));
    return n.set(0, linear(n, x, recipes::transpose(w.recipe, {1, 0}), w.name));
  }
  return contraction(n);
}

static LogicalResult buildMatMulRows(StepNode &n) {
  if (!n.in(0).rows || n.in(1).rows || n.in(1).rank() != 2)
    return n.fail("multiplies tokens with something that is not a constant "
                  "matrix");
  if (failed(n.axis(n.in(0), -1)) || failed(buildMatMul(n)))
    return failure();
  return n.keepRows();
}

static Term transposed(Node &n, Term &term, bool yes) {
  if (!yes)
    return term;
  Term result = n.g.make(term.dtype, {}, {term.dims[1], term.dims[0]});
  if (term.recipe) {
    result.recipe = recipes::transpose(term.recipe, {1, 0});
    result.name = term.name;
  } else {
    result.value = n.g.transpose(n.g.tensor(term), term.dims, {1, 0});
  }
  return result;
}

/// C has at most the product's dimensions: only C is broadcast.
static LogicalResult checkBias(Node &n, const Term &product) {
  GraphBuilder &g = n.g;
  Scalars s{g.b, g.loc};
  ArrayRef<OpFoldResult> dims = n.in(2).dims, all = product.dims;
  constexpr StringLiteral message("the shape of C doesn't fit the product");
  if (dims.size() > all.size())
    return n.fail(message);
  for (auto [own, wanted] : llvm::zip(dims, all.take_back(dims.size()))) {
    if (isConstantIntValue(own, 1) || g.math.same(own, wanted))
      continue;
    if (getConstantIntValue(own)) {
      if (failed(n.checkEqual(own, wanted, message)))
        return failure();
      continue;
    }
    Value size = g.math.value(own);
    n.require(s.make<arith::OrIOp>(
                  s.cmp(arith::CmpIPredicate::eq, size, s.index(1)),
                  s.cmp(arith::CmpIPredicate::eq, size, g.math.value(wanted))),
              message);
  }
  return success();
}

/// Whether integers can be multiplied by it.
static bool isSmallInteger(double value) {
  return std::trunc(value) == value && std::abs(value) < (int64_t(1) << 53);
}

static LogicalResult buildGemm(Node &n) {
  GraphBuilder &g = n.g;
  if (n.in(0).rank() != 2 || n.in(1).rank() != 2)
    return n.fail("needs matrices");
  Term a = transposed(n, n.in(0), n.integer("transA", 0));
  Term c = transposed(n, n.in(1), n.integer("transB", 0));
  double alpha = n.real("alpha", 1), beta = n.real("beta", 1);
  bool hasBias = n.has(2) && beta != 0;
  Term product;
  if (isWeightMatrix(c) && isWeightType(a.dtype)) {
    int64_t width = c.recipe.getTensorType().getDimSize(1);
    // A plain bias belongs to the product.
    bool inside = hasBias && alpha == 1 && beta == 1 && !n.in(2).rows &&
                  n.in(2).rank() == 1 &&
                  isConstantIntValue(n.in(2).dims[0], width);
    Value bias;
    if (inside)
      bias = g.castFloat(n.tensor(2), n.in(2).dims, g.b.getF32Type());
    hasBias = hasBias && !inside;
    product = linear(n, a, recipes::transpose(c.recipe, {1, 0}), c.name, bias);
  } else {
    if (failed(n.checkEqual(a.dims[1], c.dims[0], "inner dimensions differ")))
      return failure();
    Dims dims{a.dims[0], c.dims[1]};
    product = g.make(a.dtype, g.contract(a, {0, 2}, c, {2, 1}, {0, 1}, dims, 3),
                     dims);
  }
  if (alpha == 1 && !hasBias)
    return n.set(0, product);
  SmallVector<Term *> inputs{&product};
  if (hasBias) {
    inputs.push_back(&n.in(2));
    if (failed(checkBias(n, product)))
      return failure();
  }
  // Fractions of integers are computed in floats, and cut off at the end.
  bool inFloats = !isFloat(product.dtype) &&
                  !(isSmallInteger(alpha) && isSmallInteger(beta));
  Type type = n.type(product);
  Value sum =
      g.elementwise(inputs, product.dims, type, [&](Scalars s, ValueRange v) {
        bool isUnsignedType = isUnsigned(product.dtype);
        auto scaled = [&](Value value, double factor) {
          if (inFloats)
            value = s.convert(value, s.b.getF64Type(), isUnsignedType, false);
          if (factor == 1)
            return value;
          Value by = s.constant(value.getType(), factor);
          return isa<FloatType>(value.getType())
                     ? s.make<arith::MulFOp>(value, by)
                     : s.make<arith::MulIOp>(value, by);
        };
        Value result = scaled(v[0], alpha);
        if (hasBias) {
          Value bias = scaled(v[1], beta);
          result = isa<FloatType>(result.getType())
                       ? s.make<arith::AddFOp>(result, bias)
                       : s.make<arith::AddIOp>(result, bias);
        }
        return inFloats ? s.convert(result, type, false, isUnsignedType)
                        : result;
      });
  return n.set(0, g.make(product.dtype, sum, product.dims));
}

static LogicalResult buildGemmRows(StepNode &n) {
  if (!n.in(0).rows || n.in(1).rows || (n.has(2) && n.in(2).rows) ||
      n.integer("transA", 0) || n.in(0).rank() != 2 || n.in(0).rows->batch)
    return n.fail("multiplies tokens with something that is not a constant "
                  "matrix");
  if (failed(buildGemm(n)))
    return failure();
  return n.keepRows();
}

void qtale::onnx_import::addMatMul(NodeTable &table) {
  table.add("MatMul", 13, buildMatMul, buildMatMulRows);
  table.add("Gemm", 13, buildGemm, buildGemmRows);
}
