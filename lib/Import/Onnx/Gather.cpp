//===- Gather.cpp - Gather, GatherElements, GatherND ----------------------===//
//
//   Gather(W [V, D], ids [.., ]) along axis 0, W a weight:  qtale.embedding
//   shapes:                                                 shorter lists
//   otherwise:                                              read by index
//
// Indices from -dim on count from the end. Whatever is still out of range is
// clamped into it: memory is safe, the value is unspecified. Where an axis has
// no elements, nothing may be asked of it.
//
//===----------------------------------------------------------------------===//

#include "MatMul.h"
#include "NodeTable.h"
#include "StepNode.h"

using namespace llvm;
using namespace mlir;
using namespace qtale;
using namespace qtale::onnx_import;
using onnx::TensorProto;

/// An index into an axis of a tensor, wrapped and clamped.
static Value safeIndex(Scalars s, Value id, Value tensor, int64_t axis) {
  Value at = arith::IndexCastOp::create(s.b, s.loc, s.b.getIndexType(), id);
  Value size = tensor::DimOp::create(s.b, s.loc, tensor, axis);
  Value isNegative = s.cmp(arith::CmpIPredicate::slt, at, s.index(0));
  at = s.select(isNegative, s.make<arith::AddIOp>(at, size), at);
  return s.clamped(at, tensor, axis);
}

/// Rows of a weight in files; the result has the weight's element type.
static Term embed(Node &n, Value ids, ArrayRef<OpFoldResult> idDims) {
  GraphBuilder &g = n.g;
  Term &table = n.in(0);
  RecipeAttrInterface weight = recipes::peelWidening(table.recipe);
  Value param = ParamOp::create(g.b, g.loc, weight.getTensorType(),
                                g.weights.symbol(weight, table.name, g.loc));
  Dims flat{g.math.product(idDims)};
  Dims matrix{flat[0], table.dims[1]};
  auto type = RankedTensorType::get(staticShape(matrix), g.b.getF32Type());
  Value rows = EmbeddingOp::create(g.b, g.loc, type,
                                   g.reshape(ids, idDims, flat), param);
  rows = g.castFloat(rows, matrix, n.type(table));
  Dims dims(idDims);
  dims.push_back(table.dims[1]);
  return g.make(table.dtype, g.reshape(rows, matrix, dims), dims);
}

static LogicalResult buildGather(Node &n) {
  GraphBuilder &g = n.g;
  Term &data = n.in(0), &ids = n.in(1);
  FailureOr<int64_t> axis = n.axis(data, n.integer("axis", 0));
  if (failed(axis))
    return failure();
  if (data.elements && data.rank() == 1) {
    auto chosen = g.integers(ids);
    int64_t size = data.elements->size();
    if (chosen && ids.rank() <= 1) {
      Dims elements;
      for (int64_t id : *chosen) {
        if (id < -size || id >= size)
          return n.fail("index " + Twine(id) + " is outside of " + Twine(size) +
                        " elements");
        elements.push_back((*data.elements)[id < 0 ? id + size : id]);
      }
      return n.set(0, g.fromElements(data.dtype, elements, ids.rank() == 0));
    }
  }
  Dims dims(ArrayRef(data.dims).take_front(*axis));
  dims.append(ids.dims);
  dims.append(data.dims.begin() + *axis + 1, data.dims.end());
  if (failed(n.checkRead(data.dims[*axis], dims)))
    return failure();
  if (isWeightMatrix(data) && *axis == 0) {
    // The table's rows count from the end for negative ids.
    Value size = arith::ConstantOp::create(
        g.b, g.loc,
        g.b.getIntegerAttr(n.type(ids), *getConstantIntValue(data.dims[0])));
    Value wrapped = g.elementwise(
        {&ids}, ids.dims, n.type(ids), [&](Scalars s, ValueRange v) {
          Value zero = s.integer(v[0].getType(), 0);
          return s.select(s.cmp(arith::CmpIPredicate::slt, v[0], zero),
                          s.make<arith::AddIOp>(v[0], size), v[0]);
        });
    return n.set(0, embed(n, wrapped, ids.dims));
  }
  Value table = g.tensor(data), index = g.tensor(ids);
  int64_t idRank = ids.rank();
  Value value = g.generate(dims, n.type(data), [&](Scalars s) {
    SmallVector<Value> where, at;
    for (int64_t i = 0; i < idRank; ++i)
      where.push_back(s.loopIndex(*axis + i));
    for (int64_t i = 0; i < data.rank(); ++i)
      at.push_back(i == *axis ? safeIndex(s, s.at(index, where), table, i)
                              : s.loopIndex(i < *axis ? i : i - 1 + idRank));
    return s.at(table, at);
  });
  return n.set(value, dims);
}

