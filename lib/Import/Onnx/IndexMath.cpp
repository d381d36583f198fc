//===- IndexMath.cpp - Arithmetic on dimensions ---------------------------===//
//
//   past + seq, seq + past          one value
//   total - (total - seq)           seq
//   (batch * seq * 64) / (batch * 64)   seq
//
//===----------------------------------------------------------------------===//

#include "IndexMath.h"

#include "mlir/Dialect/ControlFlow/IR/ControlFlowOps.h"
#include "llvm/Support/MathExtras.h"

using namespace llvm;
using namespace mlir;
using namespace qtale::onnx_import;

bool IndexMath::same(OpFoldResult a, OpFoldResult c) {
  return isEqualConstantIntOrValue(a, c);
}

Value IndexMath::value(OpFoldResult a) {
  if (auto value = dyn_cast<Value>(a))
    return value;
  int64_t number = *getConstantIntValue(a);
  Value &slot = constants[number];
  if (!slot)
    slot = arith::ConstantIndexOp::create(b, loc, number);
  return slot;
}

bool IndexMath::isNonNegative(OpFoldResult a) {
  if (auto number = getConstantIntValue(a))
    return *number >= 0;
  return nonNegative.contains(cast<Value>(a));
}

bool IndexMath::isSize(OpFoldResult a) {
  // Beyond it are limits and masks rather than dimensions.
  constexpr int64_t small = 1 << 20;
  if (auto number = getConstantIntValue(a))
    return -small <= *number && *number <= small;
  return sizes.contains(cast<Value>(a));
}

OpFoldResult IndexMath::make(Kind kind, OpFoldResult a, OpFoldResult c) {
  Value x = value(a), y = value(c);
  auto rank = [&](Value v) {
    return order.try_emplace(v, order.size()).first->second;
  };
  if (kind != Sub && kind != Div && rank(y) < rank(x))
    std::swap(x, y);
  auto key = std::make_tuple(int(kind), x.getAsOpaquePointer(),
                             y.getAsOpaquePointer());
  auto it = known.find(key);
  if (it != known.end())
    return it->second;
  Value result;
  switch (kind) {
  case Add:
    result = arith::AddIOp::create(b, loc, x, y);
    sums[result] = {a, c};
    break;
  case Sub:
    result = arith::SubIOp::create(b, loc, x, y);
    differences[result] = {a, c};
    break;
  case Mul:
    result = arith::MulIOp::create(b, loc, x, y);
    break;
  case Div:
    result = arith::DivSIOp::create(b, loc, x, y);
    break;
  case Min:
    result = arith::MinSIOp::create(b, loc, x, y);
    break;
  case Max:
    result = arith::MaxSIOp::create(b, loc, x, y);
    break;
  }
  bool ofSizes = isSize(a) && isSize(c);
  bool both = isNonNegative(a) && isNonNegative(c);
  if ((both && kind == Add && ofSizes) ||
      (both && (kind == Div || kind == Min)) ||
      (kind == Max && (isNonNegative(a) || isNonNegative(c))))
    nonNegative.insert(result);
  if (ofSizes && kind != Mul)
    sizes.insert(result);
  known[key] = result;
  return result;
}

OpFoldResult IndexMath::add(OpFoldResult a, OpFoldResult c) {
  auto x = getConstantIntValue(a), y = getConstantIntValue(c);
  if (x && y)
    return constant(int64_t(uint64_t(*x) + uint64_t(*y)));
  if (x && *x == 0)
    return c;
  if (y && *y == 0)
    return a;
  // (a - c) + c
  for (auto [p, q] : {std::pair(a, c), std::pair(c, a)})
    if (auto v = dyn_cast<Value>(p)) {
      auto it = differences.find(v);
      if (it != differences.end() && same(it->second.second, q))
        return it->second.first;
    }
  return make(Add, a, c);
}

