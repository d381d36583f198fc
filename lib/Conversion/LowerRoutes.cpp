//===- LowerRoutes.cpp - Routes become compaction, branch, scatter --------===//
//
//   y = route x, z if keep { body }
//
//   rows, count = compact keep
//   y = if count > 0 { a, b = gather x, z at rows;  body on a, b;
//                      scatter its results into x at rows }
//       else { x }
//
// With a second region the same follows for the skipped rows, into y. All that
// the body reads or computes stands within the branch: where no row runs,
// nothing does. Scattering into x happens in place, since nobody reads x after.
//
//===----------------------------------------------------------------------===//

#include "qtale/Conversion/Passes.h"
#include "qtale/Dialect/QTale/IR/QTale.h"

#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"

using namespace mlir;
using namespace qtale;

namespace qtale {
#define GEN_PASS_DEF_LOWERROUTES
#include "qtale/Conversion/Passes.h.inc"
} // namespace qtale

namespace {

/// The rows of one region of a route.
class RegionLowering {
public:
  RegionLowering(RouteOp route, bool skipped)
      : route(route), region(route->getRegion(skipped)),
        b(route.getLoc(), route) {
    auto compact = CompactOp::create(
        b, RankedTensorType::get({ShapedType::kDynamic}, b.getI32Type()),
        RankedTensorType::get({1}, b.getI32Type()), route.getKeep(),
        skipped ? b.getUnitAttr() : UnitAttr());
    Value zero = arith::ConstantIndexOp::create(b, 0);
    Value count = tensor::ExtractOp::create(b, compact.getCount(), zero);
    count = arith::IndexCastOp::create(b, b.getIndexType(), count);
    // No more than there are: so the arena knows how large buffers can be.
    Value all = tensor::DimOp::create(b, route.getKeep(), 0);
    size = arith::MinUIOp::create(b, count, all);
    rows = compact.getRows();
  }

  /// The bases, with the region's results in its rows.
  SmallVector<Value> lower(ValueRange bases) {
    Value any = arith::CmpIOp::create(b, arith::CmpIPredicate::ugt, size,
                                      arith::ConstantIndexOp::create(b, 0));
    auto branch = scf::IfOp::create(b, bases.getTypes(), any,
                                    /*withElseRegion=*/!bases.empty());
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(branch.thenBlock());
    SmallVector<Value> filled = fill(bases);
    if (bases.empty()) // then the branch has its terminator
      return {};
    scf::YieldOp::create(b, filled);
    b.setInsertionPointToStart(branch.elseBlock());
    scf::YieldOp::create(b, bases);
    return branch.getResults();
  }

private:
  SmallVector<Value> fill(ValueRange bases) {
    auto one = b.getIndexAttr(1);
    Value own = tensor::ExtractSliceOp::create(
        b, rows, ArrayRef<OpFoldResult>{b.getIndexAttr(0)},
        ArrayRef<OpFoldResult>{size}, ArrayRef<OpFoldResult>{one});
    Block &body = region.front();
    IRMapping mapping;
    for (auto [input, argument] :
         llvm::zip_equal(route.getInputs(), body.getArguments())) {
      if (argument.use_empty())
        continue;
      Value gathered = GatherRowsOp::create(b, input, own);
      if (gathered.getType() != argument.getType())
        gathered = tensor::CastOp::create(b, argument.getType(), gathered);
      mapping.map(argument, gathered);
    }
    for (Operation &op : body.without_terminator())
      b.clone(op, mapping);
    SmallVector<Value> results;
    for (auto [value, base] :
         llvm::zip_equal(body.getTerminator()->getOperands(), bases)) {
      results.push_back(ScatterRowsOp::create(
          b, base.getType(), mapping.lookupOrDefault(value), own, base));
    }
    return results;
  }

  RouteOp route;
  Region &region;
  ImplicitLocOpBuilder b;
  Value rows, size;
};

void lower(RouteOp route) {
  ImplicitLocOpBuilder b(route.getLoc(), route);
  // What the first inputs are not, the two regions make between them.
  SmallVector<Value> results;
  for (auto [i, type] : llvm::enumerate(route.getResultTypes())) {
    if (i < route.getInputs().size() &&
        route.getInputs()[i].getType() == type) {
      results.push_back(route.getInputs()[i]);
      continue;
    }
    auto tensor = cast<RankedTensorType>(type);
    SmallVector<Value> rows;
    if (tensor.isDynamicDim(0))
      rows.push_back(tensor::DimOp::create(b, route.getKeep(), 0));
    results.push_back(tensor::EmptyOp::create(b, tensor, rows));
  }
  results = RegionLowering(route, /*skipped=*/false).lower(results);
  if (!route.getSkipped().empty())
    results = RegionLowering(route, /*skipped=*/true).lower(results);
  route->replaceAllUsesWith(results);
  route.erase();
}

struct LowerRoutes : qtale::impl::LowerRoutesBase<LowerRoutes> {
  using Base::Base;

  void runOnOperation() override {
    // Inner routes first: an outer one clones what it holds.
    SmallVector<RouteOp> routes;
    getOperation().walk([&](Operation *op) {
      if (auto keep = dyn_cast<KeepOp>(op)) {
        OpBuilder b(op->getContext());
        b.setInsertionPointAfter(op);
        RecordOp::create(b, op->getLoc(), keep.getProbability(), keep.getKeep(),
                         keep.getUnitAttr());
      } else if (auto route = dyn_cast<RouteOp>(op)) {
        routes.push_back(route);
      }
    });
    for (RouteOp route : routes)
      lower(route);
    numRoutes = routes.size();
  }
};
} // namespace
