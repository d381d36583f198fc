//===- OpenRoute.cpp - A qtale.route while its regions are filled ---------===//

#include "OpenRoute.h"

using namespace llvm;
using namespace mlir;
using namespace qtale;
using namespace qtale::onnx_import;

OpenRoute::OpenRoute(Code &outside, Value keep, bool withSkipped)
    : outside(outside), op(RouteOp::create(outside.b, outside.g.loc,
                                           TypeRange(), ValueRange(), keep)) {
  outside.b.setInsertionPoint(op);
  op.getKept().emplaceBlock();
  if (withSkipped)
    op.getSkipped().emplaceBlock();
}

Value OpenRoute::capture(Value value, bool skipped) {
  auto [it, isNew] = numbers.try_emplace(value, inputs.size());
  if (isNew) {
    inputs.push_back(value);
    auto type = cast<RankedTensorType>(value.getType());
    SmallVector<int64_t> shape(type.getShape());
    shape[0] = ShapedType::kDynamic;
    for (Region &region : op->getRegions())
      if (!region.empty())
        region.front().addArgument(
            RankedTensorType::get(shape, type.getElementType()), op.getLoc());
  }
  return block(skipped)->getArgument(it->second);
}

RouteOp OpenRoute::close(TypeRange results) {
  OpBuilder &b = outside.b;
  auto route = RouteOp::create(b, op.getLoc(), results, inputs, op.getKeep());
  route.getKept().takeBody(op.getKept());
  route.getSkipped().takeBody(op.getSkipped());
  op.erase();
  b.setInsertionPointToEnd(route->getBlock());
  return route;
}
