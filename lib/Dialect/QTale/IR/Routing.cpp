//===- Routing.cpp - Routed units: constraints and simplifications --------===//
//
//   keep = true     route { A } else { B }   -->  A
//   keep = false    route { A } else { B }   -->  B, or the inputs
//   one keep        route { A }; route { B } -->  route { A; B }
//
// Routers and keeps are pure: where no route needs them, they go.
//
//===----------------------------------------------------------------------===//

#include "RowTypes.h"

#include "mlir/IR/Builders.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/IR/Matchers.h"
#include "mlir/IR/PatternMatch.h"

using namespace mlir;
using namespace qtale;

//===----------------------------------------------------------------------===//
// Constraints
//===----------------------------------------------------------------------===//

OpOperand *RouterOp::getMatrix() {
  switch (getKind()) {
  case RouterKind::MLP2:
    return &getWeightsMutable()[0];
  case RouterKind::Gate:
    return &getWeightsMutable()[1];
  case RouterKind::Linear:
    return nullptr;
  }
  llvm_unreachable("unknown kind of router");
}

LogicalResult RouterOp::verify() {
  int64_t d = typeOf(getInput()).getDimSize(1);
  unsigned count = 0;
  switch (getKind()) {
  case RouterKind::MLP2:
    count = 5;
    break;
  case RouterKind::Linear:
    count = 2;
    break;
  case RouterKind::Gate:
    count = 3;
    break;
  }
  if (getWeights().size() != count) // C1
    return emitOpError("of kind ")
           << stringifyRouterKind(getKind()) << " takes " << count
           << " weights, but has " << getWeights().size();
  auto rowsOf = [&](unsigned i) {
    return typeOf(getWeights()[i]).getShape()[0];
  };
  SmallVector<SmallVector<int64_t>> shapes;
  switch (getKind()) {
  case RouterKind::MLP2: {
    int64_t r = rowsOf(0);
    shapes = {{r, d}, {r}, {r}, {2, r}, {2}};
    break;
  }
  case RouterKind::Linear:
    shapes = {{1, d}, {1}};
    break;
  case RouterKind::Gate: {
    int64_t r = rowsOf(1);
    shapes = {{d}, {r, d}, {1, r}};
    break;
  }
  }
  for (auto [i, shape] : llvm::enumerate(shapes))
    if (typeOf(getWeights()[i]).getShape() != ArrayRef(shape)) // C2
      return emitOpError("weight ")
             << i << " must be "
             << RankedTensorType::get(shape, Float32Type::get(getContext()))
             << ", but is " << getWeights()[i].getType();
  if (!sameRows({getInput(), getResult()})) // C3
    return emitOpError("result ")
           << getType() << " does not fit input " << getInput().getType();
  return success();
}

LogicalResult KeepOp::verify() {
  if (!sameRows({getProbability(), getBudgets(), getSequences(), getPositions(),
                 getKeep(), getLeft()})) // C1
    return emitOpError("probabilities, budgets, sequences, positions and "
                       "results differ in number");
  int64_t units = typeOf(getThresholds()).getDimSize(1), unit = getUnit();
  if (unit < 0 || (!ShapedType::isDynamic(units) && unit >= units)) // C2
    return emitOpError("unit ") << unit << " is no column of the thresholds "
                                << getThresholds().getType();
  return success();
}

