//===- RoutingVerbs.cpp - Kernels for the verbs of routing ----------------===//
//
//   router   -->  launch @router … outs(%p, scratch)       matmul, then a row each
//   keep, record, compact                                  one thread
//   kv_reserve  -->  launch … outs(%slots, %code); assert code == QTALE_OK
//
// A unit is a number that the kernel takes: all layers share it.
//
//===----------------------------------------------------------------------===//

#include "Launcher.h"
#include "qtale/Runtime/qtale.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/ControlFlow/IR/ControlFlowOps.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace qtale;

static void lowerRouter(Launcher &launcher, RouterOp router) {
  LaunchExtras extras;
  if (int64_t columns = routerScratch(router)) {
    int64_t rows = router.getInput().getType().getDimSize(0);
    extras.scratch.push_back(RankedTensorType::get(
        {rows, columns}, Float32Type::get(router.getContext())));
  }
  launcher.launch(router, extras, [&](KernelBuilder &b, ValueRange args) {
    unsigned weights = router.getWeights().size(), out = 2 + weights;
    buildRouter(b, launcher.level, router, args[1], args.slice(2, weights),
                args[out], extras.scratch.empty() ? Value() : args[out + 1]);
  });
}

/// All threads return where the runtime had no memory for a block: the code
/// passes through a tensor that each of them reads.
static void lowerReserve(Launcher &launcher, KVReserveOp reserve) {
  ImplicitLocOpBuilder b(reserve.getLoc(), reserve);
  LaunchExtras extras;
  extras.numbers = {
      Launcher::numberOf(b, reserve.getCache(), reserve.getLoc())};
  extras.scratch = {RankedTensorType::get({1}, b.getI32Type())};
  KVCacheType type = reserve.getCache().getType();
  LaunchOp launch =
      launcher.launch(reserve, extras, [&](KernelBuilder &b, ValueRange args) {
        buildKVReserve(b, {args[0], args[1], type}, args[2], args[3], args[4],
                       args[5], args[6]);
      });
  Value zero = arith::ConstantIndexOp::create(b, 0);
  Value code = tensor::ExtractOp::create(b, launch.getResult(1), zero);
  Value ok = arith::CmpIOp::create(
      b, arith::CmpIPredicate::eq, code,
      arith::ConstantIntOp::create(b, QTALE_OK, /*width=*/32));
  auto check = cf::AssertOp::create(
      b, ok, b.getStringAttr("no memory for a cache's next block"));
  check->setAttr(attr::code, b.getI32IntegerAttr(QTALE_OUT_OF_MEMORY));
}

bool qtale::lowerRoutingVerb(Launcher &launcher, Operation *op) {
  OpBuilder builder(op);
  auto unitNumber = [&](int64_t unit) {
    LaunchExtras extras;
    extras.numbers = {
        arith::ConstantIndexOp::create(builder, op->getLoc(), unit)};
    return extras;
  };
  return llvm::TypeSwitch<Operation *, bool>(op)
      .Case([&](RouterOp router) {
        lowerRouter(launcher, router);
        return true;
      })
      .Case([&](KeepOp keep) {
        launcher.launch(
            op, unitNumber(keep.getUnit()),
            [&](KernelBuilder &b, ValueRange args) {
              KeepInputs inputs{args[2], args[3], args[4], args[5], args[6]};
              buildKeep(b, args[1], inputs, keep.getAlways(), args[7], args[8]);
            });
        return true;
      })
      .Case([&](RecordOp record) {
        launcher.launch(op, unitNumber(record.getUnit()),
                        [&](KernelBuilder &b, ValueRange args) {
                          buildRecord(b, args[0], args[1], args[2], args[3]);
                        });
        return true;
      })
      .Case([&](CompactOp compact) {
        launcher.launch(op, {}, [&](KernelBuilder &b, ValueRange args) {
          buildCompact(b, args[1], compact.getSkipped(), args[2], args[3]);
        });
        return true;
      })
      .Case([&](KVReserveOp reserve) {
        lowerReserve(launcher, reserve);
        return true;
      })
      .Case([&](KVCopyOp copy) {
        LaunchExtras extras;
        for (Value cache : {copy.getCache(), copy.getBelow()})
          extras.numbers.push_back(
              Launcher::numberOf(builder, cache, op->getLoc()));
        KVCacheType type = copy.getCache().getType();
        launcher.launch(op, extras, [&](KernelBuilder &b, ValueRange args) {
          buildKVCopy(b, {args[0], args[1], type}, args[2], args[3], args[4],
                      args[5]);
        });
        return true;
      })
      .Default(false);
}
