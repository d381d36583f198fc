//===- KernelBuilder.cpp - Writes kernels briefly -------------------------===//

#include "KernelBuilder.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"

using namespace mlir;
using namespace qtale;

//===----------------------------------------------------------------------===//
// Constants and index arithmetic
//===----------------------------------------------------------------------===//

Value KernelBuilder::index(int64_t value) {
  return arith::ConstantIndexOp::create(*this, value);
}
Value KernelBuilder::f32(double value) {
  return arith::ConstantOp::create(*this, getF32FloatAttr(value));
}
Value KernelBuilder::i32(int32_t value) {
  return arith::ConstantOp::create(*this, getI32IntegerAttr(value));
}
Value KernelBuilder::add(Value a, Value b) {
  return createOrFold<arith::AddIOp>(a, b);
}
Value KernelBuilder::sub(Value a, Value b) {
  return createOrFold<arith::SubIOp>(a, b);
}
Value KernelBuilder::mul(Value a, int64_t b) {
  return createOrFold<arith::MulIOp>(a, index(b));
}
Value KernelBuilder::div(Value a, int64_t b) {
  return createOrFold<arith::DivUIOp>(a, index(b));
}
Value KernelBuilder::divUp(Value a, Value b) {
  return createOrFold<arith::DivUIOp>(sub(add(a, b), index(1)), b);
}
Value KernelBuilder::rem(Value a, int64_t b) {
  return createOrFold<arith::RemUIOp>(a, index(b));
}
Value KernelBuilder::min(Value a, Value b) {
  return createOrFold<arith::MinUIOp>(a, b);
}
Value KernelBuilder::less(Value a, Value b) {
  return arith::CmpIOp::create(*this, arith::CmpIPredicate::ult, a, b);
}
Value KernelBuilder::clampedIndex(Value value, int64_t limit) {
  Value at = arith::IndexCastOp::create(*this, getIndexType(), value);
  at = arith::MaxSIOp::create(*this, at, index(0));
  return arith::MinSIOp::create(*this, at, index(limit - 1));
}

/// The context of the kernel that is being built.
static Value kernelContext(OpBuilder &b) {
  Operation *op = b.getInsertionBlock()->getParentOp();
  auto kernel = dyn_cast<func::FuncOp>(op);
  return (kernel ? kernel : op->getParentOfType<func::FuncOp>()).getArgument(0);
}

Value KernelBuilder::threads() {
  return ThreadsOp::create(*this, getIndexType(), kernelContext(*this));
}

//===----------------------------------------------------------------------===//
// Control flow
//===----------------------------------------------------------------------===//

void KernelBuilder::parallel(Value count, Body body) {
  // A loop of one iteration would be folded away, and its barrier with it:
  // every thread would do the work, some while others are already further.
  if (isConstantIntValue(count, 1)) {
    Value context = kernelContext(*this);
    Value isFirst = arith::CmpIOp::create(
        *this, arith::CmpIPredicate::eq,
        ThreadOp::create(*this, getIndexType(), context), index(0));
    ifElse(isFirst, [&] { body(index(0)); });
    BarrierOp::create(*this, context);
    return;
  }
  scf::ForallOp::create(
      *this, SmallVector<OpFoldResult>{count}, ValueRange{}, std::nullopt,
      [&](OpBuilder &inner, Location loc, ValueRange args) {
        OpBuilder::InsertionGuard guard(*this);
        setInsertionPoint(inner.getInsertionBlock(), inner.getInsertionPoint());
        body(args[0]);
        scf::InParallelOp::create(*this);
      });
}

SmallVector<Value> KernelBuilder::loop(Value from, Value to, int64_t step,
                                       ValueRange init, Carried body) {
  auto loop = scf::ForOp::create(
      *this, from, to, index(step), init,
      [&](OpBuilder &inner, Location loc, Value iv, ValueRange args) {
        OpBuilder::InsertionGuard guard(*this);
        setInsertionPoint(inner.getInsertionBlock(), inner.getInsertionPoint());
        scf::YieldOp::create(*this, body(iv, args));
      });
  return SmallVector<Value>(loop.getResults());
}

void KernelBuilder::loop(Value from, Value to, int64_t step, Body body) {
  loop(from, to, step, ValueRange{},
       [&](Value iv, ValueRange) -> SmallVector<Value> {
         body(iv);
         return {};
       });
}

void KernelBuilder::loop(int64_t from, int64_t to, int64_t step, Body body) {
  loop(index(from), index(to), step, body);
}

void KernelBuilder::ifElse(Value condition, function_ref<void()> then,
                           function_ref<void()> otherwise) {
  auto op = scf::IfOp::create(*this, condition,
                              /*withElseRegion=*/bool(otherwise));
  OpBuilder::InsertionGuard guard(*this);
  setInsertionPointToStart(op.thenBlock());
  then();
  if (!otherwise)
    return;
  setInsertionPointToStart(op.elseBlock());
  otherwise();
}

//===----------------------------------------------------------------------===//
// Buffers
//===----------------------------------------------------------------------===//