OpFoldResult IndexMath::sub(OpFoldResult a, OpFoldResult c) {
  auto x = getConstantIntValue(a), y = getConstantIntValue(c);
  if (x && y)
    return constant(int64_t(uint64_t(*x) - uint64_t(*y)));
  if (same(a, c))
    return constant(0);
  if (y && *y == 0)
    return a;
  if (y)
    return add(a, constant(int64_t(-uint64_t(*y))));
  if (auto v = dyn_cast<Value>(a)) {
    auto it = sums.find(v);
    if (it != sums.end() && same(it->second.first, c))
      return it->second.second;
    if (it != sums.end() && same(it->second.second, c))
      return it->second.first;
  }
  if (auto v = dyn_cast<Value>(c)) {
    auto it = differences.find(v);
    if (it != differences.end() && same(it->second.first, a))
      return it->second.second;
  }
  return make(Sub, a, c);
}

OpFoldResult IndexMath::mul(OpFoldResult a, OpFoldResult c) {
  auto x = getConstantIntValue(a), y = getConstantIntValue(c);
  if (x && y)
    return constant(int64_t(uint64_t(*x) * uint64_t(*y)));
  if ((x && *x == 0) || (y && *y == 0))
    return constant(0);
  if (x && *x == 1)
    return c;
  if (y && *y == 1)
    return a;
  Product p = factors(a), q = factors(c);
  OpFoldResult result = make(Mul, a, c);
  Product both;
  if (!MulOverflow(p.factor, q.factor, both.factor)) {
    both.values = p.values;
    both.values.append(q.values);
    llvm::sort(both.values, [&](void *l, void *r) {
      return order[Value::getFromOpaquePointer(l)] <
             order[Value::getFromOpaquePointer(r)];
    });
    products[cast<Value>(result)] = both;
    if (isSize(a) && isSize(c) && isInt<32>(both.factor)) {
      sizes.insert(cast<Value>(result));
      if (isNonNegative(a) && isNonNegative(c))
        nonNegative.insert(cast<Value>(result));
    }
  }
  return result;
}

IndexMath::Product IndexMath::factors(OpFoldResult a) {
  if (auto number = getConstantIntValue(a))
    return {*number, {}};
  Value v = cast<Value>(a);
  auto it = products.find(v);
  if (it != products.end())
    return it->second;
  order.try_emplace(v, order.size());
  return {1, {v.getAsOpaquePointer()}};
}

IndexMath::Product IndexMath::factors(ArrayRef<OpFoldResult> dims) {
  Product result;
  for (OpFoldResult dim : dims) {
    Product p = factors(dim);
    if (MulOverflow(result.factor, p.factor, result.factor))
      result.factor = -1;
    result.values.append(p.values);
  }
  llvm::sort(result.values, [&](void *l, void *r) {
    return order[Value::getFromOpaquePointer(l)] <
           order[Value::getFromOpaquePointer(r)];
  });
  return result;
}

OpFoldResult IndexMath::product(ArrayRef<OpFoldResult> dims) {
  OpFoldResult result = constant(1);
  for (OpFoldResult dim : dims)
    result = mul(result, dim);
  return result;
}

std::optional<OpFoldResult> IndexMath::cancelled(OpFoldResult a,
                                                 OpFoldResult c) {
  Product p = factors(a), q = factors(c);
  if (q.factor <= 0 || p.factor % q.factor != 0)
    return std::nullopt;
  SmallVector<void *> rest = p.values;
  for (void *v : q.values) {
    auto it = llvm::find(rest, v);
    if (it == rest.end())
      return std::nullopt;
    rest.erase(it);
  }
  OpFoldResult result = constant(p.factor / q.factor);
  for (void *v : rest)
    result = mul(result, OpFoldResult(Value::getFromOpaquePointer(v)));
  return result;
}

