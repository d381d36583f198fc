//===- Matmuls.cpp - Constraints of products with weights -----------------===//
//
// The number in a comment is the constraint's in QTaleMatmulOps.td, and that of
// its negative test in test/Dialect/QTale.
//
//===----------------------------------------------------------------------===//

#include "RowTypes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/Matchers.h"
#include "mlir/IR/PatternMatch.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace qtale;

//===----------------------------------------------------------------------===//
// What all products have in common
//===----------------------------------------------------------------------===//

SmallVector<OpOperand *> qtale::getMatrixOperands(Operation *op) {
  SmallVector<OpOperand *> matrices;
  llvm::TypeSwitch<Operation *>(op)
      .Case<MatmulOp, ByteMatmulOp>(
          [&](auto matmul) { matrices.push_back(&matmul.getWeightMutable()); })
      .Case<FusedMatmulOp, JointMatmulOp>([&](auto matmul) {
        for (OpOperand &weight : matmul.getWeightsMutable())
          matrices.push_back(&weight);
      })
      .Case([&](EmbeddingOp embedding) {
        matrices.push_back(&embedding.getTableMutable());
      })
      .Case([&](RouterOp router) {
        if (OpOperand *matrix = router.getMatrix())
          matrices.push_back(matrix);
      });
  return matrices;
}

/// C1: y = x w, in floats but for what a fused_matmul makes of it.
static LogicalResult verifyShapes(Operation *op, RankedTensorType x,
                                  RankedTensorType w, RankedTensorType y) {
  Attribute encoding = y.getEncoding();
  bool stored =
      !encoding || (isa<FusedMatmulOp>(op) && isa<IntRowsAttr>(encoding));
  if (stored && x.getDimSize(1) == w.getDimSize(1) &&
      w.getDimSize(0) == y.getDimSize(1) &&
      agree(x.getDimSize(0), y.getDimSize(0)))
    return success();
  return op->emitOpError("result ")
         << y << " does not fit input " << x << " and weight " << w;
}

/// C2: a value for each output.
static LogicalResult verifyBias(Operation *op, Value bias, RankedTensorType w) {
  if (typeOf(bias).getDimSize(0) == w.getDimSize(0))
    return success();
  return op->emitOpError("bias must have ")
         << w.getDimSize(0) << " values, but is " << bias.getType();
}

/// C3: what integer activations may meet.
static LogicalResult verifyScheme(Operation *op, RankedTensorType x,
                                  RankedTensorType w) {
  auto rows = dyn_cast_or_null<IntRowsAttr>(x.getEncoding());
  if (!rows)
    return success();
  Attribute format = w.getEncoding();
  if (auto packed = dyn_cast_or_null<PackedAttr>(format))
    format = packed.getFormat();
  auto scheme = dyn_cast_or_null<IntAttr>(format);
  if (scheme && scheme.getGroup() == rows.getPad())
    return success();
  return op->emitOpError("int8 activations padded to ")
         << rows.getPad() << " need an integer weight of that group, but have "
         << w;
}

/// C2 where there are several weights.
static LogicalResult verifyBiases(Operation *op, ValueRange weights,
                                  ValueRange biases) {
  if (!biases.empty() && biases.size() != weights.size())
    return op->emitOpError("needs no bias or one for each of ")
           << weights.size() << " weights, but has " << biases.size();
  for (auto [weight, bias] : llvm::zip(weights, biases))
    if (failed(verifyBias(op, bias, typeOf(weight))))
      return failure();
  return success();
}

//===----------------------------------------------------------------------===//
// matmul
//===----------------------------------------------------------------------===//

void MatmulOp::build(OpBuilder &builder, OperationState &state, Value input,
                     Value weight) {
  auto type = RankedTensorType::get(
      {typeOf(input).getDimSize(0), typeOf(weight).getDimSize(0)},
      builder.getF32Type());
  build(builder, state, type, input, weight, Value(), Value());
}

LogicalResult MatmulOp::canonicalize(MatmulOp op, PatternRewriter &rewriter) {
  // x + 0 is x but for the sign of a zero.
  for (MutableOperandRange addend :
       {op.getBiasMutable(), op.getResidualMutable()}) {
    OperandRange values(addend);
    if (values.empty() || !matchPattern(values[0], m_AnyZeroFloat()))
      continue;
    rewriter.modifyOpInPlace(op, [&] { addend.clear(); });
    return success();
  }
  return rewriter.notifyMatchFailure(op, "nothing adds zero");
}

