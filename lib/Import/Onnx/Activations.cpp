//===- Activations.cpp - What networks bend numbers with -----------------===//
//
//   gates      Sigmoid  Swish  SwiGLU  Gelu  Mish  HardSigmoid  HardSwish
//   rectifiers Relu  LeakyRelu  PRelu  ThresholdedRelu  Elu  Selu  Celu  Shrink
//   others     Softplus  Softsign
//
// Scalar bodies, of floats unless said otherwise; 16-bit floats in f32.
//
//===----------------------------------------------------------------------===//

#include "Elementwise.h"
#include "NodeTable.h"

using namespace llvm;
using namespace mlir;
using namespace qtale::onnx_import;
using arith::CmpFPredicate;
using arith::CmpIPredicate;

static Value times(const ElementContext &c, Value a, Value b) {
  return c.binary<arith::MulFOp>(a, b);
}
static Value times(const ElementContext &c, Value a, double b) {
  return c.binary<arith::MulFOp>(a, c.real(a, b));
}
static Value plus(const ElementContext &c, Value a, double b) {
  return c.binary<arith::AddFOp>(a, c.real(a, b));
}
static Value isBelow(const ElementContext &c, Value a, Value b) {
  return c.compare(CmpFPredicate::OLT, CmpIPredicate::slt, CmpIPredicate::ult,
                   a, b);
}

static Value sigmoidOf(const ElementContext &c, Value x) {
  Value e = c.unary<math::ExpOp>(c.unary<arith::NegFOp>(x));
  Value one = c.real(x, 1);
  return c.binary<arith::DivFOp>(one, c.binary<arith::AddFOp>(one, e));
}

static Value sigmoid(const ElementContext &c, ValueRange v) {
  return sigmoidOf(c, v[0]);
}

static Value swish(const ElementContext &c, ValueRange v) {
  Value x = v[0];
  double alpha = c.node.real("alpha", 1);
  Value scaled = alpha == 1 ? x : c.binary<arith::MulFOp>(x, c.real(x, alpha));
  return c.binary<arith::MulFOp>(x, sigmoidOf(c, scaled));
}

static Value relu(const ElementContext &c, ValueRange v) {
  Value zero = c.real(v[0], 0);
  if (c.isFloat(v[0]))
    return c.binary<arith::MaximumFOp>(v[0], zero);
  return c.binary<arith::MaxSIOp>(v[0], zero);
}

static Value leakyRelu(const ElementContext &c, ValueRange v) {
  Value zero = c.real(v[0], 0);
  Value negative =
      arith::CmpFOp::create(c.s.b, c.s.loc, CmpFPredicate::OLT, v[0], zero);
  Value scaled =
      c.binary<arith::MulFOp>(v[0], c.real(v[0], c.node.real("alpha", 0.01f)));
  return c.s.select(negative, scaled, v[0]);
}

static Value gelu(const ElementContext &c, ValueRange v) {
  Value x = v[0], half = c.real(x, 0.5), one = c.real(x, 1), inner;
  if (c.node.text("approximate", "none") == "tanh") {
    Value cube = c.binary<arith::MulFOp>(c.binary<arith::MulFOp>(x, x), x);
    Value sum = c.binary<arith::AddFOp>(
        x, c.binary<arith::MulFOp>(cube, c.real(x, 0.044715)));
    inner = c.unary<math::TanhOp>(
        c.binary<arith::MulFOp>(sum, c.real(x, 0.7978845608028654)));
  } else {
    inner = c.unary<math::ErfOp>(
        c.binary<arith::MulFOp>(x, c.real(x, 0.7071067811865476)));
  }
  return c.binary<arith::MulFOp>(c.binary<arith::MulFOp>(half, x),
                                 c.binary<arith::AddFOp>(one, inner));
}

/// log(1 + exp(x)) = max(x, 0) + log1p(exp(-|x|)), which does not overflow.
static Value softplus(const ElementContext &c, ValueRange v) {
  Value e =
      c.unary<math::ExpOp>(c.unary<arith::NegFOp>(c.unary<math::AbsFOp>(v[0])));
  return c.binary<arith::AddFOp>(relu(c, v), c.unary<math::Log1pOp>(e));
}

static Value swiglu(const ElementContext &c, ValueRange v) {
  return times(c, swish(c, v), v[1]);
}