OpFoldResult IndexMath::divided(OpFoldResult a, OpFoldResult c,
                                OpFoldResult byZero) {
  auto x = getConstantIntValue(a), y = getConstantIntValue(c);
  if (y == 0)
    return byZero;
  if (y == 1)
    return a;
  if (y == -1)
    return sub(constant(0), a);
  if (x && y)
    return constant(*x / *y);
  if (y)
    return make(Div, a, c);
  // Divisors that would trap are answered apart.
  Value divisor = value(c), one = value(constant(1));
  auto is = [&](int64_t number) -> Value {
    return arith::CmpIOp::create(b, loc, arith::CmpIPredicate::eq, divisor,
                                 value(constant(number)));
  };
  auto select = [&](Value condition, Value yes, Value no) -> Value {
    return arith::SelectOp::create(b, loc, condition, yes, no);
  };
  Value isZero = is(0), isMinusOne;
  Value safe = select(isZero, one, divisor);
  if (!isNonNegative(c)) {
    isMinusOne = is(-1);
    safe = select(isMinusOne, one, safe);
  }
  Value result = arith::DivSIOp::create(b, loc, value(a), safe);
  if (isMinusOne)
    result = select(isMinusOne, value(sub(constant(0), a)), result);
  result = select(isZero, value(byZero), result);
  if (isNonNegative(a) && isNonNegative(c))
    nonNegative.insert(result);
  if (isSize(a) && isSize(c))
    sizes.insert(result);
  return result;
}

OpFoldResult IndexMath::quotient(OpFoldResult a, OpFoldResult c) {
  // Where a factor is 0, so is the divisor, of which ONNX says nothing.
  if (isSize(a) && isSize(c))
    if (auto result = cancelled(a, c))
      return *result;
  return divided(a, c, a);
}

OpFoldResult IndexMath::div(OpFoldResult a, OpFoldResult c) {
  // A dimension of 0 divides to 0 either way: whoever asks has compared the
  // products.
  if (auto result = cancelled(a, c))
    return *result;
  return divided(a, c, constant(0));
}

OpFoldResult IndexMath::lesser(OpFoldResult a, OpFoldResult c) {
  auto x = getConstantIntValue(a), y = getConstantIntValue(c);
  if (x && y)
    return constant(std::min(*x, *y));
  if (same(a, c))
    return a;
  return make(Min, a, c);
}

OpFoldResult IndexMath::min(OpFoldResult a, OpFoldResult c) {
  auto x = getConstantIntValue(a), y = getConstantIntValue(c);
  constexpr int64_t huge = INT32_MAX;
  if (!x || !y) {
    if (x && *x >= huge)
      return c;
    if (y && *y >= huge)
      return a;
  }
  return lesser(a, c);
}

OpFoldResult IndexMath::max(OpFoldResult a, OpFoldResult c) {
  auto x = getConstantIntValue(a), y = getConstantIntValue(c);
  if (x && y)
    return constant(std::max(*x, *y));
  if (same(a, c))
    return a;
  if (x && *x <= 0 && isNonNegative(c))
    return c;
  if (y && *y <= 0 && isNonNegative(a))
    return a;
  return make(Max, a, c);
}

OpFoldResult IndexMath::wrap(OpFoldResult a, OpFoldResult dim) {
  if (isNonNegative(a))
    return a;
  if (auto number = getConstantIntValue(a))
    return *number <= -int64_t(INT32_MAX) ? constant(0) : add(dim, a);
  Value isNegative = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::slt,
                                           value(a), value(constant(0)));
  return arith::SelectOp::create(b, loc, isNegative, value(add(a, dim)),
                                 value(a))
      .getResult();
}

OpFoldResult IndexMath::clamp(OpFoldResult a, OpFoldResult dim) {
  return max(min(a, dim), constant(0));
}

void IndexMath::check(OpFoldResult a, OpFoldResult c, const Twine &message) {
  if (same(a, c))
    return;
  Value equal = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::eq,
                                      value(a), value(c));
  cf::AssertOp::create(b, loc, equal, message.str());
}

void IndexMath::checkInt32(Value a, const Twine &message) {
  if (!fitInt32.insert(a).second)
    return;
  Value moved = value(add(a, constant(int64_t(1) << 31)));
  Value fits = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ult, moved,
                                     value(constant(int64_t(1) << 32)));
  cf::AssertOp::create(b, loc, fits, message.str());
}
