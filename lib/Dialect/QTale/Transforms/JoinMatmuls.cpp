//===- JoinMatmuls.cpp - Products of one input at once --------------------===//
//
//   q = matmul x, wq
//   k = matmul x, wk     ==>     q, k, v = joint_matmul x, wq, wk, wv
//   v = matmul x, wv
//
// Small matrices keep a team busy for so short a time that waiting for its last
// member is a good part of it: one loop waits once.
//
//===----------------------------------------------------------------------===//

#include "qtale/Dialect/QTale/IR/QTale.h"
#include "qtale/Dialect/QTale/Transforms/Passes.h"

#include "mlir/IR/Builders.h"
#include "mlir/IR/Dominance.h"
#include "llvm/ADT/MapVector.h"

using namespace mlir;
using namespace qtale;

namespace qtale {
#define GEN_PASS_DEF_JOINMATMULS
#include "qtale/Dialect/QTale/Transforms/Passes.h.inc"
} // namespace qtale

namespace {

/// What joined matmuls have in common: input, format of weights (encoding and
/// element type), number of biases.
using Key = std::tuple<Value, Attribute, Type, unsigned>;

struct JoinMatmuls : qtale::impl::JoinMatmulsBase<JoinMatmuls> {
  using Base::Base;

  void runOnOperation() override {
    SmallVector<Block *> blocks;
    getOperation()->walk([&](Block *block) { blocks.push_back(block); });
    for (Block *block : blocks) {
      llvm::MapVector<Key, SmallVector<MatmulOp>> groups;
      for (auto matmul : block->getOps<MatmulOp>()) {
        if (matmul.getResidual())
          continue;
        RankedTensorType weight = matmul.getWeight().getType();
        groups[{matmul.getInput(), weight.getEncoding(),
                weight.getElementType(), matmul.getBias() ? 1 : 0}]
            .push_back(matmul);
      }
      for (auto &[key, matmuls] : groups)
        for (ArrayRef<MatmulOp> rest = matmuls; !rest.empty();) {
          size_t count = std::min(rest.size(), JointMatmulOp::maxWeights);
          join(rest.take_front(count));
          rest = rest.drop_front(count);
        }
    }
  }

  /// Whether the operand is there before `first`, or could be.
  bool hoist(Value operand, MatmulOp first) {
    if (!operand ||
        getAnalysis<DominanceInfo>().properlyDominates(operand, first))
      return true;
    Operation *op = operand.getDefiningOp();
    if (!op || op->getBlock() != first->getBlock() || op->getNumOperands() ||
        !isMemoryEffectFree(op))
      return false;
    op->moveBefore(first);
    return true;
  }

  void join(ArrayRef<MatmulOp> matmuls) {
    MatmulOp first = matmuls.front();
    SmallVector<MatmulOp> joined;
    SmallVector<Value> weights, biases;
    SmallVector<Type> types;
    for (MatmulOp matmul : matmuls) {
      if (!hoist(matmul.getWeight(), first) || !hoist(matmul.getBias(), first))
        continue;
      joined.push_back(matmul);
      weights.push_back(matmul.getWeight());
      if (matmul.getBias())
        biases.push_back(matmul.getBias());
      types.push_back(matmul.getType());
    }
    if (joined.size() < 2)
      return;
    OpBuilder builder(first);
    SmallVector<Location> locations = llvm::map_to_vector(
        joined, [](MatmulOp matmul) { return matmul.getLoc(); });
    auto joint =
        JointMatmulOp::create(builder, builder.getFusedLoc(locations), types,
                              first.getInput(), weights, biases);
    for (auto [matmul, output] : llvm::zip_equal(joined, joint.getOutputs())) {
      matmul.getResult().replaceAllUsesWith(output);
      matmul.erase();
    }
    ++numJoined;
  }
};
} // namespace
