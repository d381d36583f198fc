//===- If.cpp - Of two graphs, the one that a condition chooses -----------===//
//
//   condition known     the branch's nodes, as if they stood there
//   otherwise           %y, %n = scf.if %c { … yield %a, %rows } else { … }
//
// Branches read values around them. What both results have in common, dims and
// integers of shapes, is known of the result; integers that differ are yielded
// as index values; dims that differ are those of the tensor that came out.
//
//===----------------------------------------------------------------------===//

#include "Node.h"
#include "NodeTable.h"

#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace llvm;
using namespace mlir;
using namespace qtale::onnx_import;

namespace {

/// One of the two, while it is filled.
struct Branch {
  Block *block;
  SmallVector<Term> terms;
  SmallVector<Value> yields;
};

/// A result: its dims or elements are null where the branches differ.
struct Joined {
  int output;
  unsigned first; // its place among the yields
  Dims dims;
  std::optional<Dims> elements;
};

class IfBuilder {
public:
  explicit IfBuilder(Node &n) : n(n), g(n.g) {}

  LogicalResult build(Value condition) {
    auto open = scf::IfOp::create(g.b, g.loc, TypeRange(), condition,
                                  /*addThenBlock=*/true, /*addElseBlock=*/true);
    branches[0].block = open.thenBlock();
    branches[1].block = open.elseBlock();
    // Both, so that all is told that is refused of them.
    bool filled = true;
    const StringRef names[] = {"then_branch", "else_branch"};
    for (auto [branch, name] : llvm::zip_equal(branches, names))
      filled &= succeeded(fill(branch, n.attribute(name)->g()));
    if (!filled)
      return failure();
    for (int i = 0; i < n.proto.output_size(); ++i)
      if (n.wants(i) && failed(join(i)))
        return failure();
    close(open);
    return success();
  }

private:
  LogicalResult fill(Branch &branch, const onnx::GraphProto &graph) {
    OpBuilder::InsertionGuard guard(g.b);
    g.b.setInsertionPointToEnd(branch.block);
    // What is made within is not known outside.
    IndexFacts outside = g.math.facts();
    Location loc = g.loc;
    auto terms = n.subgraphs->build(graph);
    g.loc = loc;
    g.math.restore(std::move(outside));
    if (failed(terms))
      return failure();
    branch.terms = std::move(*terms);
    return success();
  }

  /// Result i, of what the branches have for it.
  LogicalResult join(int i) {
    Term &a = branches[0].terms[i], &c = branches[1].terms[i];
    if (a.dtype != c.dtype)
      return n.fail("the branches give '" + n.proto.output(i) +
                    "' different element types");
    if (a.rank() != c.rank())
      return n.fail("the branches give '" + n.proto.output(i) + "' " +
                    Twine(a.rank()) + " and " + Twine(c.rank()) +
                    " dimensions; the rank of every value must be known");
    Joined joined;
    joined.output = i;
    joined.first = branches[0].yields.size();
    if (a.elements && c.elements && a.elements->size() == c.elements->size()) {
      joined.dims = a.dims;
      joined.elements = common(*a.elements, *c.elements);
      for (auto [branch, elements] : {std::pair(&branches[0], &*a.elements),
                                      std::pair(&branches[1], &*c.elements)})
        for (auto [own, both] : llvm::zip_equal(*elements, *joined.elements))
          if (!both)
            branch->yields.push_back(index(*branch, own));
    } else {
      joined.dims = common(a.dims, c.dims);
      SmallVector<int64_t> shape;
      for (OpFoldResult dim : joined.dims)
        shape.push_back(dim ? staticOrDynamic(dim) : ShapedType::kDynamic);
      auto type =
          RankedTensorType::get(shape, elementType(g.context(), a.dtype));
      for (Branch &branch : branches)
        branch.yields.push_back(tensor(branch, branch.terms[i], type));
    }
    results.push_back(std::move(joined));
    return success();
  }

