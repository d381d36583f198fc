//===- Node.cpp - A node while it is built --------------------------------===//

#include "Node.h"

#include "mlir/Dialect/ControlFlow/IR/ControlFlowOps.h"

using namespace llvm;
using namespace mlir;
using namespace qtale::onnx_import;

const onnx::AttributeProto *Node::attribute(StringRef name) const {
  for (const onnx::AttributeProto &attribute : proto.attribute())
    if (attribute.name() == name)
      return &attribute;
  return nullptr;
}

int64_t Node::integer(StringRef name, int64_t otherwise) const {
  auto *found = attribute(name);
  return found ? found->i() : otherwise;
}

double Node::real(StringRef name, double otherwise) const {
  auto *found = attribute(name);
  return found ? found->f() : otherwise;
}

std::string Node::text(StringRef name, StringRef otherwise) const {
  auto *found = attribute(name);
  return found ? found->s() : otherwise.str();
}

std::optional<SmallVector<int64_t>> Node::list(StringRef name) const {
  auto *found = attribute(name);
  if (!found)
    return std::nullopt;
  return SmallVector<int64_t>(found->ints().begin(), found->ints().end());
}

FailureOr<int64_t> Node::axis(const Term &term, int64_t axis) const {
  int64_t rank = term.rows ? term.rows->rank : term.rank();
  if (axis < -rank || axis >= rank)
    return fail("axis " + Twine(axis) + " is outside of the tensor's " +
                Twine(rank) + " axes");
  if (axis < 0)
    axis += rank;
  if (!term.rows)
    return axis;
  if (auto stored = term.rows->stored(axis))
    return *stored;
  return fail("works along the axis of tokens");
}

FailureOr<std::optional<SmallVector<int64_t>>>
Node::axes(unsigned i, StringRef name) const {
  if (auto attribute = list(name))
    return attribute;
  if (!has(i))
    return std::optional<SmallVector<int64_t>>();
  auto known = g.integers(in(i));
  if (!known && in(i).rank() == 1 && isConstantIntValue(in(i).dims[0], 0))
    known.emplace();
  if (!known)
    return fail(inputName(i) + " (" + name +
                ") must be a constant, because it decides the result's rank");
  return known;
}

std::string Node::inputName(unsigned i) const {
  return "input '" +
         (i < (unsigned)proto.input_size() ? proto.input(i) : std::string()) +
         "'";
}

void Node::require(Value holds, const Twine &message) const {
  cf::AssertOp::create(g.b, g.loc, holds,
                       (proto.op_type() + ": " + message).str());
}

LogicalResult Node::checkEqual(OpFoldResult a, OpFoldResult c,
                               const Twine &message) const {
  auto x = getConstantIntValue(a), y = getConstantIntValue(c);
  if (x && y && *x != *y)
    return fail(message);
  g.math.check(a, c, StringRef(proto.op_type()) + ": " + message);
  return success();
}

LogicalResult Node::checkAtMost(OpFoldResult a, OpFoldResult c,
                                const Twine &message) const {
  auto x = getConstantIntValue(a), y = getConstantIntValue(c);
  if (x && y)
    return *x <= *y ? success() : fail(message);
  if (g.math.same(a, c))
    return success();
  Scalars s{g.b, g.loc};
  require(s.cmp(arith::CmpIPredicate::sle, g.math.value(a), g.math.value(c)),
          message);
  return success();
}

LogicalResult Node::checkSize(OpFoldResult &size) const {
  if (auto known = getConstantIntValue(size))
    return *known >= 0 ? success() : fail("has a size of " + Twine(*known));
  if (g.math.isNonNegative(size))
    return success();
  Scalars s{g.b, g.loc};
  require(s.cmp(arith::CmpIPredicate::sge, g.math.value(size), s.index(0)),
          "a size is negative");
  size = g.math.max(size, g.math.constant(0));
  return success();
}

LogicalResult Node::checkRead(ArrayRef<OpFoldResult> axes,
                              ArrayRef<OpFoldResult> results) const {
  if (llvm::any_of(results,
                   [](OpFoldResult dim) { return isConstantIntValue(dim, 0); }))
    return success();
  // Only dimensions that may be 0 are asked when the model runs.
  auto isOpen = [](OpFoldResult dim) { return !getConstantIntValue(dim); };
  bool knownResults = llvm::none_of(results, isOpen);
  Scalars s{g.b, g.loc};
  auto isZero = [&](OpFoldResult dim) {
    return s.cmp(arith::CmpIPredicate::eq, g.math.value(dim), s.index(0));
  };
  for (OpFoldResult axis : axes) {
    bool isEmpty = isConstantIntValue(axis, 0);
    if (isEmpty && knownResults)
      return fail("reads from an axis without elements");
    auto isAxis = [&](OpFoldResult dim) { return g.math.same(dim, axis); };
    if ((!isEmpty && !isOpen(axis)) || llvm::any_of(results, isAxis))
      continue;
    Value holds =
        s.cmp(arith::CmpIPredicate::ne, g.math.value(axis), s.index(0));
    for (OpFoldResult dim : results)
      if (isOpen(dim))
        holds = s.make<arith::OrIOp>(holds, isZero(dim));
    require(holds, "reads from an axis without elements");
  }
  return success();
}

LogicalResult Node::fail(const Twine &message) const {
  if (g.giveUp) {
    if (!*g.giveUp)
      *g.giveUp = message.str();
    return failure();
  }
  return emitError(g.loc) << proto.op_type() << ": " << message;
}
