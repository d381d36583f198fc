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
  bool both = isNonNegative(a) && isNonNegative(c);
  if ((both && kind != Sub) ||
      (kind == Max && (isNonNegative(a) || isNonNegative(c))))
    nonNegative.insert(result);
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

OpFoldResult IndexMath::div(OpFoldResult a, OpFoldResult c) {
  auto x = getConstantIntValue(a), y = getConstantIntValue(c);
  if (y && *y == 0)
    return constant(0);
  if (y && *y == 1)
    return a;
  if (x && y)
    return *y == -1 ? sub(constant(0), a) : constant(*x / *y);
  // Factors that both have cancel. A dimension of 0 divides to 0 either way:
  // whoever asks has compared the products.
  Product p = factors(a), q = factors(c);
  if (q.factor != 0 && p.factor % q.factor == 0) {
    SmallVector<void *> rest = p.values;
    bool divides = llvm::all_of(q.values, [&](void *v) {
      auto it = llvm::find(rest, v);
      if (it == rest.end())
        return false;
      rest.erase(it);
      return true;
    });
    if (divides) {
      OpFoldResult result = constant(p.factor / q.factor);
      for (void *v : rest)
        result = mul(result, OpFoldResult(Value::getFromOpaquePointer(v)));
      return result;
    }
  }
  if (y)
    return make(Div, a, c);
  Value zero = value(constant(0)), divisor = value(c);
  Value isZero =
      arith::CmpIOp::create(b, loc, arith::CmpIPredicate::eq, divisor, zero);
  Value safe =
      arith::SelectOp::create(b, loc, isZero, value(constant(1)), divisor);
  Value quotient = arith::DivSIOp::create(b, loc, value(a), safe);
  Value result = arith::SelectOp::create(b, loc, isZero, zero, quotient);
  if (isNonNegative(a) && isNonNegative(c))
    nonNegative.insert(result);
  return result;
}

OpFoldResult IndexMath::min(OpFoldResult a, OpFoldResult c) {
  auto x = getConstantIntValue(a), y = getConstantIntValue(c);
  if (x && y)
    return constant(std::min(*x, *y));
  if (same(a, c))
    return a;
  // "To the end" is written as a huge number.
  constexpr int64_t huge = INT32_MAX;
  if (x && *x >= huge)
    return c;
  if (y && *y >= huge)
    return a;
  return make(Min, a, c);
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