LogicalResult RouteOp::verify() {
  SmallVector<Value> all(getInputs());
  all.push_back(getKeep());
  llvm::append_range(all, getResults());
  if (!sameRows(all)) // C4
    return emitOpError("inputs, flags and results differ in number of rows");
  for (Region *region : getRegions()) {
    if (region->empty())
      continue;
    auto arguments = region->getArgumentTypes();
    bool fits = arguments.size() == getInputs().size();
    for (auto [argument, input] : llvm::zip(arguments, getInputs().getTypes()))
      fits &= isa<RankedTensorType>(argument) &&
              withAnyRows(argument) == withAnyRows(input);
    if (!fits) // C1
      return emitOpError("a region's arguments must be the inputs (")
             << getInputs().getTypes() << "), but are " << arguments;
    auto yielded = region->front().getTerminator()->getOperandTypes();
    fits = yielded.size() == getNumResults();
    for (auto [value, result] : llvm::zip(yielded, getResultTypes()))
      fits &= withAnyRows(value) == withAnyRows(result);
    if (!fits) // C2
      return emitOpError("a region must yield the results (")
             << getResultTypes() << "), but yields " << yielded;
  }
  if (!getSkipped().empty())
    return success();
  bool fits = getNumResults() <= getInputs().size();
  for (auto [input, result] :
       llvm::zip(getInputs().getTypes(), getResultTypes()))
    fits &= input == result;
  if (!fits) // C3
    return emitOpError("without a second region, the results (")
           << getResultTypes() << ") must be the first inputs ("
           << getInputs().getTypes() << ")";
  return success();
}

LogicalResult KVReserveOp::verify() {
  if (!getCache().getType().getRagged()) // C1
    return emitOpError("needs a ragged cache, but has ")
           << getCache().getType();
  if (!sameRows({getKeep(), getSequences(), getPositions(), getSlots()})) // C2
    return emitOpError(
        "flags, sequences, positions and slots differ in number");
  return success();
}

LogicalResult KVCopyOp::verify() {
  if (getCache().getType() != getBelow().getType() ||
      getCache().getType().getRagged()) // C1
    return emitOpError("needs two caches of one type that is not ragged, but "
                       "has ")
           << getCache().getType() << " and " << getBelow().getType();
  if (!sameRows({getKeep(), getSequences(), getSlots()})) // C2
    return emitOpError("flags, sequences and slots differ in number");
  return success();
}

void GatherRowsOp::build(OpBuilder &builder, OperationState &state, Value input,
                         Value rows) {
  SmallVector<int64_t> shape(typeOf(input).getShape());
  shape[0] = typeOf(rows).getDimSize(0);
  build(builder, state,
        RankedTensorType::get(shape, typeOf(input).getElementType()), input,
        rows);
}

LogicalResult GatherRowsOp::verify() {
  if (withAnyRows(getInput().getType()) != withAnyRows(getType()) ||
      !sameRows({getRows(), getResult()})) // C1
    return emitOpError("result ")
           << getType() << " does not fit input " << getInput().getType()
           << " and rows " << getRows().getType();
  return success();
}

LogicalResult ScatterRowsOp::verify() {
  if (withAnyRows(getValues().getType()) != withAnyRows(getType()) ||
      !sameRows({getRows(), getValues()})) // C1
    return emitOpError("values ")
           << getValues().getType() << " and rows " << getRows().getType()
           << " do not fit base " << getType();
  return success();
}

LogicalResult CompactOp::verify() {
  if (!sameRows({getKeep(), getRows()})) // C1
    return emitOpError("rows ") << getRows().getType() << " do not fit flags "
                                << getKeep().getType();
  return success();
}

LogicalResult RecordOp::verify() {
  if (!sameRows({getProbability(), getKeep()})) // C1
    return emitOpError("probabilities and flags differ in number");
  return success();
}

//===----------------------------------------------------------------------===//
// Simplifications
//===----------------------------------------------------------------------===//

/// What every flag is, where it is known and the same.
static std::optional<bool> constantFlag(Value keep) {
  DenseElementsAttr flags;
  if (!matchPattern(keep, m_Constant(&flags)) || !flags.isSplat())
    return std::nullopt;
  return flags.getSplatValue<bool>();
}

static Value castTo(PatternRewriter &rewriter, Location loc, Value value,
                    Type type) {
  if (value.getType() == type)
    return value;
  return tensor::CastOp::create(rewriter, loc, type, value);
}

