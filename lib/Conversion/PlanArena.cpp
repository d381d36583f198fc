//===- PlanArena.cpp - Every allocation in one arena ----------------------===//
//
//   alloc a ──────┐                      offset
//   alloc b   ────────┐        slot 0:   0            a  c
//   alloc c        ─────┐      slot 1:   |slot 0|     b
//
// Sizes are products of a constant and dynamic dimensions. Buffers share a slot
// if their lives are apart and their dimensions the same; its constant is the
// largest. So @step's scratch is a formula of its rows. A buffer for some of
// the rows, in a branch that they take, gets a place for all.
//
// Of @main sizes are known when they have been computed, some of them only in
// the branch that is taken. So a branch goes on where what is around it ends,
// and where it ends is a result, if what it yields was made in it:
//
//   … %end = scf.if … { a: [e, e1)  yield a, e1 } else { yield x, e }
//
// Turns of a loop begin at one place each, so they can't hand buffers on.
//
//===----------------------------------------------------------------------===//

#include "qtale/Conversion/Entry.h"
#include "qtale/Conversion/Passes.h"
#include "qtale/Dialect/QTale/IR/QTale.h"
#include "qtale/Runtime/qtale.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Bufferization/Transforms/BufferViewFlowAnalysis.h"
#include "mlir/Dialect/ControlFlow/IR/ControlFlowOps.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"
#include "llvm/ADT/SmallVectorExtras.h"

using namespace mlir;
using namespace qtale;

namespace qtale {
#define GEN_PASS_DEF_PLANARENA
#include "qtale/Conversion/Passes.h.inc"
} // namespace qtale

namespace {

constexpr int64_t alignment = 64;

/// Buffers that take turns in one place.
struct Slot {
  SmallVector<memref::AllocOp> members;
  SmallVector<Value> sizes; // the dynamic dimensions
  int64_t bytes = 0;        // the constant factor
  unsigned busyUntil = 0;   // position in the entry
  Block *scope = nullptr;   // where its place is known
  Value offset;
};

/// The number that a size is at most: of some rows, all rows.
Value boundOf(Value size) {
  while (auto least = size.getDefiningOp<arith::MinUIOp>())
    size = least.getRhs().getDefiningOp<memref::DimOp>() ? least.getRhs()
                                                         : least.getLhs();
  return size;
}

class Planner {
public:
  Planner(func::FuncOp entry)
      : entry(entry), body(&entry.front()), context(contextOf(entry)),
        step(entry.getSymName() == "step"), aliases(entry) {}

  LogicalResult run();
  ArrayRef<Slot> getSlots() const { return slots; }
  bool isStep() const { return step; }
  /// 0: the step's rows, 1: its logit rows, nothing: another size.
  std::optional<int> rowsArgument(Value size) const;

private:
  bool sameSize(Value a, Value b) const;
  unsigned lastUse(memref::AllocOp alloc);
  void assign(memref::AllocOp alloc);
  LogicalResult check(memref::AllocOp alloc);
  bool outlives(memref::AllocOp alloc, Operation *parent);
  Value place(Slot &slot, Value end);
  Value place(Block &block, Value end);
  Value placeBranches(scf::IfOp branch, Value end);
  void placeStep();
  void replace(Slot &slot);