Value KernelBuilder::scratch(int64_t rows) {
  return memref::AllocaOp::create(*this,
                                  MemRefType::get({rows, lanes}, getF32Type()),
                                  getI64IntegerAttr(64));
}
Value KernelBuilder::dim(Value buffer, int64_t axis) {
  return createOrFold<memref::DimOp>(buffer, axis);
}
Value KernelBuilder::loadScalar(Value buffer, ValueRange at) {
  return memref::LoadOp::create(*this, buffer, at);
}
Value KernelBuilder::loadIndex(Value buffer, ValueRange at) {
  return arith::IndexCastOp::create(*this, getIndexType(),
                                    loadScalar(buffer, at));
}
void KernelBuilder::storeScalar(Value value, Value buffer, ValueRange at) {
  memref::StoreOp::create(*this, value, buffer, at);
}
Value KernelBuilder::load(Value buffer, ValueRange at, int64_t size) {
  Type element = cast<MemRefType>(buffer.getType()).getElementType();
  return vector::LoadOp::create(*this, VectorType::get({size}, element), buffer,
                                at);
}
void KernelBuilder::store(Value vector, Value buffer, ValueRange at) {
  vector::StoreOp::create(*this, vector, buffer, at);
}
Value KernelBuilder::loadAs(Type element, int64_t size, Value bytes,
                            ValueRange at) {
  int64_t width = element.getIntOrFloatBitWidth() / 8;
  Value raw = load(bytes, at, size * width);
  return vector::BitCastOp::create(*this, VectorType::get({size}, element),
                                   raw);
}
void KernelBuilder::storeBytes(Value vector, Value bytes, ValueRange at) {
  auto type = cast<VectorType>(vector.getType());
  int64_t size = type.getNumElements() * type.getElementTypeBitWidth() / 8;
  store(vector::BitCastOp::create(*this, VectorType::get({size}, getI8Type()),
                                  vector),
        bytes, at);
}

//===----------------------------------------------------------------------===//
// Vectors
//===----------------------------------------------------------------------===//

VectorType KernelBuilder::f32x(int64_t size) {
  return VectorType::get({size}, getF32Type());
}
VectorType KernelBuilder::i32x(int64_t size) {
  return VectorType::get({size}, getI32Type());
}
Value KernelBuilder::splat(Value scalar, int64_t size) {
  return vector::BroadcastOp::create(
      *this, VectorType::get({size}, scalar.getType()), scalar);
}
Value KernelBuilder::zeros(VectorType type) {
  return arith::ConstantOp::create(*this, getZeroAttr(type));
}
Value KernelBuilder::fma(Value a, Value b, Value c) {
  // (vector.fma may be lowered to two operations, rounded twice.)
  return math::FmaOp::create(*this, a, b, c);
}

static Type withElement(Type like, Type element) {
  if (auto vector = dyn_cast<VectorType>(like))
    return VectorType::get(vector.getShape(), element);
  return element;
}

Value KernelBuilder::toF32(Value value) {
  if (getElementTypeOrSelf(value.getType()).isF32())
    return value;
  return arith::ExtFOp::create(
      *this, withElement(value.getType(), getF32Type()), value);
}
Value KernelBuilder::fromF32(Value value, Type element) {
  if (element.isF32())
    return value;
  return arith::TruncFOp::create(*this, withElement(value.getType(), element),
                                 value);
}

Value KernelBuilder::sum(Value vector) {
  int64_t size = cast<VectorType>(vector.getType()).getNumElements();
  for (int64_t half = size / 2; half >= 1; half /= 2) {
    auto part = [&](int64_t from) -> Value {
      return vector::ExtractStridedSliceOp::create(
          *this, vector, ArrayRef<int64_t>{from}, ArrayRef<int64_t>{half},
          ArrayRef<int64_t>{1});
    };
    vector = arith::AddFOp::create(*this, part(0), part(half));
  }
  return vector::ExtractOp::create(*this, vector, 0);
}

Value KernelBuilder::widen(Value vector, int64_t size) {
  auto type = cast<VectorType>(vector.getType());
  if (type.getNumElements() == size)
    return vector;
  Value wide = zeros(VectorType::get({size}, type.getElementType()));
  return vector::InsertStridedSliceOp::create(
      *this, vector, wide, ArrayRef<int64_t>{0}, ArrayRef<int64_t>{1});
}

Value KernelBuilder::concat(Value low, Value high) {
  int64_t size = cast<VectorType>(low.getType()).getNumElements() +
                 cast<VectorType>(high.getType()).getNumElements();
  return vector::ShuffleOp::create(
      *this, low, high, llvm::to_vector(llvm::seq<int64_t>(0, size)));
}

void KernelBuilder::columns(int64_t columns,
                            function_ref<void(Value, int64_t)> body) {
  int64_t whole = columns / lanes * lanes;
  if (whole)
    loop(0, whole, lanes, [&](Value column) { body(column, lanes); });
  if (whole < columns)
    body(index(whole), columns - whole);
}

Value KernelBuilder::sumColumns(int64_t columns,
                                function_ref<Value(Value, int64_t)> term) {
  int64_t whole = columns / lanes * lanes;
  Value sums = zeros(f32x());
  if (whole)
    sums = loop(index(0), index(whole), lanes, sums,
                [&](Value column, ValueRange carried) -> SmallVector<Value> {
                  return {arith::AddFOp::create(*this, carried[0],
                                                term(column, lanes))};
                })[0];
  if (int64_t rest = columns - whole)
    sums = arith::AddFOp::create(*this, sums,
                                 widen(term(index(whole), rest), lanes));
  return sum(sums);
}