  /// What is the same in both branches; null where it is not.
  Dims common(ArrayRef<OpFoldResult> a, ArrayRef<OpFoldResult> c) {
    Dims result;
    for (auto [x, y] : llvm::zip_equal(a, c))
      result.push_back(g.math.same(x, y) ? x : OpFoldResult());
    return result;
  }

  Value index(Branch &branch, OpFoldResult element) {
    if (auto value = dyn_cast<Value>(element))
      return value;
    OpBuilder::InsertionGuard guard(g.b);
    g.b.setInsertionPointToEnd(branch.block);
    return arith::ConstantIndexOp::create(g.b, g.loc,
                                          *getConstantIntValue(element));
  }

  Value tensor(Branch &branch, Term &term, Type type) {
    OpBuilder::InsertionGuard guard(g.b);
    g.b.setInsertionPointToEnd(branch.block);
    Value value = g.tensor(term);
    return value.getType() == type
               ? value
               : tensor::CastOp::create(g.b, g.loc, type, value);
  }

  void close(scf::IfOp open) {
    for (Branch &branch : branches) {
      auto b = OpBuilder::atBlockEnd(branch.block);
      scf::YieldOp::create(b, g.loc, branch.yields);
    }
    auto whole = scf::IfOp::create(
        g.b, g.loc, ValueRange(branches[0].yields).getTypes(),
        open.getCondition(), /*addThenBlock=*/false, /*addElseBlock=*/false);
    whole.getThenRegion().takeBody(open.getThenRegion());
    whole.getElseRegion().takeBody(open.getElseRegion());
    open.erase();
    for (Joined &joined : results)
      set(joined, whole.getResults().drop_front(joined.first));
  }

  void set(Joined &joined, ValueRange values) {
    int32_t dtype = branches[0].terms[joined.output].dtype;
    if (joined.elements) {
      for (OpFoldResult &element : *joined.elements)
        if (!element) {
          element = values.front();
          values = values.drop_front();
        }
      Term term = g.fromElements(dtype, *joined.elements, joined.dims.empty());
      (void)n.set(joined.output, std::move(term));
      return;
    }
    for (auto [axis, dim] : llvm::enumerate(joined.dims)) {
      if (dim)
        continue;
      Value size = tensor::DimOp::create(g.b, g.loc, values.front(), axis);
      g.math.markNonNegative(size);
      dim = size;
    }
    (void)n.set(joined.output, g.make(dtype, values.front(), joined.dims));
  }

  Node &n;
  GraphBuilder &g;
  Branch branches[2];
  SmallVector<Joined> results;
};

} // namespace

static std::optional<bool> knownFlag(Term &term) {
  if (term.constant && term.constant.getNumElements() == 1)
    return !(*term.constant.getValues<APInt>().begin()).isZero();
  if (term.elements && term.elements->size() == 1)
    if (auto flag = getConstantIntValue(term.elements->front()))
      return *flag != 0;
  return std::nullopt;
}

static LogicalResult buildIf(Node &n) {
  GraphBuilder &g = n.g;
  Term &condition = n.in(0);
  if (condition.dtype != onnx::TensorProto::BOOL)
    return n.fail("needs a condition that is a bool");
  if (std::optional<bool> flag = knownFlag(condition)) {
    auto terms = n.subgraphs->take(n.proto, *flag);
    if (failed(terms))
      return failure();
    for (int i = 0; i < n.proto.output_size(); ++i)
      if (failed(n.set(i, (*terms)[i])))
        return failure();
    return success();
  }
  for (OpFoldResult dim : condition.dims)
    if (auto known = getConstantIntValue(dim); known && *known != 1)
      return n.fail("needs a condition of one element");
  for (OpFoldResult dim : condition.dims)
    g.math.check(dim, g.math.constant(1),
                 "If: the condition must have one element");
  SmallVector<Value> zeros(condition.rank(), g.math.value(g.math.constant(0)));
  Value flag = tensor::ExtractOp::create(g.b, g.loc, n.tensor(0), zeros);
  return IfBuilder(n).build(flag);
}

void qtale::onnx_import::addControl(NodeTable &table) {
  table.add("If", {1, 24, 25}, buildIf);
}
