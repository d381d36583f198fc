//===- Node.cpp - A node while it is built --------------------------------===//

#include "Node.h"

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

LogicalResult Node::fail(const Twine &message) const {
  if (g.giveUp) {
    if (!*g.giveUp)
      *g.giveUp = message.str();
    return failure();
  }
  return emitError(g.loc) << proto.op_type() << ": " << message;
}