/// alpha * (exp(x / scale) - 1) below 0.
static Value exponential(const ElementContext &c, Value x, double alpha,
                         double scale = 1) {
  Value power = c.unary<math::ExpOp>(times(c, x, 1 / scale));
  Value below = times(c, plus(c, power, -1), alpha);
  return c.s.select(isBelow(c, x, c.real(x, 0)), below, x);
}

static Value elu(const ElementContext &c, ValueRange v) {
  return exponential(c, v[0], c.node.real("alpha", 1));
}

static Value celu(const ElementContext &c, ValueRange v) {
  double alpha = c.node.real("alpha", 1);
  return exponential(c, v[0], alpha, alpha);
}

static Value selu(const ElementContext &c, ValueRange v) {
  double alpha = c.node.real("alpha", 1.67326319217681884765625);
  return times(c, exponential(c, v[0], alpha),
               c.node.real("gamma", 1.05070102214813232421875));
}

static Value prelu(const ElementContext &c, ValueRange v) {
  Value scaled = c.isFloat(v[0]) ? times(c, v[0], v[1])
                                 : c.binary<arith::MulIOp>(v[0], v[1]);
  return c.s.select(isBelow(c, v[0], c.real(v[0], 0)), scaled, v[0]);
}

static Value thresholdedRelu(const ElementContext &c, ValueRange v) {
  Value threshold = c.real(v[0], c.node.real("alpha", 1));
  return c.s.select(isBelow(c, threshold, v[0]), v[0], c.real(v[0], 0));
}

static Value hardSigmoidOf(const ElementContext &c, Value x, double alpha,
                           double beta) {
  Value line = plus(c, times(c, x, alpha), beta);
  Value most = c.binary<arith::MinimumFOp>(line, c.real(x, 1));
  return c.binary<arith::MaximumFOp>(most, c.real(x, 0));
}

static Value hardSigmoid(const ElementContext &c, ValueRange v) {
  return hardSigmoidOf(c, v[0], c.node.real("alpha", 0.2f),
                       c.node.real("beta", 0.5));
}

static Value hardSwish(const ElementContext &c, ValueRange v) {
  return times(c, v[0], hardSigmoidOf(c, v[0], 1.0 / 6, 0.5));
}

static Value mish(const ElementContext &c, ValueRange v) {
  return times(c, v[0], c.unary<math::TanhOp>(softplus(c, v)));
}

static Value softsign(const ElementContext &c, ValueRange v) {
  Value size = plus(c, c.unary<math::AbsFOp>(v[0]), 1);
  return c.binary<arith::DivFOp>(v[0], size);
}

/// Toward 0 by `bias` beyond `lambd`, 0 within; of integers through f32.
static Value shrink(const ElementContext &c, ValueRange v) {
  Type type = v[0].getType();
  Type wide = c.isFloat(v[0]) ? type : Type(c.s.b.getF64Type());
  Value x = c.s.convert(v[0], wide, c.isUnsigned, false);
  double bias = c.node.real("bias", 0), lambda = c.node.real("lambd", 0.5);
  Value inner = c.s.select(isBelow(c, c.real(x, lambda), x), plus(c, x, -bias),
                           c.real(x, 0));
  Value result =
      c.s.select(isBelow(c, x, c.real(x, -lambda)), plus(c, x, bias), inner);
  return c.s.convert(result, type, false, c.isUnsigned);
}

void qtale::onnx_import::addActivations(NodeTable &table) {
  auto add = [&](StringRef op, Revisions revisions, Build build) {
    table.add(op, revisions, build, RowsRule::Elementwise);
  };
  add("Sigmoid", 13, same<sigmoid>);
  add("Swish", 24, same<swish>);
  add("SwiGLU", 28, same<swiglu>);
  add("Gelu", 20, same<gelu>);
  add("Mish", 22, same<mish>);
  add("HardSigmoid", 22, same<hardSigmoid>);
  add("HardSwish", 22, same<hardSwish>);
  add("Relu", 14, same<relu>);
  add("LeakyRelu", 16, same<leakyRelu>);
  add("PRelu", 16, same<prelu>);
  add("ThresholdedRelu", 22, same<thresholdedRelu>);
  add("Elu", 22, same<elu>);
  add("Selu", 22, same<selu>);
  add("Celu", {12, 28}, same<celu>);
  add("Shrink", 9, same<shrink>);
  add("Softplus", 22, same<softplus>);
  add("Softsign", 22, same<softsign>);
}
