//===- Rotary.cpp - RotaryEmbedding ---------------------------------------===//
//
//   pair (a, b) of a head at position p, angle i:
//     a cos[p, i] - b sin[p, i],  a sin[p, i] + b cos[p, i]
//   pairs are (2i, 2i + 1) where interleaved, otherwise (i, i + rotated / 2);
//   values beyond `rotated` pass
//
// In @step it is the verb `rope`, at the true positions.
//
//===----------------------------------------------------------------------===//

#include "NodeTable.h"
#include "StepNode.h"
#include "VerbFunctions.h"

using namespace llvm;
using namespace mlir;
using namespace qtale;
using namespace qtale::onnx_import;

static LogicalResult buildRotary(Node &n) {
  GraphBuilder &g = n.g;
  Term &x = n.in(0), &cos = n.in(1), &sin = n.in(2);
  int64_t heads = n.integer("num_heads", 0);
  bool interleaved = n.integer("interleaved", 0);
  // [B, S, H, D] or [B, H, S, D]: where tokens and values are.
  Dims dims(x.dims);
  int64_t seqAxis = 2;
  if (x.rank() == 3) {
    if (heads <= 0)
      return n.fail("needs num_heads for a tensor of 3 dimensions");
    auto width = getConstantIntValue(dims[2]);
    if (width && *width % heads)
      return n.fail("needs a last dimension that num_heads divides");
    OpFoldResult each = g.math.div(dims[2], g.math.constant(heads));
    g.math.check(
        g.math.mul(each, g.math.constant(heads)), dims[2],
        "RotaryEmbedding: num_heads doesn't divide the last dimension");
    dims[2] = g.math.constant(heads);
    dims.push_back(each);
    seqAxis = 1;
  } else if (x.rank() != 4) {
    return n.fail("needs a tensor of 3 or 4 dimensions");
  }
  // What is known is compared now, the rest when it runs.
  int64_t part = n.integer("rotary_embedding_dim", 0);
  OpFoldResult rotated = part ? g.math.constant(part) : dims[3],
               half = g.math.div(rotated, g.math.constant(2));
  auto fits = [&](OpFoldResult a, OpFoldResult c, const Twine &message) {
    auto known = getConstantIntValue(a), other = getConstantIntValue(c);
    if (known && other && *known != *other)
      return false;
    g.math.check(a, c, message);
    return true;
  };
  bool positions = n.has(3);
  if (part < 0 || cos.rank() != (positions ? 2 : 3) ||
      sin.rank() != cos.rank() ||
      !fits(g.math.mul(half, g.math.constant(2)), rotated,
            "RotaryEmbedding rotates an odd number of values") ||
      !fits(g.math.min(rotated, dims[3]), rotated,
            "RotaryEmbedding rotates more values than a head has"))
    return n.fail("the shapes of cos_cache and sin_cache don't fit");
  for (Term *cache : {&cos, &sin})
    if (!fits(cache->dims.back(), half,
              "RotaryEmbedding: cos_cache and sin_cache need a column for each "
              "pair of values"))
      return n.fail("cos_cache and sin_cache must have " +
                    Twine(*getConstantIntValue(half)) + " columns");
  Value rotatedCount = g.math.value(rotated), pairs = g.math.value(half);
  Value input = g.reshape(g.tensor(x), x.dims, dims);
  Value cosTable = g.tensor(cos), sinTable = g.tensor(sin);
  Value ids = positions ? n.tensor(3) : Value();
  if (ids && n.in(3).rank() != 2)
    return n.fail("needs position_ids of 2 dimensions");
  // Positions beyond the tables are clamped.
  SmallVector<OpFoldResult> read(ArrayRef(cos.dims).drop_back());
  read.append(sin.dims.begin(), sin.dims.end() - 1);
  if (ids)
    read.append(n.in(3).dims);
  if (failed(n.checkRead(read, dims)))
    return failure();
  Type type = n.type(x), wide = g.computeType(type);
  Value result = g.generate(dims, type, [&](Scalars s) {
    SmallVector<Value> at;
    for (unsigned i = 0; i < 4; ++i)
      at.push_back(s.loopIndex(i));
    Value d = at[3];
    Value pair, isFirst, partner;
    if (interleaved) {
      pair = s.make<arith::DivUIOp>(d, s.index(2));
      isFirst = s.cmp(arith::CmpIPredicate::eq,
                      s.make<arith::RemUIOp>(d, s.index(2)), s.index(0));
      partner = s.make<arith::XOrIOp>(d, s.index(1));
    } else {
      isFirst = s.cmp(arith::CmpIPredicate::ult, d, pairs);
      pair = s.select(isFirst, d, s.make<arith::SubIOp>(d, pairs));
      partner = s.select(isFirst, s.make<arith::AddIOp>(d, pairs), pair);
    }
    // Beyond the rotated part these are not used, but must be in range.
    Value isRotated = s.cmp(arith::CmpIPredicate::ult, d, rotatedCount);
    pair = s.select(isRotated, pair, s.index(0));
    partner = s.select(isRotated, partner, d);

    SmallVector<Value> angle;
    if (ids) {
      Value id =
          s.at(ids, {s.clamped(at[0], ids, 0), s.clamped(at[seqAxis], ids, 1)});
      Value row =
          arith::IndexCastOp::create(s.b, s.loc, s.b.getIndexType(), id);
      angle = {s.clamped(row, cosTable, 0), pair};
    } else {
      angle = {s.clamped(at[0], cosTable, 0),
               s.clamped(at[seqAxis], cosTable, 1), pair};
    }
    SmallVector<Value> other(at);
    other[3] = partner;
    auto load = [&](Value tensor, ValueRange indices) {
      return s.convert(s.at(tensor, indices), wide, false, false);
    };
    Value own = load(input, at), mate = load(input, other);
    Value c = load(cosTable, angle), sn = load(sinTable, angle);
    Value product = s.make<arith::MulFOp>(own, c);
    Value cross = s.make<arith::MulFOp>(mate, sn);
    Value turned = s.select(isFirst, s.make<arith::SubFOp>(product, cross),
                            s.make<arith::AddFOp>(product, cross));
    return s.convert(s.select(isRotated, turned, own), type, false, false);
  });
  return n.set(g.reshape(result, dims, x.dims), x.dims);
}

