//===- MarkOperations.cpp - Where an entry's operations begin -------------===//
//
//   call @rms_norm(…)                 mark 7   call @rms_norm(…)
//   call @matmul_3(%c, %x, %w, %y) ─▶ mark 8   call @matmul_3(%c, %x, %w, %y)
//   return                            mark -1  return
//
//   operations = [… 8: {operation = "matmul", node = "/layers.2/q_proj/MatMul",
//                       layer = 2, bytes = 2304, macs = 4096}]
//
// What is needed to read a profile is written down here, where calls still have
// the model's names as locations and weights as operands. Marks cost a call that
// returns at once, so every artifact has them.
//
//===----------------------------------------------------------------------===//

#include "qtale/Conversion/Entry.h"
#include "qtale/Conversion/Passes.h"
#include "qtale/Dialect/QTale/IR/QTale.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"
#include "mlir/Interfaces/ViewLikeInterface.h"
#include "llvm/ADT/StringExtras.h"
#include <map>

using namespace mlir;
using namespace qtale;

namespace qtale {
#define GEN_PASS_DEF_MARKOPERATIONS
#include "qtale/Conversion/Passes.h.inc"
} // namespace qtale

namespace {

/// The verb of a kernel: its name without the number that made it unique.
StringRef getVerb(func::CallOp call) {
  StringRef name = call.getCallee();
  auto [verb, number] = name.rsplit('_');
  return !number.empty() && llvm::all_of(number, llvm::isDigit) ? verb : name;
}

/// The model's name for an operation; of several fused, the last one's, which
/// gives the result its name.
StringRef getNode(Location loc) {
  SmallVector<Location> parts{loc};
  DenseSet<Attribute> seen; // fusions share their parts
  while (!parts.empty()) {
    Location part = parts.pop_back_val();
    if (auto name = dyn_cast<NameLoc>(part); name && !name.getName().empty())
      return name.getName();
    if (auto fused = dyn_cast<FusedLoc>(part);
        fused && seen.insert(fused).second)
      llvm::append_range(parts, fused.getLocations());
  }
  return "";
}

/// The layer in a node's name: a number that is a part of the path by itself
/// ("/model/layers.3/mlp", "h.3.attn") or follows "layer" or "block"
/// ("layer_3/…", "encoder/block3"). None in "MatMul_3".
std::optional<int64_t> getLayer(StringRef node) {
  while (!node.empty()) {
    StringRef part =
        node.take_until([](char c) { return c == '/' || c == '.'; });
    node = node.drop_front(std::min(part.size() + 1, node.size()));
    for (StringRef prefix : {"layers", "layer", "blocks", "block"})
      if (part.consume_front_insensitive(prefix)) {
        part.consume_front("_");
        break;
      }
    int64_t layer;
    if (!part.getAsInteger(10, layer) && layer >= 0)
      return layer;
  }
  return std::nullopt;
}

/// A weight that a call reads, as a type of the model's.
RankedTensorType getWeight(Value operand,
                           const std::map<int64_t, WeightOp> &weights) {
  while (auto view = operand.getDefiningOp<ViewLikeOpInterface>())
    operand = view.getViewSource();
  auto address = operand.getDefiningOp<WeightAddressOp>();
  auto weight = address ? weights.find(address.getOffset()) : weights.end();
  return weight == weights.end() ? RankedTensorType()
                                 : WeightOp(weight->second).getTensorType();
}

class Marker {
public:
  Marker(ModuleOp level) : b(level.getContext()) {
    if (auto outer = level->getParentOfType<ModuleOp>())
      for (auto weight : outer.getOps<WeightOp>())
        if (std::optional<uint64_t> offset = weight.getOffset())
          weights[*offset] = weight;
  }

  void mark(func::FuncOp entry) {
    context = contextOf(entry);
    markBlocks(entry.getBody());
    entry.walk([&](func::ReturnOp end) { insert(end, -1, Value()); });
  }

  ArrayAttr getOperations() { return b.getArrayAttr(operations); }

private:
  void markBlocks(Region &region) {
    for (Block &block : region) {
      DictionaryAttr last;
      for (Operation &op : llvm::make_early_inc_range(block)) {
        if (auto call = dyn_cast<func::CallOp>(op)) {
          auto [operation, rows] = describe(call);
          if (operation != last || getVerb(call) != loopName) {
            insert(call, operations.size(), rows);
            operations.push_back(operation);
          }
          last = operation;
          continue;
        }
        for (Region &inner : op.getRegions()) {
          unsigned before = operations.size();
          markBlocks(inner);
          if (operations.size() != before)
            last = {}; // what follows needs a mark of its own
        }
      }
    }
  }

  /// Its entry in the table, and the buffer that has a row for each row.
  std::pair<DictionaryAttr, Value> describe(func::CallOp call) {
    StringRef verb = getVerb(call), node = getNode(call.getLoc());
    int64_t bytes = 0, rowBytes = 0, macs = 0;
    bool looksUp =
        llvm::is_contained({"embedding", "gather_rows", "rope"}, verb);
    // A loop's tables are looked into, in ways that only the loop knows.
    if (verb != loopName)
      for (Value operand : call.getOperands()) {
        RankedTensorType type = getWeight(operand, weights);
        if (!type)
          continue;
        if (looksUp) {
          int64_t rows = type.getRank() ? type.getDimSize(0) : 1;
          rowBytes += getStorageBytes(type) / std::max<int64_t>(1, rows);
          continue;
        }
        bytes += getStorageBytes(type);
        if (type.getRank() == 2)
          macs += type.getNumElements();
      }
    NamedAttrList entry;
    entry.set("operation", b.getStringAttr(verb));
    if (!node.empty())
      entry.set("node", b.getStringAttr(node));
    if (std::optional<int64_t> layer = getLayer(node))
      entry.set("layer", b.getI64IntegerAttr(*layer));
    for (auto [name, value] :
         {std::pair("bytes", bytes), std::pair("row_bytes", rowBytes),
          std::pair("macs", macs)})
      if (value)
        entry.set(name, b.getI64IntegerAttr(value));
    bool perRow = bytes || rowBytes || macs;
    return {entry.getDictionary(b.getContext()),
            perRow ? call.getOperands().back() : Value()};
  }

  void insert(Operation *op, int64_t number, Value buffer) {
    ImplicitLocOpBuilder at(op->getLoc(), op);
    auto type = buffer ? dyn_cast<MemRefType>(buffer.getType()) : MemRefType();
    Value rows = type && type.getRank()
                     ? at.createOrFold<memref::DimOp>(buffer, 0)
                     : arith::ConstantIndexOp::create(at, bool(type));
    MarkOp::create(at, context, number, rows);
  }

  static constexpr StringLiteral loopName = "loop"; // of OutlineLoops

  Builder b;
  Value context;
  std::map<int64_t, WeightOp> weights; // by offset
  SmallVector<Attribute> operations;
};

struct MarkOperations : qtale::impl::MarkOperationsBase<MarkOperations> {
  using Base::Base;

  void runOnOperation() override {
    ModuleOp level = getOperation();
    Marker marker(level);
    for (auto func : level.getOps<func::FuncOp>())
      if (func.isPublic() && contextOf(func)) {
        if (failed(checkBlocks(func)))
          return signalPassFailure();
        marker.mark(func);
      }
    numMarks += marker.getOperations().size();
    level->setAttr(attr::operations, marker.getOperations());
  }
};
} // namespace
