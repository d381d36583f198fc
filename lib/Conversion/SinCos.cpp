//===- SinCos.cpp - Sine and cosine of large angles -----------------------===//
//
//   x = k * pi/2 + r, |r| <= pi/4
//
//   k mod 4     0       1        2        3
//   sin x     sin r   cos r   -sin r   -cos r
//
// A rotary embedding's angles are positions: upstream's expansion is off by 0.002
// at 30000 and 0.06 at a million. Here pi/2 stands in three parts, each taken off
// by a fused multiply-add: the first is exact, so little is lost. The error is
// below 2e-7 up to a million; the polynomials are Chebyshev fits on [-0.8, 0.8].
//
//===----------------------------------------------------------------------===//

#include "SinCos.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"

using namespace mlir;

namespace {

constexpr double halfPi[] = {1.5707963705062866, -4.371138828673793e-08,
                             -1.7151245100058819e-15};
constexpr double largestRest = 1.0;

/// Scalars or vectors, as `type` is.
struct Builder {
  ImplicitLocOpBuilder b;
  Type type;

  Value constant(double value) {
    TypedAttr element = b.getF32FloatAttr(value);
    if (auto shaped = dyn_cast<ShapedType>(type))
      element = DenseElementsAttr::get(shaped, Attribute(element));
    return arith::ConstantOp::create(b, element);
  }
  Value fma(Value x, Value y, Value z) {
    return math::FmaOp::create(b, x, y, z);
  }
  Value mul(Value x, Value y) { return arith::MulFOp::create(b, x, y); }
  /// c[0] + c[1] x + c[2] x²
  Value polynomial(Value x, double c0, double c1, double c2) {
    return fma(fma(constant(c2), x, constant(c1)), x, constant(c0));
  }
  Value less(Value x, double bound) {
    return arith::CmpFOp::create(b, arith::CmpFPredicate::OLT, x,
                                 constant(bound));
  }
  Value select(Value condition, Value x, Value y) {
    return arith::SelectOp::create(b, condition, x, y);
  }
};

/// cos x = sin (x + pi/2): the quadrant after.
template <typename Op, int quadrants> struct Expand : OpRewritePattern<Op> {
  using OpRewritePattern<Op>::OpRewritePattern;

  LogicalResult matchAndRewrite(Op op,
                                PatternRewriter &rewriter) const override {
    if (!getElementTypeOrSelf(op.getType()).isF32())
      return rewriter.notifyMatchFailure(op, "not of f32");
    Builder b{{op.getLoc(), rewriter}, op.getType()};
    Value x = op.getOperand();
    Value k = math::RoundEvenOp::create(
        b.b, b.mul(x, b.constant(0.6366197723675814)));
    Value r = x;
    for (double part : halfPi)
      r = b.fma(k, b.constant(-part), r);
    // pi/4, and what a rounded k adds: 0.04 at a million. Beyond 2^24 k is not
    // exact any more: keep to [-1, 1] at least.
    r = arith::MaximumFOp::create(b.b, r, b.constant(-largestRest));
    r = arith::MinimumFOp::create(b.b, r, b.constant(largestRest));

    Value square = b.mul(r, r);
    Value sine = b.fma(b.mul(r, square),
                       b.polynomial(square, -1.666666443e-01, 8.332704131e-03,
                                    -1.957850744e-04),
                       r);
    Value cosine = b.fma(b.mul(square, square),
                         b.polynomial(square, 4.166666443e-02, -1.388825874e-03,
                                      2.453852786e-05),
                         b.fma(square, b.constant(-0.5), b.constant(1.0)));

    // The quadrant as a float: an integer's conversion has no value for NaN.
    Value turns = arith::AddFOp::create(b.b, k, b.constant(quadrants));
    Value whole = math::FloorOp::create(b.b, b.mul(turns, b.constant(0.25)));
    Value quadrant = b.fma(whole, b.constant(-4.0), turns);
    Value half = b.select(b.less(quadrant, 1.5), quadrant,
                          arith::SubFOp::create(b.b, quadrant, b.constant(2)));
    Value value = b.select(b.less(half, 0.5), sine, cosine);
    Value negative = arith::NegFOp::create(b.b, value);
    rewriter.replaceOp(op, b.select(b.less(quadrant, 1.5), value, negative));
    return success();
  }
};

} // namespace

void qtale::populateSinCosPatterns(RewritePatternSet &patterns) {
  patterns.add<Expand<math::SinOp, 0>, Expand<math::CosOp, 1>>(
      patterns.getContext());
}