LogicalResult MatmulOp::verify() {
  RankedTensorType x = typeOf(getInput()), w = typeOf(getWeight());
  if (failed(verifyShapes(*this, x, w, getType())) ||         // C1
      (getBias() && failed(verifyBias(*this, getBias(), w)))) // C2
    return failure();
  if (getResidual() && getResidual().getType() != getType()) // C2
    return emitOpError("residual must be ")
           << getType() << ", but is " << getResidual().getType();
  return verifyScheme(*this, x, w); // C3
}

//===----------------------------------------------------------------------===//
// fused_matmul
//===----------------------------------------------------------------------===//

bool FusedMatmulOp::mayContain(Operation *op) {
  return isa<arith::AddFOp, arith::SubFOp, arith::MulFOp, arith::DivFOp,
             arith::NegFOp, arith::MaximumFOp, arith::MinimumFOp,
             arith::MaxNumFOp, arith::MinNumFOp, arith::CmpFOp, arith::SelectOp,
             math::AbsFOp, math::ErfOp, math::ExpOp, math::SqrtOp,
             math::TanhOp>(op);
}

LogicalResult FusedMatmulOp::verify() {
  RankedTensorType x = typeOf(getInput());
  if (getWeights().empty()) // C1
    return emitOpError("needs a weight");
  RankedTensorType w = typeOf(getWeights()[0]);
  if (failed(verifyShapes(*this, x, w, getType()))) // C1
    return failure();
  for (Value weight : getWeights())
    if (weight.getType() != w) // C1
      return emitOpError("weights must be of one type, but are ")
             << w << " and " << weight.getType();
  if (failed(verifyBiases(*this, getWeights(), getBiases())) || // C2
      failed(verifyScheme(*this, x, w)))                        // C3
    return failure();

  Block &body = getFunction().front();
  Type f32 = Float32Type::get(getContext());
  auto yield = body.empty() ? YieldOp() : dyn_cast<YieldOp>(body.back());
  bool takes = body.getNumArguments() == getWeights().size() &&
               llvm::all_of(body.getArgumentTypes(),
                            [&](Type type) { return type == f32; });
  if (!takes || !yield || yield.getValues().getTypes() != ArrayRef(f32)) // C4
    return emitOpError("its region must take an f32 for each of ")
           << getWeights().size() << " weights and yield one";
  for (Operation &op : body.without_terminator())
    if (!isa<arith::ConstantOp>(op) && !mayContain(&op)) { // C4
      InFlightDiagnostic error =
          emitOpError("its region must be elementwise arithmetic");
      error.attachNote(op.getLoc()) << "it contains " << op.getName();
      return error;
    }
  auto rows = dyn_cast_or_null<IntRowsAttr>(getType().getEncoding());
  if (rows && getType().getDimSize(1) % rows.getPad()) // C5
    return emitOpError("an int8 result must have a multiple of ")
           << rows.getPad() << " columns, but is " << getType();
  return success();
}

//===----------------------------------------------------------------------===//
// joint_matmul
//===----------------------------------------------------------------------===//

LogicalResult JointMatmulOp::verify() {
  RankedTensorType x = typeOf(getInput());
  if (getWeights().empty() || getWeights().size() != getNumResults()) // C1
    return emitOpError("needs a weight for each result, but has ")
           << getWeights().size() << " for " << getNumResults();
  if (getWeights().size() > maxWeights) // C4
    return emitOpError("joins at most ") << maxWeights << " weights";
  for (auto [weight, output] : llvm::zip(getWeights(), getOutputs()))
    if (failed(verifyShapes(*this, x, typeOf(weight), typeOf(output))) || // C1
        failed(verifyScheme(*this, x, typeOf(weight))))                   // C3
      return failure();
  return verifyBiases(*this, getWeights(), getBiases()); // C2
}

//===----------------------------------------------------------------------===//
// byte_matmul
//===----------------------------------------------------------------------===//

LogicalResult ByteMatmulOp::verify() {
  RankedTensorType x = typeOf(getInput()), w = typeOf(getWeight());
  if (failed(verifyShapes(*this, x, w, typeOf(getResult())))) // C1
    return failure();
  auto fits = [&](StringRef name, Value zero, int64_t count) -> LogicalResult {
    if (!zero || typeOf(zero).getDimSize(0) == 1 ||
        agree(typeOf(zero).getDimSize(0), count))
      return success();
    return emitOpError(name)
           << " must be one number or one for each row, but is "
           << zero.getType() << " for " << (zero == getInputZero() ? x : w);
  };
  return success( // C2
      succeeded(fits("input_zero", getInputZero(), x.getDimSize(0))) &&
      succeeded(fits("weight_zero", getWeightZero(), w.getDimSize(0))));
}