  func::FuncOp entry;
  Block *body;
  Value context;
  bool step;
  BufferViewFlowAnalysis aliases;
  /// Numbers of all operations in order; of the last one within each.
  DenseMap<Operation *, unsigned> positions, ends;
  SmallVector<Slot> slots;
  /// Branches that yield what was made in them.
  SmallPtrSet<Operation *, 4> keepers;
};

std::optional<int> Planner::rowsArgument(Value size) const {
  auto dim = size.getDefiningOp<memref::DimOp>();
  auto argument = dim ? dyn_cast<BlockArgument>(dim.getSource()) : nullptr;
  if (!isStep() || !argument || argument.getOwner() != body ||
      dim.getConstantIndex() != 0)
    return std::nullopt;
  // context, tokens, sequences, positions, rows, thresholds, budgets
  switch (argument.getArgNumber()) {
  case 1:
  case 2:
  case 3:
  case 6:
    return 0;
  case 4:
    return 1;
  default:
    return std::nullopt;
  }
}

bool Planner::sameSize(Value a, Value b) const {
  if (a == b)
    return true;
  if (std::optional<int> rows = rowsArgument(a))
    return rows == rowsArgument(b);
  auto x = a.getDefiningOp<memref::DimOp>();
  auto y = b.getDefiningOp<memref::DimOp>();
  return x && y && x.getSource() == y.getSource() && x.getConstantIndex() &&
         x.getConstantIndex() == y.getConstantIndex();
}

unsigned Planner::lastUse(memref::AllocOp alloc) {
  unsigned last = positions[alloc];
  for (Value alias : aliases.resolve(alloc))
    for (Operation *user : alias.getUsers()) {
      unsigned end = positions.lookup(user);
      // In a loop that the buffer outlives, it is used until the loop ends.
      for (auto loop = user->getParentOfType<LoopLikeOpInterface>();
           loop && !loop->isProperAncestor(alloc);
           loop = loop->getParentOfType<LoopLikeOpInterface>())
        end = std::max(end, ends.lookup(loop));
      last = std::max(last, end);
    }
  return last;
}

/// Whether what may be the buffer is seen outside of an operation around it.
bool Planner::outlives(memref::AllocOp alloc, Operation *parent) {
  return llvm::any_of(aliases.resolve(alloc), [&](Value alias) {
    return !parent->isAncestor(alias.getParentBlock()->getParentOp());
  });
}

/// Whether elements lie one behind the other, as the arena has them.
bool isDense(MemRefType type) {
  return type.getElementType().isIntOrIndexOrFloat() &&
         type.getLayout().isIdentity() && !type.getMemorySpace();
}

/// The product of the element's bytes and the known dimensions; none if it is
/// more than processors can address.
std::optional<int64_t> bytesOf(MemRefType type) {
  constexpr int64_t most = int64_t(1) << 47;
  if (llvm::is_contained(type.getShape(), 0))
    return 0;
  Type element = type.getElementType();
  unsigned bits = element.isIndex() ? 64 : element.getIntOrFloatBitWidth();
  // LLVM's stride of odd ones is at most the next power of two.
  int64_t bytes = llvm::PowerOf2Ceil(llvm::divideCeil(bits, 8));
  for (int64_t size : type.getShape())
    if (!ShapedType::isDynamic(size) &&
        (llvm::MulOverflow(bytes, size, bytes) || bytes > most))
      return std::nullopt;
  return bytes;
}

LogicalResult Planner::check(memref::AllocOp alloc) {
  if (!context)
    return alloc.emitError("allocates ")
           << alloc.getType()
           << " in a function that takes no context, which has the arena";
  for (Operation *parent = alloc->getParentOp(); parent != entry;
       parent = parent->getParentOp()) {
    if (!isa<scf::IfOp, scf::ForOp>(parent))
      return alloc.emitError("allocates ")
             << alloc.getType() << " inside '" << parent->getName()
             << "', which has no place in the arena";
    if (isa<scf::ForOp>(parent) && outlives(alloc, parent))
      return alloc.emitError("allocates ")
             << alloc.getType()
             << " in a turn of a loop, and is needed after it";
  }
  if (!isDense(alloc.getType()))
    return alloc.emitError("allocates ")
           << alloc.getType()
           << "; the arena has integers, floats and indices in row-major order";
  if (!bytesOf(alloc.getType()))
    return alloc.emitError("makes ")
           << RankedTensorType::get(alloc.getType().getShape(),
                                    alloc.getType().getElementType())
           << ", which no memory holds; make its dimensions smaller";
  for (Value size : alloc.getDynamicSizes())
    if (step && !rowsArgument(boundOf(size)))
      return alloc.emitError("a buffer's size is not given by the number of "
                             "rows");
  return success();
}

void Planner::assign(memref::AllocOp alloc) {
  int64_t bytes = *bytesOf(alloc.getType());
  SmallVector<Value> sizes =
      llvm::map_to_vector(alloc.getDynamicSizes(), boundOf);
  unsigned begin = positions[alloc];
  Block *scope = step ? body : alloc->getBlock();
  auto fits = [&](Slot &slot) {
    // What a branch may not need makes nothing larger around it.
    bool inReach =
        slot.scope == scope ||
        (slot.bytes >= bytes && slot.scope->findAncestorOpInBlock(*alloc));
    return inReach && slot.busyUntil < begin &&
           slot.sizes.size() == sizes.size() &&
           llvm::all_of_zip(
               slot.sizes, sizes,
               [&](Value a, Value b) { return sameSize(a, b); });
  };
  // The one that grows least.
  Slot *best = nullptr;
  for (Slot &slot : slots)
    if (fits(slot) &&
        (!best || std::abs(slot.bytes - bytes) < std::abs(best->bytes - bytes)))
      best = &slot;
  if (!best) {
    best = &slots.emplace_back();
    best->sizes = sizes;
    best->scope = scope;
  }
  best->members.push_back(alloc);
  best->bytes = std::max(best->bytes, bytes);
  best->busyUntil = lastUse(alloc);
  for (Operation *parent = best->scope->getParentOp();
       parent != entry && outlives(alloc, parent);
       parent = parent->getParentOp())
    keepers.insert(parent);
}

/// bytes * sizes, rounded up to the alignment.
Value slotBytes(ImplicitLocOpBuilder &b, int64_t bytes, ValueRange sizes) {
  auto constant = [&](int64_t value) -> Value {
    return arith::ConstantIndexOp::create(b, value);
  };
  if (sizes.empty())
    return constant(roundUp(bytes, alignment));
  Value total = constant(bytes);
  for (Value size : sizes)
    total = arith::MulIOp::create(b, total, size);
  if (bytes % alignment == 0)
    return total;
  total = arith::AddIOp::create(b, total, constant(alignment - 1));
  return arith::AndIOp::create(b, total, constant(-alignment));
}

/// Whether bytes * sizes is within the limit, and no product on the way wraps
/// around: sizes of @main may be numbers that its caller gave.
Value productFits(ImplicitLocOpBuilder &b, int64_t bytes, ValueRange sizes,
                  Value limit) {
  Value total = arith::ConstantIndexOp::create(b, bytes);
  Value one = arith::ConstantIndexOp::create(b, 1);
  Value fits = arith::ConstantIntOp::create(b, b.getI1Type(), true);
  for (Value size : sizes) {
    Value most =
        arith::DivUIOp::create(b, limit, arith::MaxUIOp::create(b, size, one));
    Value ok = arith::CmpIOp::create(b, arith::CmpIPredicate::ule, total, most);
    fits = arith::AndIOp::create(b, fits, ok);
    total = arith::MulIOp::create(b, total, size);
  }
  return fits;
}

void Planner::replace(Slot &slot) {
  for (memref::AllocOp alloc : slot.members) {
    ImplicitLocOpBuilder at(alloc.getLoc(), alloc);
    Value buffer = ArenaOp::create(at, alloc.getType(), context, slot.offset,
                                   alloc.getDynamicSizes());
    alloc.replaceAllUsesWith(buffer);
    alloc.erase();
  }
}

void checkArena(ImplicitLocOpBuilder &b, Value fits) {
  auto check = cf::AssertOp::create(
      b, fits, b.getStringAttr("scratch memory is exhausted"));
  check->setAttr(attr::code, b.getI32IntegerAttr(QTALE_LIMIT));
}

/// Where the slot ends, if it begins where its first member was made: its sizes
/// are known there.
Value Planner::place(Slot &slot, Value end) {
  ImplicitLocOpBuilder b(slot.members.front().getLoc(), slot.members.front());
  slot.offset = end;
  end = arith::AddIOp::create(b, end, slotBytes(b, slot.bytes, slot.sizes));
  Value limit = ArenaLimitOp::create(b, b.getIndexType(), context);
  Value fits = arith::CmpIOp::create(b, arith::CmpIPredicate::ule, end, limit);
  if (!slot.sizes.empty())
    fits = arith::AndIOp::create(b, fits,
                                 productFits(b, slot.bytes, slot.sizes, limit));
  checkArena(b, fits);
  return end;
}

/// Where the last slot of a block ends, if the first one begins at `end`.
Value Planner::place(Block &block, Value end) {
  DenseMap<Operation *, Slot *> first;
  for (Slot &slot : slots)
    if (slot.scope == &block)
      first[slot.members.front()] = &slot;
  for (Operation &op : llvm::make_early_inc_range(block)) {
    if (Slot *slot = first.lookup(&op))
      end = place(*slot, end);
    else if (auto branch = dyn_cast<scf::IfOp>(op))
      end = placeBranches(branch, end);
    else if (auto loop = dyn_cast<scf::ForOp>(op))
      place(*loop.getBody(), end);
  }
  return end;
}

Value Planner::placeBranches(scf::IfOp branch, Value end) {
  SmallVector<Value> branchEnds;
  for (Region &region : branch->getRegions())
    if (!region.empty())
      branchEnds.push_back(place(region.front(), end));
  if (!keepers.contains(branch))
    return end;
  ImplicitLocOpBuilder b(branch.getLoc(), branch);
  SmallVector<Type> types(branch.getResultTypes());
  types.push_back(b.getIndexType());
  auto longer =
      scf::IfOp::create(b, types, branch.getCondition(),
                        /*addThenBlock=*/false, /*addElseBlock=*/false);
  for (auto [to, from, branchEnd] : llvm::zip_equal(
           longer->getRegions(), branch->getRegions(), branchEnds)) {
    to.takeBody(from);
    Operation *yield = to.front().getTerminator();
    yield->insertOperands(yield->getNumOperands(), branchEnd);
  }
  branch.replaceAllUsesWith(longer.getResults().drop_back());
  branch.erase();
  return longer.getResults().back();
}

/// Of @step all sizes are known at once.
void Planner::placeStep() {
  if (slots.empty())
    return;
  ImplicitLocOpBuilder b(entry.getLoc(), entry.getContext());
  b.setInsertionPointToStart(body);
  Value rows[2];
  for (int i : {0, 1})
    if (unsigned argument = i ? 4 : 1; argument < entry.getNumArguments())
      rows[i] = memref::DimOp::create(b, entry.getArgument(argument), 0);
  Value end = arith::ConstantIndexOp::create(b, 0);
  for (Slot &slot : slots) {
    SmallVector<Value> sizes = llvm::map_to_vector(
        slot.sizes, [&](Value size) { return rows[*rowsArgument(size)]; });
    slot.offset = end;
    end = arith::AddIOp::create(b, end, slotBytes(b, slot.bytes, sizes));
  }
  Value limit = ArenaLimitOp::create(b, b.getIndexType(), context);
  checkArena(b,
             arith::CmpIOp::create(b, arith::CmpIPredicate::ule, end, limit));
}

LogicalResult Planner::run() {
  if (failed(checkBlocks(entry)))
    return failure();
  unsigned position = 0;
  entry.walk<WalkOrder::PreOrder>([&](Operation *op) {
    unsigned own = positions[op] = position++;
    for (Operation *parent = op; parent != entry;
         parent = parent->getParentOp())
      ends[parent] = own;
  });
  SmallVector<memref::AllocOp> allocs;
  WalkResult result =
      entry.walk<WalkOrder::PreOrder>([&](memref::AllocOp alloc) {
        allocs.push_back(alloc);
        return failed(check(alloc)) ? WalkResult::interrupt()
                                    : WalkResult::advance();
      });
  if (result.wasInterrupted())
    return failure();
  for (memref::AllocOp alloc : allocs)
    assign(alloc);
  if (step) {
    placeStep();
  } else if (!slots.empty()) {
    auto b = OpBuilder::atBlockBegin(body);
    place(*body, arith::ConstantIndexOp::create(b, entry.getLoc(), 0));
  }
  for (Slot &slot : slots)
    replace(slot);
  entry.walk([](memref::DeallocOp dealloc) { dealloc.erase(); });
  return success();
}

/// step_scratch(rows, logit_rows): the step's arena bytes.
void addScratch(func::FuncOp step, const Planner &planner) {
  ImplicitLocOpBuilder b(step.getLoc(), step);
  b.setInsertionPointAfter(step);
  Type i64 = b.getI64Type();
  auto scratch = func::FuncOp::create(b, "step_scratch",
                                      b.getFunctionType({i64, i64}, i64));
  Block *block = scratch.addEntryBlock();
  b.setInsertionPointToStart(block);
  Value total = arith::ConstantIndexOp::create(b, 0);
  Value rows[2];
  for (int i : {0, 1})
    rows[i] =
        arith::IndexCastOp::create(b, b.getIndexType(), block->getArgument(i));
  for (const Slot &slot : planner.getSlots()) {
    SmallVector<Value> sizes;
    for (Value size : slot.sizes)
      sizes.push_back(rows[*planner.rowsArgument(size)]);
    total = arith::AddIOp::create(b, total, slotBytes(b, slot.bytes, sizes));
  }
  func::ReturnOp::create(b,
                         arith::IndexCastOp::create(b, i64, total).getResult());
}

struct PlanArena : qtale::impl::PlanArenaBase<PlanArena> {
  using Base::Base;

  void runOnOperation() override {
    ModuleOp module = getOperation();
    SmallVector<func::FuncOp> entries;
    for (auto func : module.getOps<func::FuncOp>())
      if (func.isPublic() && !func.isExternal())
        entries.push_back(func);
    for (func::FuncOp entry : entries) {
      Planner planner(entry);
      if (failed(planner.run()))
        return signalPassFailure();
      numSlots += planner.getSlots().size();
      for (const Slot &slot : planner.getSlots())
        numAllocs += slot.members.size();
      if (planner.isStep())
        addScratch(entry, planner);
    }
  }
};
} // namespace
