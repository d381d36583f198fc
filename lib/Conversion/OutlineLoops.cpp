//===- OutlineLoops.cpp - A function for each parallel loop ---------------===//
//
//   layer 5:  scf.parallel { … %a[5, %i] … }      call @loop(%context, %a, 5)
//   layer 6:  scf.parallel { … %b[6, %i] … }  ─▶  call @loop(%context, %b, 6)
//                                                 @loop: scf.parallel { … }
//
// Equal loops are one function, so that neither code nor the time that it takes
// to compile grows with the depth. A layer's own numbers must not make a
// function of their own: floats, and indices at which buffers are read and
// written, become arguments where loops differ in them. Bounds do not: they
// decide how well a loop vectorises.
//
//===----------------------------------------------------------------------===//

#include "qtale/Conversion/Entry.h"
#include "qtale/Conversion/Passes.h"
#include "qtale/Dialect/QTale/IR/QTale.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"
#include "mlir/IR/Iterators.h"
#include "mlir/IR/Matchers.h"
#include "mlir/IR/SymbolTable.h"
#include "llvm/ADT/STLExtras.h"

using namespace mlir;
using namespace qtale;

namespace qtale {
#define GEN_PASS_DEF_OUTLINELOOPS
#include "qtale/Conversion/Passes.h.inc"
} // namespace qtale

namespace {

/// What becomes a call.
struct Call {
  Operation *loop;
  SmallVector<Value> arguments;
  SmallVector<TypedAttr> numbers; // constants that may be arguments
};

/// Views of one buffer are made again within the function. (Places in the arena
/// are not: with the arena's address in sight, LLVM would no longer check at
/// run time whether two of them overlap, and not vectorise.)
bool isView(Operation *op) {
  return isa_and_nonnull<memref::CastOp, memref::ExpandShapeOp,
                         memref::CollapseShapeOp>(op);
}

MutableOperandRange indicesOf(Operation *op) {
  if (auto load = dyn_cast<memref::LoadOp>(op))
    return load.getIndicesMutable();
  return cast<memref::StoreOp>(op).getIndicesMutable();
}

/// Writes the function of a loop. Its last parameters are the call's numbers.
class Outliner {
public:
  Outliner(Operation *loop, Value context)
      : b(loop->getLoc(), loop->getContext()), call{loop, {}, {}} {
    function = func::FuncOp::create(b, "loop", b.getFunctionType({}, {}));
    function.setPrivate();
    // LLVM would rebuild the one large function.
    function.setNoInline(true);
    body = function.addEntryBlock();
    b.setInsertionPointToEnd(body);
    enter(context);
  }

  void write() {
    call.loop->walk<WalkOrder::PreOrder>([&](Operation *op) {
      for (Value operand : op->getOperands())
        if (!call.loop->isAncestor(operand.getParentRegion()->getParentOp()))
          enter(operand);
    });
    Operation *copy = b.clone(*call.loop, map);
    func::ReturnOp::create(b);
    copy->walk([&](Operation *op) {
      if (isa<memref::LoadOp, memref::StoreOp>(op))
        takeIndices(op);
    });
    for (auto constant : body->getOps<arith::ConstantOp>())
      if (isa<FloatAttr>(constant.getValue()))
        constant.replaceAllUsesWith(addNumber(constant.getValue()));
    for (Operation &op : llvm::make_early_inc_range(llvm::reverse(*body)))
      if (isOpTriviallyDead(&op))
        op.erase();
  }

  ImplicitLocOpBuilder b;
  func::FuncOp function;
  Call call;

private:
  void enter(Value value) {
    if (map.contains(value))
      return;
    Operation *op = value.getDefiningOp();
    if (Attribute constant; matchPattern(value, m_Constant(&constant))) {
      Value &copy = constants[{constant, value.getType()}];
      if (!copy)
        copy = b.clone(*op)->getResult(0);
      map.map(value, copy);
    } else if (isView(op)) {
      for (Value used : op->getOperands())
        enter(used);
      b.clone(*op, map);
    } else {
      map.map(value, body->addArgument(value.getType(), b.getLoc()));
      call.arguments.push_back(value);
    }
  }

  Value addNumber(TypedAttr number) {
    call.numbers.push_back(number);
    return body->addArgument(number.getType(), b.getLoc());
  }

