//===- CanonicalizeRoutes.cpp - Routes that need not be, or not twice -----===//
//
//   keep = true     route { A } else { B }   -->  A
//   keep = false    route { A } else { B }   -->  B, or the inputs
//   unused          %y, %_ = route %a, %b    -->  %y = route %a
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

/// What every flag is, where it is known and the same.
static std::optional<bool> constantFlag(Value keep) {
  // In code that nothing reaches, a cast may be of itself.
  SmallPtrSet<Operation *, 4> visited;
  while (auto cast = keep.getDefiningOp<tensor::CastOp>()) {
    if (!visited.insert(cast).second)
      return std::nullopt;
    keep = cast.getSource();
  }
  if (auto splat = keep.getDefiningOp<tensor::SplatOp>()) {
    IntegerAttr flag;
    if (matchPattern(splat.getInput(), m_Constant(&flag)))
      return flag.getValue().getBoolValue();
    return std::nullopt;
  }
  DenseElementsAttr flags;
  if (!matchPattern(keep, m_Constant(&flags)) || !flags.isSplat())
    return std::nullopt;
  return flags.getSplatValue<bool>();
}

/// The value with what `type` knows of the number of rows.
static Value castTo(PatternRewriter &rewriter, Location loc, Value value,
                    Type type) {
  if (value.getType() == type)
    return value;
  // A region may claim another number of rows than it gets: such code is never
  // run, but stays valid.
  if (!tensor::CastOp::areCastCompatible(value.getType(), type))
    value = tensor::CastOp::create(rewriter, loc, withAnyRows(type), value);
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

/// Results that nobody reads; inputs that no region reads, or that are there
/// twice. Inputs that pass for results stay first, in their order:
///
///   %_, %y = route %a, %b, %a, %c { ^(%0, %1, %2, %3): f(%0, %2) }
///   %y = route %b, %a { ^(%1, %0): f(%0, %0) }
struct DropUnused : OpRewritePattern<RouteOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(RouteOp route,
                                PatternRewriter &rewriter) const override {
    llvm::BitVector dead(route.getNumResults());
    SmallVector<unsigned> order; // the inputs that stay
    for (OpResult result : route.getResults()) {
      unsigned i = result.getResultNumber();
      if (result.use_empty())
        dead.set(i);
      else if (route.getSkipped().empty())
        order.push_back(i);
    }
    SmallVector<unsigned> place(route.getInputs().size()); // input -> in order
    for (unsigned i = 0; i < place.size(); ++i) {
      if (!isRead(route, i))
        continue;
      auto *same = llvm::find_if(
          order, [&](unsigned other) { return areSame(route, i, other); });
      place[i] = same - order.begin();
      if (same == order.end())
        order.push_back(i);
    }
    if (dead.none() && order.size() == place.size())
      return rewriter.notifyMatchFailure(route, "all is used");

    SmallVector<Value> inputs;
    for (unsigned i : order)
      inputs.push_back(route.getInputs()[i]);
    SmallVector<Value> live;
    for (OpResult result : route.getResults())
      if (!dead.test(result.getResultNumber()))
        live.push_back(result);
    auto slim = RouteOp::create(rewriter, route.getLoc(), TypeRange(live),
                                inputs, route.getKeep());
    for (auto [from, to] :
         llvm::zip_equal(route->getRegions(), slim->getRegions())) {
      if (from.empty())
        continue;
      rewriter.inlineRegionBefore(from, to, to.end());
      Block &body = to.front();
      for (unsigned i : order)
        body.addArgument(body.getArgument(i).getType(),
                         body.getArgument(i).getLoc());
      for (auto [i, now] : llvm::enumerate(place))
        if (BlockArgument argument = body.getArgument(i); !argument.use_empty())
          rewriter.replaceAllUsesWith(argument,
                                      body.getArgument(place.size() + now));
      body.eraseArguments(0, place.size());
      Operation *yield = body.getTerminator();
      rewriter.modifyOpInPlace(yield, [&] { yield->eraseOperands(dead); });
    }
    for (auto [from, to] : llvm::zip_equal(live, slim.getResults()))
      rewriter.replaceAllUsesWith(from, to);
    rewriter.eraseOp(route);
    return success();
  }

private:
  static bool isRead(RouteOp route, unsigned i) {
    return llvm::any_of(route.getRegions(), [&](Region *region) {
      return !region->empty() && !region->getArgument(i).use_empty();
    });
  }
  static bool areSame(RouteOp route, unsigned i, unsigned j) {
    return route.getInputs()[i] == route.getInputs()[j] &&
           llvm::all_of(route.getRegions(), [&](Region *region) {
             return region->empty() || region->getArgument(i).getType() ==
                                           region->getArgument(j).getType();
           });
  }
};

/// Two routes with one keep, the second on what the first gives. Results and
/// inputs that this leaves unused are DropUnused's.
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
