//===- Operations.cpp - What marks count, as the runtime reads it ---------===//
//
//   qtale.operations = [{operation = "matmul", node = "/lm_head/MatMul",
//                        bytes = 18432 : i64, macs = 32768 : i64}, …]
//     ─▶ qtale_marked [{0, 7, -1, 18432, 0, 32768}, …]
//        names        "matmul\0/lm_head/MatMul\0…"        each text once
//
//===----------------------------------------------------------------------===//

#include "Descriptor.h"

#include "qtale/Dialect/QTale/IR/QTale.h"

#include "llvm/ADT/StringMap.h"

using namespace mlir;
using namespace qtale;

namespace {

class TableBuilder {
public:
  /// False where `entry` is not as qtale-mark-operations writes it.
  bool add(DictionaryAttr entry) {
    if (!entry)
      return false;
    qtale_marked marked = {};
    auto operation = entry.getAs<StringAttr>("operation");
    auto node = entry.getAs<StringAttr>("node");
    if (!operation || (!node && entry.contains("node")))
      return false;
    marked.operation = getText(operation.getValue());
    marked.node = getText(node ? node.getValue() : "");
    int64_t layer = -1, bytes = 0, rowBytes = 0, macs = 0;
    if (!read(entry, "layer", layer) || !read(entry, "bytes", bytes) ||
        !read(entry, "row_bytes", rowBytes) || !read(entry, "macs", macs))
      return false;
    marked.layer = layer;
    marked.bytes = bytes;
    marked.row_bytes = rowBytes;
    marked.macs = macs;
    table.marked.push_back(marked);
    return true;
  }

  OperationTable table;

private:
  uint32_t getText(llvm::StringRef text) {
    auto [place, isNew] = texts.try_emplace(text, table.names.size());
    if (isNew) {
      llvm::append_range(table.names, text);
      table.names.push_back('\0');
    }
    return place->second;
  }

  /// Leaves the default where there is none.
  static bool read(DictionaryAttr entry, llvm::StringRef name, int64_t &value) {
    Attribute attribute = entry.get(name);
    auto integer = dyn_cast_or_null<IntegerAttr>(attribute);
    if (integer)
      value = integer.getInt();
    return !attribute || (integer && value >= 0);
  }

  llvm::StringMap<uint32_t> texts;
};

} // namespace

FailureOr<OperationTable> qtale::readOperations(ModuleOp level) {
  Attribute attribute = level->getAttr(attr::operations);
  auto list = dyn_cast_or_null<ArrayAttr>(attribute);
  if (attribute && !list)
    return emitError(level.getLoc(), attr::operations)
           << " must be an array, but is " << attribute;
  TableBuilder builder;
  for (Attribute entry : list ? list.getValue() : ArrayRef<Attribute>())
    if (!builder.add(dyn_cast<DictionaryAttr>(entry)))
      return emitError(level.getLoc(), attr::operations)
             << " must be dictionaries of operation and node (strings), layer, "
                "bytes, row_bytes and macs (integers of at least 0), but has "
             << entry;
  builder.table.source = list;
  return std::move(builder.table);
}