namespace {

/// A route that all rows take, or none.
struct InlineConstantRoute : OpRewritePattern<RouteOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(RouteOp route,
                                PatternRewriter &rewriter) const override {
    std::optional<bool> keep = constantFlag(route.getKeep());
    if (!keep)
      return rewriter.notifyMatchFailure(route, "flags are not constant");
    Region &taken = *keep ? route.getKept() : route.getSkipped();
    if (taken.empty()) {
      rewriter.replaceOp(route,
                         route.getInputs().take_front(route.getNumResults()));
      return success();
    }
    SmallVector<Value> arguments;
    for (auto [input, type] :
         llvm::zip_equal(route.getInputs(), taken.getArgumentTypes()))
      arguments.push_back(castTo(rewriter, route.getLoc(), input, type));
    Operation *yield = taken.front().getTerminator();
    rewriter.inlineBlockBefore(&taken.front(), route, arguments);
    SmallVector<Value> results;
    for (auto [value, type] :
         llvm::zip_equal(yield->getOperands(), route.getResultTypes()))
      results.push_back(castTo(rewriter, route.getLoc(), value, type));
    rewriter.eraseOp(yield);
    rewriter.replaceOp(route, results);
    return success();
  }
};

/// Inputs that no region reads, and results that nobody reads.
struct DropUnused : OpRewritePattern<RouteOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(RouteOp route,
                                PatternRewriter &rewriter) const override {
    bool passes = route.getSkipped().empty();
    unsigned results = route.getNumResults();
    llvm::BitVector deadInputs(route.getInputs().size()), deadResults(results);
    for (unsigned i = 0; i < results; ++i)
      if (route.getResult(i).use_empty())
        deadResults.set(i);
    for (unsigned i = 0; i < deadInputs.size(); ++i) {
      bool read = passes && i < results && !deadResults.test(i);
      for (Region *region : route.getRegions())
        read |= !region->empty() && !region->getArgument(i).use_empty();
      if (!read)
        deadInputs.set(i);
    }
    // Results lie over the inputs that pass for them: both go, or none.
    for (unsigned i = 0; passes && i < results; ++i)
      if (!deadInputs.test(i))
        deadResults.reset(i);
    if (deadInputs.none() && deadResults.none())
      return rewriter.notifyMatchFailure(route, "all is used");

    SmallVector<Value> inputs;
    for (auto [i, input] : llvm::enumerate(route.getInputs()))
      if (!deadInputs.test(i))
        inputs.push_back(input);
    SmallVector<Type> types;
    for (unsigned i = 0; i < results; ++i)
      if (!deadResults.test(i))
        types.push_back(route.getResult(i).getType());
    auto slim = RouteOp::create(rewriter, route.getLoc(), types, inputs,
                                route.getKeep());
    for (unsigned r : {0, 1}) {
      Region &from = route->getRegion(r), &to = slim->getRegion(r);
      if (from.empty())
        continue;
      rewriter.modifyOpInPlace(route, [&] {
        from.front().eraseArguments(deadInputs);
        from.front().getTerminator()->eraseOperands(deadResults);
      });
      rewriter.inlineRegionBefore(from, to, to.end());
    }
    unsigned next = 0;
    for (unsigned i = 0; i < results; ++i)
      if (!deadResults.test(i))
        rewriter.replaceAllUsesWith(route.getResult(i), slim.getResult(next++));
    rewriter.eraseOp(route);
    return success();
  }
};

