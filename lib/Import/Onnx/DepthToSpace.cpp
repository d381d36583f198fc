//===- DepthToSpace.cpp - Channels as blocks of places, and back ----------===//
//
//   DepthToSpace  [N, C·b·b, H, W]  ──▶  [N, C, H·b, W·b]
//   SpaceToDepth  the other way
//
// A reshape, a transpose, a reshape. The mode says how a channel's number is
// read: DCR (block, channel), CRD (channel, block).
//
//===----------------------------------------------------------------------===//

#include "Node.h"
#include "NodeTable.h"

using namespace llvm;
using namespace mlir;
using namespace qtale::onnx_import;

static LogicalResult move(Node &n, bool toSpace) {
  GraphBuilder &g = n.g;
  Term &x = n.in(0);
  int64_t size = n.integer("blocksize", 0);
  std::string mode = n.text("mode", "DCR");
  if (x.rank() != 4 || size < 1 || size > INT16_MAX)
    return n.fail("needs a tensor of 4 dimensions and a positive blocksize");
  if (mode != "DCR" && mode != "CRD")
    return n.fail("has a mode of '" + mode + "'; it is DCR or CRD");
  bool blocksFirst = mode == "DCR";
  OpFoldResult b = g.math.constant(size);
  auto divided = [&](OpFoldResult dim, OpFoldResult by) {
    OpFoldResult result = g.math.div(dim, by);
    g.math.check(g.math.mul(result, by), dim,
                 n.proto.op_type() + ": the blocksize must divide");
    return result;
  };
  OpFoldResult count = x.dims[0], c = x.dims[1], h = x.dims[2], w = x.dims[3];
  Dims split, to;
  SmallVector<int64_t> order;
  if (toSpace) {
    c = divided(c, g.math.constant(size * size));
    split =
        blocksFirst ? Dims{count, b, b, c, h, w} : Dims{count, c, b, b, h, w};
    order = blocksFirst ? SmallVector<int64_t>{0, 3, 4, 1, 5, 2}
                        : SmallVector<int64_t>{0, 1, 4, 2, 5, 3};
    to = {count, c, g.math.mul(h, b), g.math.mul(w, b)};
  } else {
    h = divided(h, b);
    w = divided(w, b);
    split = {count, c, h, b, w, b};
    order = blocksFirst ? SmallVector<int64_t>{0, 3, 5, 1, 2, 4}
                        : SmallVector<int64_t>{0, 1, 3, 5, 2, 4};
    to = {count, g.math.mul(c, g.math.constant(size * size)), h, w};
  }
  Value value = g.reshape(n.tensor(0), x.dims, split);
  Dims moved;
  for (int64_t axis : order)
    moved.push_back(split[axis]);
  value = g.transpose(value, split, order);
  return n.set(g.reshape(value, moved, to), to);
}

void qtale::onnx_import::addDepthToSpace(NodeTable &table) {
  table.add("DepthToSpace", {13, 28}, [](Node &n) { return move(n, true); });
  table.add("SpaceToDepth", {13, 28}, [](Node &n) { return move(n, false); });
}
