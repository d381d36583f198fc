//===- Rows.cpp - Elementwise nodes on rows -------------------------------===//
//
//   ONNX:    [B, H, S, D] + [H, 1, D]
//   stored:  [R, H, D]    + [H, D]        the token and batch axes left out
//
// Broadcasting aligns shapes at the right, so an operand without tokens only
// has to lose the axes that are stored as rows; there it must be 1.
//
//===----------------------------------------------------------------------===//

#include "Entries.h"
#include "NodeTable.h"
#include "StepNode.h"

using namespace llvm;
using namespace mlir;
using namespace qtale::onnx_import;

LogicalResult qtale::onnx_import::buildElementwiseRows(StepNode &n) {
  // The widest operand with rows gives the layout.
  std::optional<RowLayout> layout;
  int64_t rank = 0;
  for (unsigned i = 0; i < n.size(); ++i)
    if (n.has(i) && n.in(i).rows) {
      if (!layout || n.in(i).rows->rank > layout->rank)
        layout = n.in(i).rows;
      rank = std::max(rank, n.in(i).rank());
    }
  int64_t fromRight = layout->rank - 1 - layout->rowAxis;
  SmallVector<Term> aligned(n.size());
  SmallVector<Term *> operands;
  for (unsigned i = 0; i < n.size(); ++i) {
    if (!n.has(i)) {
      operands.push_back(nullptr);
      continue;
    }
    Term &term = aligned[i] = n.in(i);
    operands.push_back(&term);
    if (term.rows) {
      if (term.rows->rank - 1 - term.rows->rowAxis != fromRight ||
          term.rank() != rank)
        return n.fail("joins tensors whose tokens are on different axes");
      if (isRowNumber(term))
        return n.fail("computes with token ids or positions");
      continue;
    }
    Dims dims;
    for (int64_t axis = 0; axis < term.rank(); ++axis) {
      int64_t right = term.rank() - 1 - axis;
      bool isRow = right == fromRight;
      bool isBatch = layout->batch && right == layout->rank - 1;
      if (right > layout->rank - 1)
        return n.fail(n.inputName(i) + " has more dimensions than the tokens");
      if (!isRow && !isBatch)
        dims.push_back(term.dims[axis]);
      else if (!isConstantIntValue(term.dims[axis], 1))
        return n.fail(n.inputName(i) + " differs from token to token");
    }
    if (dims.size() != term.dims.size())
      term = n.g.reshape(term, dims);
  }
  const NodeBuilder *builder =
      lookupBuilder(n.proto.domain(), n.proto.op_type(), n.model.opset);
  Node inner(n.g, n.proto, operands);
  if (failed(builder->build(inner)))
    return failure();
  std::optional<Term> &result = inner.result(0);
  // Clip's bounds and the like broadcast to the rows, never the rows to them.
  if (result->rank() != rank)
    return n.fail("gives tokens another number of dimensions");
  return n.setRows(*result, *layout);
}
