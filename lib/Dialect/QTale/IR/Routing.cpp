//===- Routing.cpp - Routed units: constraints ----------------------------===//
//
//   %p    = router %x               probability of each row
//   %keep = keep %p                 which rows run
//   %y    = route %x if %keep {A}   A on those rows; CanonicalizeRoutes.cpp
//
//===----------------------------------------------------------------------===//

#include "RowTypes.h"

#include "mlir/IR/Builders.h"

using namespace mlir;
using namespace qtale;

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
    RankedTensorType type = typeOf(getWeights()[i]);
    return type.getRank() ? type.getDimSize(0) : 0;
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

/// Rows of those types, in any number.
static bool areRows(TypeRange types, TypeRange those) {
  auto fits = [](auto pair) {
    auto type = dyn_cast<RankedTensorType>(std::get<0>(pair));
    return type && type.getRank() &&
           withAnyRows(type) == withAnyRows(std::get<1>(pair));
  };
  return types.size() == those.size() &&
         llvm::all_of(llvm::zip(types, those), fits);
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
    Block &body = region->front();
    if (!areRows(body.getArgumentTypes(), getInputs().getTypes())) // C1
      return emitOpError("a region's arguments must be the inputs (")
             << getInputs().getTypes() << "), but are "
             << body.getArgumentTypes();
    // Operations are verified before those in their regions.
    auto yield = body.empty() ? YieldOp() : dyn_cast<YieldOp>(body.back());
    if (!yield) // C2
      return emitOpError("a region must end in a yield");
    if (!areRows(yield.getOperandTypes(), getResultTypes())) // C2
      return emitOpError("a region must yield the results (")
             << getResultTypes() << "), but yields " << yield.getOperandTypes();
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
  if (getCount().getType().getShape() != ArrayRef<int64_t>(1)) // C2
    return emitOpError("count must be one number, but is ")
           << getCount().getType();
  return success();
}

LogicalResult RecordOp::verify() {
  if (!sameRows({getProbability(), getKeep()})) // C1
    return emitOpError("probabilities and flags differ in number");
  return success();
}