/// Whether a term holds each row's true position.
static bool isPositions(const StepNode &n, unsigned i) {
  return n.has(i) && n.in(i).rows && n.in(i).value == n.step.positions;
}

static LogicalResult buildRope(StepNode &n) {
  GraphBuilder &g = n.g;
  Term &x = n.in(0), &cos = n.in(1), &sin = n.in(2);
  if (!x.rows || cos.rows || sin.rows || cos.rank() != 2 || sin.rank() != 2 ||
      !isPositions(n, 3))
    return n.fail("rotates by something else than the tokens' positions (of "
                  "the input position_ids, or of ai.qtale::CausalMask)");
  if (!g.computeType(n.type(x)).isF32())
    return n.fail("rotates " + numpyName(x.dtype) +
                  " values; a session computes in float32");
  SmallVector<int64_t> shape = staticShape(x.dims);
  int64_t heads = n.integer("num_heads", 0), width;
  bool split = x.rows->rank == 4;
  if (split ? !(x.rows->rowAxis == 2 && x.rows->batch && shape.size() == 3)
            : !(x.rows->rowAxis == 1 && x.rows->batch && shape.size() == 2))
    return n.fail("needs [batch, tokens, values] or [batch, heads, tokens, "
                  "values]");
  if (split)
    heads = shape[1];
  width = split ? shape[1] * shape[2] : shape[1];
  if (heads <= 0 || ShapedType::isDynamic(shape.back()) ||
      ShapedType::isDynamic(heads) || width % heads)
    return n.fail("needs heads of a known size");
  int64_t size = width / heads;
  int64_t rotated = n.integer("rotary_embedding_dim", 0);
  int64_t half = (rotated ? rotated : size) / 2;
  auto tableOf = [&](Term &term) {
    return g.castFloat(g.tensor(term), term.dims, g.b.getF32Type());
  };
  if (!isConstantIntValue(cos.dims[1], half) ||
      !isConstantIntValue(sin.dims[1], half) || 2 * half > size)
    return n.fail("cos_cache and sin_cache must have " + Twine(half) +
                  " columns");
  Dims matrix{x.dims[0], g.math.constant(width)};
  Value rows = g.castFloat(g.reshape(g.tensor(x), x.dims, matrix), matrix,
                           g.b.getF32Type());
  Value result = RopeOp::create(
      g.b, g.loc, rows.getType(), rows, tableOf(cos), tableOf(sin),
      n.step.positions, g.b.getI64IntegerAttr(heads),
      n.integer("interleaved", 0) ? g.b.getUnitAttr() : UnitAttr());
  return n.setRows(g.make(x.dtype, g.reshape(result, matrix, x.dims), x.dims),
                   *x.rows);
}

void qtale::onnx_import::addRotary(NodeTable &table) {
  table.add("RotaryEmbedding", 23, buildRotary, buildRope);
}
