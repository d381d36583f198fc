//===- Norm.cpp - RMSNorm and LayerNorm -----------------------------------===//
//
//   a row:  16 partial sums  -->  fixed tree  -->  scale every column
//
//===----------------------------------------------------------------------===//

#include "Kernels.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;
using namespace qtale;

static int64_t columnsOf(Value buffer) {
  return cast<MemRefType>(buffer.getType()).getDimSize(1);
}

/// Sum over the row of term(values).
static Value sumRow(KernelBuilder &b, Value input, Value row,
                    function_ref<Value(Value values, int64_t size)> term) {
  return b.sumColumns(columnsOf(input), [&](Value column, int64_t size) {
    return term(b.load(input, {row, column}, size), size);
  });
}

static Value mean(KernelBuilder &b, Value sum, int64_t columns) {
  return arith::DivFOp::create(b, sum, b.f32(columns));
}

static Value inverseRoot(KernelBuilder &b, Value variance, FloatAttr epsilon) {
  Value eps = arith::ConstantOp::create(b, epsilon);
  Value root = math::SqrtOp::create(b, arith::AddFOp::create(b, variance, eps));
  return arith::DivFOp::create(b, b.f32(1.0), root);
}

Value qtale::inverseRMS(KernelBuilder &b, Value input, Value row,
                        FloatAttr epsilon) {
  Value squares = sumRow(b, input, row, [&](Value values, int64_t) -> Value {
    return arith::MulFOp::create(b, values, values);
  });
  return inverseRoot(b, mean(b, squares, columnsOf(input)), epsilon);
}

void qtale::buildRMSNorm(KernelBuilder &b, Value input, Value scale,
                         FloatAttr epsilon, Activations out) {
  b.parallel(b.dim(input, 0), [&](Value row) {
    Value factor = inverseRMS(b, input, row, epsilon);
    auto normed = [&](Value column, int64_t size) -> Value {
      Value x = b.load(input, {row, column}, size);
      x = arith::MulFOp::create(b, x, b.splat(factor, size));
      return arith::MulFOp::create(b, x, b.load(scale, column, size));
    };
    storeRow(b, row, columnsOf(input), out, normed);
  });
}

void qtale::buildLayerNorm(KernelBuilder &b, Value input, Value scale,
                           Value bias, FloatAttr epsilon, Activations out) {
  int64_t columns = columnsOf(input);
  b.parallel(b.dim(input, 0), [&](Value row) {
    Value center = mean(
        b, sumRow(b, input, row, [](Value values, int64_t) { return values; }),
        columns);
    auto centered = [&](Value values, int64_t size) -> Value {
      return arith::SubFOp::create(b, values, b.splat(center, size));
    };
    Value squares =
        sumRow(b, input, row, [&](Value values, int64_t size) -> Value {
          Value d = centered(values, size);
          return arith::MulFOp::create(b, d, d);
        });
    Value factor = inverseRoot(b, mean(b, squares, columns), epsilon);
    auto normed = [&](Value column, int64_t size) -> Value {
      Value x = centered(b.load(input, {row, column}, size), size);
      x = arith::MulFOp::create(b, x, b.splat(factor, size));
      x = arith::MulFOp::create(b, x, b.load(scale, column, size));
      if (bias)
        x = arith::AddFOp::create(b, x, b.load(bias, column, size));
      return x;
    };
    storeRow(b, row, columns, out, normed);
  });
}