  void takeIndices(Operation *op) {
    for (OpOperand &index : indicesOf(op))
      if (IntegerAttr value; matchPattern(index.get(), m_Constant(&value)))
        index.set(addNumber(value));
  }

  Block *body;
  IRMapping map;
  DenseMap<std::pair<Attribute, Type>, Value> constants;
};

/// A function and those that call it.
struct Group {
  func::FuncOp function;
  SmallVector<Call> calls;

  /// Numbers that are everywhere the same return into the function.
  void settleNumbers() {
    Block &body = function.front();
    OpBuilder b = OpBuilder::atBlockBegin(&body);
    unsigned first = calls.front().arguments.size();
    for (int i = calls.front().numbers.size() - 1; i >= 0; --i) {
      TypedAttr number = calls.front().numbers[i];
      if (!llvm::all_of(calls,
                        [&](Call &call) { return call.numbers[i] == number; }))
        continue;
      body.getArgument(first + i).replaceAllUsesWith(
          arith::ConstantOp::create(b, function.getLoc(), number));
      body.eraseArgument(first + i);
      for (Call &call : calls)
        call.numbers.erase(call.numbers.begin() + i);
    }
    function.setFunctionType(b.getFunctionType(body.getArgumentTypes(), {}));
  }

  void replaceLoops() {
    for (Call &call : calls) {
      ImplicitLocOpBuilder b(call.loop->getLoc(), call.loop);
      for (TypedAttr number : call.numbers)
        call.arguments.push_back(arith::ConstantOp::create(b, number));
      func::CallOp::create(b, function, call.arguments);
      call.loop->erase();
    }
  }
};

class Groups {
public:
  void add(Operation *loop, Value context) {
    Outliner outliner(loop, context);
    outliner.write();
    SmallVector<unsigned> &alike = byHash[hash(outliner.function)];
    for (unsigned i : alike)
      if (areEqual(groups[i].function, outliner.function)) {
        groups[i].calls.push_back(std::move(outliner.call));
        outliner.function->erase();
        return;
      }
    alike.push_back(groups.size());
    groups.push_back({outliner.function, {std::move(outliner.call)}});
  }

  MutableArrayRef<Group> get() { return groups; }

private:
  static constexpr OperationEquivalence::Flags flags =
      OperationEquivalence::IgnoreLocations;

  static llvm::hash_code hash(func::FuncOp function) {
    llvm::hash_code code = 0;
    function.getBody().walk([&](Operation *op) {
      code = llvm::hash_combine(
          code, OperationEquivalence::computeHash(
                    op, OperationEquivalence::ignoreHashValue,
                    OperationEquivalence::ignoreHashValue, flags));
    });
    return code;
  }

  static bool areEqual(func::FuncOp a, func::FuncOp b) {
    return OperationEquivalence::isRegionEquivalentTo(&a.getBody(),
                                                      &b.getBody(), flags);
  }

  SmallVector<Group> groups; // in the order of their first loops
  DenseMap<size_t, SmallVector<unsigned>> byHash;
};

struct OutlineLoops : qtale::impl::OutlineLoopsBase<OutlineLoops> {
  using Base::Base;

  void runOnOperation() override {
    SmallVector<func::FuncOp> entries;
    for (auto func : getOperation().getOps<func::FuncOp>())
      if (func.isPublic() && contextOf(func)) {
        if (failed(checkBlocks(func)))
          return signalPassFailure();
        entries.push_back(func);
      }

    Groups groups;
    for (func::FuncOp entry : entries)
      entry.walk<WalkOrder::PreOrder>([&](Operation *op) {
        if (!isa<scf::ParallelOp, scf::ForallOp>(op))
          return WalkResult::advance();
        // With results they can't be lowered; that is said later.
        if (!op->getNumResults())
          groups.add(op, contextOf(entry));
        return WalkResult::skip();
      });

    SymbolTable symbols(getOperation());
    for (Group &group : groups.get()) {
      symbols.insert(group.function); // renames on a clash
      group.settleNumbers();
      group.replaceLoops();
      numLoops += group.calls.size();
    }
    numFunctions += groups.get().size();
    // Buffers and views that only loops used.
    for (func::FuncOp entry : entries)
      entry.walk<WalkOrder::PostOrder, ReverseIterator>([](Operation *op) {
        if (isOpTriviallyDead(op))
          op->erase();
      });
  }
};
} // namespace