/// Two routes with one keep, the second on what the first gives.
struct MergeRoutes : OpRewritePattern<RouteOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(RouteOp second,
                                PatternRewriter &rewriter) const override {
    RouteOp first = findFirst(second);
    if (!first)
      return rewriter.notifyMatchFailure(second, "no route before it merges");

    // Inputs: those that pass for the results, then the others.
    SmallVector<Value> inputs;
    SmallVector<Type> types;
    auto add = [&](RouteOp route) {
      for (auto [i, result] : llvm::enumerate(route.getResults())) {
        types.push_back(result.getType());
        Value input = passed(route, i);
        inputs.push_back(passed(first, input));
      }
    };
    add(first);
    add(second);
    unsigned results = inputs.size();
    for (RouteOp route : {first, second})
      for (Value input : route.getInputs())
        if (input.getDefiningOp() != first)
          inputs.push_back(input);

    rewriter.setInsertionPoint(second);
    auto merged = RouteOp::create(rewriter, second.getLoc(), types, inputs,
                                  second.getKeep());
    Block *body = rewriter.createBlock(&merged.getKept());
    for (Value input : inputs)
      body->addArgument(withAnyRows(input.getType()), second.getLoc());
    IRMapping known; // a value outside -> its kept rows
    for (auto [i, input] : llvm::enumerate(inputs))
      if (i >= results)
        known.map(input, body->getArgument(i));
    SmallVector<Value> yielded;
    for (RouteOp route : {first, second}) {
      SmallVector<Value> arguments;
      Block &from = route.getKept().front();
      for (auto [input, argument] :
           llvm::zip_equal(route.getInputs(), from.getArguments()))
        arguments.push_back(castTo(rewriter, route.getLoc(),
                                   known.lookup(input), argument.getType()));
      Operation *yield = from.getTerminator();
      rewriter.inlineBlockBefore(&from, body, body->end(), arguments);
      for (auto [result, value] :
           llvm::zip_equal(route.getResults(), yield->getOperands()))
        known.map(result, value);
      llvm::append_range(yielded, yield->getOperands());
      rewriter.eraseOp(yield);
      rewriter.setInsertionPointToEnd(body);
    }
    YieldOp::create(rewriter, second.getLoc(), yielded);
    unsigned count = first.getNumResults();
    rewriter.replaceOp(second, merged.getResults().drop_front(count));
    rewriter.replaceOp(first, merged.getResults().take_front(count));
    return success();
  }

private:
  /// What result i of a route is for rows that skip it.
  static Value passed(RouteOp route, unsigned i) {
    return route.getInputs()[i];
  }
  /// What `value` is for rows that skip `first`.
  static Value passed(RouteOp first, Value value) {
    if (value.getDefiningOp() == first)
      return first.getInputs()[cast<OpResult>(value).getResultNumber()];
    return value;
  }

  /// The route before `second` that its body can follow at once: nothing
  /// between them reads the first's results or has effects.
  static RouteOp findFirst(RouteOp second) {
    if (!second.getSkipped().empty())
      return {};
    for (Operation *op = second->getPrevNode(); op; op = op->getPrevNode()) {
      auto first = dyn_cast<RouteOp>(op);
      if (first && first.getKeep() == second.getKeep() &&
          first.getSkipped().empty())
        return staysBehind(first, second) ? first : RouteOp();
      if (!isPure(op))
        return {};
    }
    return {};
  }

  /// The first's results are inputs of the second, or read behind it.
  static bool staysBehind(RouteOp first, RouteOp second) {
    for (Operation *user : first->getUsers()) {
      Operation *top = second->getBlock()->findAncestorOpInBlock(*user);
      if (top && user != second && !second->isBeforeInBlock(top))
        return false;
    }
    return true;
  }
};

} // namespace

void RouteOp::getCanonicalizationPatterns(RewritePatternSet &patterns,
                                          MLIRContext *context) {
  patterns.add<InlineConstantRoute, DropUnused, MergeRoutes>(context);
}

/// No row is kept and nobody asks for slots.
LogicalResult KVReserveOp::canonicalize(KVReserveOp op,
                                        PatternRewriter &rewriter) {
  if (!op.getSlots().use_empty() || constantFlag(op.getKeep()) != false)
    return rewriter.notifyMatchFailure(op, "rows may be kept");
  rewriter.eraseOp(op);
  return success();
}

/// Every row is kept.
LogicalResult KVCopyOp::canonicalize(KVCopyOp op, PatternRewriter &rewriter) {
  if (constantFlag(op.getKeep()) != true)
    return rewriter.notifyMatchFailure(op, "rows may be skipped");
  rewriter.eraseOp(op);
  return success();
}