/// A row of a table for each token, or elements of each row.
static LogicalResult buildGatherRows(StepNode &n) {
  Term &data = n.in(0), &ids = n.in(1);
  if (!data.rows && ids.rows && isWeightMatrix(data) &&
      n.integer("axis", 0) == 0) {
    if (!isRowNumber(ids))
      return n.fail("looks up something else than input_ids or position_ids");
    RowLayout layout{ids.rows->rank + 1, ids.rows->rowAxis, ids.rows->batch};
    return n.setRows(embed(n, ids.value, ids.dims), layout);
  }
  // One element of an axis, which disappears.
  if (data.rows && !ids.rows && ids.rank() == 0) {
    auto stored = n.axis(data, n.integer("axis", 0));
    if (failed(stored) || failed(buildGather(n)))
      return failure();
    int64_t axis = n.integer("axis", 0);
    if (axis < 0)
      axis += data.rows->rank;
    RowLayout layout = *data.rows;
    --layout.rank;
    if (axis < layout.rowAxis)
      --layout.rowAxis;
    n.result(0)->rows = layout;
    return success();
  }
  return n.fail("picks among tokens");
}

static LogicalResult buildGatherElements(Node &n) {
  GraphBuilder &g = n.g;
  Term &data = n.in(0), &ids = n.in(1);
  FailureOr<int64_t> axis = n.axis(data, n.integer("axis", 0));
  if (failed(axis))
    return failure();
  if (ids.rank() != data.rank())
    return n.fail("needs data and indices of one rank");
  for (int64_t i = 0; i < data.rank(); ++i)
    if (i != *axis &&
        failed(n.checkAtMost(ids.dims[i], data.dims[i],
                             "the indices are more than the data along axis " +
                                 Twine(i))))
      return failure();
  if (failed(n.checkRead(data.dims[*axis], ids.dims)))
    return failure();
  Value table = g.tensor(data), index = g.tensor(ids);
  Value value = g.generate(ids.dims, n.type(data), [&](Scalars s) {
    SmallVector<Value> loops, at;
    for (int64_t i = 0; i < data.rank(); ++i)
      loops.push_back(s.loopIndex(i));
    for (int64_t i = 0; i < data.rank(); ++i)
      at.push_back(i == *axis ? safeIndex(s, s.at(index, loops), table, i)
                              : loops[i]);
    return s.at(table, at);
  });
  return n.set(value, ids.dims);
}

static LogicalResult buildGatherND(Node &n) {
  GraphBuilder &g = n.g;
  Term &data = n.in(0), &ids = n.in(1);
  int64_t batch = n.integer("batch_dims", 0);
  auto depth = ids.rank() ? getConstantIntValue(ids.dims.back()) : std::nullopt;
  if (!depth || batch < 0 || batch >= ids.rank() ||
      batch + *depth > data.rank())
    return n.fail("needs indices whose last dimension is known and fits the "
                  "data");
  for (int64_t i = 0; i < batch; ++i)
    if (failed(
            n.checkEqual(data.dims[i], ids.dims[i], "batch dimensions differ")))
      return failure();
  Dims dims(ArrayRef(ids.dims).drop_back());
  int64_t outer = dims.size();
  dims.append(data.dims.begin() + batch + *depth, data.dims.end());
  if (failed(n.checkRead(ArrayRef(data.dims).slice(batch, *depth), dims)))
    return failure();
  Value table = g.tensor(data), index = g.tensor(ids);
  Value value = g.generate(dims, n.type(data), [&](Scalars s) {
    SmallVector<Value> where, at;
    for (int64_t i = 0; i < outer; ++i)
      where.push_back(s.loopIndex(i));
    where.push_back({});
    for (int64_t i = 0; i < data.rank(); ++i) {
      if (i < batch) {
        at.push_back(s.clamped(s.loopIndex(i), table, i));
      } else if (i < batch + *depth) {
        where.back() = s.index(i - batch);
        at.push_back(safeIndex(s, s.at(index, where), table, i));
      } else {
        at.push_back(s.loopIndex(outer + i - batch - *depth));
      }
    }
    return s.at(table, at);
  });
  return n.set(value, dims);
}

void qtale::onnx_import::addGather(NodeTable &table) {
  table.add("Gather", 13, buildGather, buildGatherRows);
  table.add("GatherElements", 13, buildGatherElements);
  table.add("GatherND", 13, buildGatherND)
      .refuses("indices whose last dimension is known only at run time",
               rankIsKnown);
}
