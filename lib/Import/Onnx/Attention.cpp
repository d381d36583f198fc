//===- Attention.cpp - Attention of opset 23 to 25 -----------------------===//
//
//   K = [past K; K]   V = [past V; V]                       present K, V
//   scores = softcap(scale Q·Kᵀ) + mask    [B, kv head, group, S, T]
//   Y = softmax(scores) · V                rows without any key give 0
//
// Query head h reads key/value head h / group. In @step, where rows are tokens
// and caches are handles, it is `kv_append` and `attention`.
//
//===----------------------------------------------------------------------===//

#include "NodeTable.h"
#include "StepNode.h"

#include <cmath>

using namespace llvm;
using namespace mlir;
using namespace qtale;
using namespace qtale::onnx_import;
using onnx::TensorProto;

namespace {

class AttentionBuilder {
public:
  AttentionBuilder(Node &n) : n(n), g(n.g) {}

  LogicalResult build() {
    if (failed(readInputs()))
      return failure();
    if (n.has(4) && failed(appendToPast()))
      return failure();
    if ((n.wants(1) && failed(n.set(1, k))) ||
        (n.wants(2) && failed(n.set(2, v))))
      return failure();

    // [B, kv head, group, S, head]
    Dims grouped{q.dims[0], k.dims[1], g.math.constant(group), q.dims[2],
                 q.dims[3]};
    Term query = g.reshape(q, grouped);
    Dims scoreDims{grouped[0], grouped[1], grouped[2], grouped[3], k.dims[2]};
    // Loops: 0 B, 1 kv head, 2 group, 3 S, 4 T, 5 head.
    Term wideQ = widened(query), wideK = widened(k), wideV = widened(v);
    Value products = g.contract(wideQ, {0, 1, 2, 3, 5}, wideK, {0, 1, 4, 5},
                                {0, 1, 2, 3, 4}, scoreDims, 6);
    FailureOr<Value> scores = score(products, scoreDims, Masked);
    if (failed(scores))
      return failure();
    Type type = g.computeType(n.type(n.in(0)));
    // A higher precision is honoured; a lower one would only lose some.
    bool isDouble = n.integer("softmax_precision", 0) == TensorProto::DOUBLE;
    Value precise =
        isDouble ? g.castFloat(*scores, scoreDims, g.b.getF64Type()) : *scores;
    Value shares = g.softmax(precise, scoreDims, 4, false, true);
    Term weights =
        g.make(wideQ.dtype, g.castFloat(shares, scoreDims, type), scoreDims);
    if (n.wants(3) && failed(setScores(products, weights.value, scoreDims)))
      return failure();
    Dims outDims(grouped);
    outDims[4] = v.dims[3];
    Value mixed = g.contract(weights, {0, 1, 2, 3, 4}, wideV, {0, 1, 4, 5},
                             {0, 1, 2, 3, 5}, outDims, 6);
    mixed = g.castFloat(mixed, outDims, n.type(n.in(0)));
    Dims heads{outDims[0], q.dims[1], outDims[3], outDims[4]};
    Value result = g.reshape(mixed, outDims, heads);
    if (!flat)
      return n.set(result, heads);
    result = g.transpose(result, heads, {0, 2, 1, 3});
    Dims tokens{heads[0], heads[2], heads[1], heads[3]};
    Dims final{heads[0], heads[2], g.math.mul(heads[1], heads[3])};
    return n.set(g.reshape(result, tokens, final), final);
  }

private:
  /// How far scores are made; as qk_matmul_output_mode counts.
  enum Step { Scaled, Capped, Masked, Shares };

  /// The output qk_matmul_output: scores at one of the steps, [B, head, S, T].
  LogicalResult setScores(Value products, Value shares, const Dims &dims) {
    int64_t mode = n.integer("qk_matmul_output_mode", Scaled);
    if (mode < Scaled || mode > Shares)
      return n.fail("has a qk_matmul_output_mode of " + Twine(mode));
    FailureOr<Value> scores = shares;
    if (mode != Shares)
      scores = score(products, dims, Step(mode));
    if (failed(scores))
      return failure();
    Value result = g.castFloat(*scores, dims, n.type(n.in(0)));
    Dims heads{dims[0], q.dims[1], dims[3], dims[4]};
    return n.set(3,
                 g.make(n.in(0).dtype, g.reshape(result, dims, heads), heads));
  }

  Term widened(Term &term) {
    Type wide = g.computeType(n.type(term));
    if (wide == n.type(term))
      return term;
    return g.make(TensorProto::FLOAT,
                  g.castFloat(g.tensor(term), term.dims, wide), term.dims);
  }

  /// As [B, heads, S, head].
  FailureOr<Term> split(Term &term, int64_t heads) {
    if (!flat)
      return term;
    auto width = getConstantIntValue(term.dims[2]);
    if (heads <= 0 || !width || *width % heads)
      return n.fail("needs a last dimension that the number of heads (" +
                    Twine(heads) + ") divides");
    Dims dims{term.dims[0], term.dims[1], g.math.constant(heads),
              g.math.constant(*width / heads)};
    Value value = g.reshape(g.tensor(term), term.dims, dims);
    value = g.transpose(value, dims, {0, 2, 1, 3});
    std::swap(dims[1], dims[2]);
    return g.make(term.dtype, value, dims);
  }

  LogicalResult readInputs() {
    int64_t rank = n.in(0).rank();
    flat = rank == 3;
    if ((rank != 3 && rank != 4) || n.in(1).rank() != rank ||
        n.in(2).rank() != rank)
      return n.fail("needs Q, K and V of 3 or 4 dimensions");
    FailureOr<Term> query = split(n.in(0), n.integer("q_num_heads", 0)),
                    key = split(n.in(1), n.integer("kv_num_heads", 0)),
                    value = split(n.in(2), n.integer("kv_num_heads", 0));
    if (failed(query) || failed(key) || failed(value))
      return failure();
    q = *query;
    k = *key;
    v = *value;
    auto heads = getConstantIntValue(q.dims[1]),
         kvHeads = getConstantIntValue(k.dims[1]);
    if (!heads || !kvHeads || !*kvHeads || *heads % *kvHeads)
      return n.fail("needs numbers of heads that are known, those of queries a "
                    "multiple of those of keys");
    if (!getConstantIntValue(q.dims[3]))
      return n.fail("needs a head size that is known");
    group = *heads / *kvHeads;
    if (failed(n.checkEqual(q.dims[3], k.dims[3],
                            "head sizes of Q and K differ")) ||
        failed(n.checkEqual(k.dims[1], v.dims[1], "heads of K and V differ")) ||
        failed(
            n.checkEqual(q.dims[0], k.dims[0], "batches of Q and K differ")) ||
        failed(
            n.checkEqual(k.dims[0], v.dims[0], "batches of K and V differ")) ||
        failed(n.checkEqual(k.dims[2], v.dims[2], "lengths of K and V differ")))
      return failure();
    past = g.math.constant(0);
    return success();
  }

  LogicalResult appendToPast() {
    if (!n.has(5))
      return n.fail("needs past_value with past_key");
    auto append = [&](Term &old, Term &now) -> LogicalResult {
      if (old.rank() != 4)
        return n.fail("needs past keys and values of 4 dimensions");
      for (unsigned i : {0, 1, 3}) {
        auto before = getConstantIntValue(old.dims[i]),
             after = getConstantIntValue(now.dims[i]);
        if (before && after && *before != *after)
          return n.fail("past keys or values have " + Twine(*before) +
                        " elements along axis " + Twine(i) + ", new ones " +
                        Twine(*after));
        g.math.check(old.dims[i], now.dims[i],
                     "Attention: shapes of past and new keys or values differ");
      }
      Dims dims(now.dims);
      dims[2] = g.math.add(old.dims[2], now.dims[2]);
      now =
          g.make(now.dtype, g.concat({&old, &now}, 2, dims, n.type(now)), dims);
      return success();
    };
    if (failed(append(n.in(4), k)) || failed(append(n.in(5), v)))
      return failure();
    past = n.in(4).dims[2];
    return n.checkEqual(k.dims[2], v.dims[2], "lengths of K and V differ");
  }

  /// Scale, softcap and masks, up to a step.
  FailureOr<Value> score(Value products, const Dims &dims, Step step) {
    auto headSize = getConstantIntValue(q.dims[3]);
    double scale = n.attribute("scale") ? n.real("scale", 1)
                                        : 1 / std::sqrt(double(*headSize));
    double softcap = n.real("softcap", 0);
    bool causal = n.integer("is_causal", 0);
    int64_t left = n.integer("left_window_size", -1),
            right = n.integer("right_window_size", -1);
    if (left < -1 || right < -1)
      return n.fail("has a window of a negative size");
    // Wider ones than any tensor do the same, and can't overflow.
    constexpr int64_t widest = int64_t(1) << 40;
    left = std::min(left, widest);
    right = std::min(right, widest);
    Value mask;
    Dims maskDims;
    if (n.has(3)) {
      maskDims = n.in(3).dims;
      if (maskDims.empty() || maskDims.size() > 4)
        return n.fail("needs a mask of 1 to 4 dimensions");
      if (failed(n.checkRead(maskDims, dims)))
        return failure();
      mask = n.tensor(3);
    }
    if (n.has(6) && (n.in(6).rank() != 1 ||
                     failed(n.checkEqual(n.in(6).dims[0], dims[0],
                                         "needs a length for each batch"))))
      return n.in(6).rank() == 1 ? failure()
                                 : n.fail("needs lengths of one dimension");
    Value lengths = n.has(6) ? n.tensor(6) : Value();
    Value pastValue = g.math.value(past), seq = g.math.value(q.dims[2]);
    Value groups = g.math.value(g.math.constant(group));
    bool boolean = mask && n.in(3).dtype == TensorProto::BOOL;
    Term x = g.make(TensorProto::FLOAT, products, dims);
    Type type = cast<RankedTensorType>(products.getType()).getElementType();
    return g.elementwise({&x}, dims, type, [&](Scalars s, ValueRange args) {
      double infinity = std::numeric_limits<double>::infinity();
      Value none = s.constant(type, -infinity);
      Value result = s.make<arith::MulFOp>(args[0], s.constant(type, scale));
      if (softcap > 0 && step >= Capped) {
        Value cap = s.constant(type, softcap);
        Value inner = s.make<arith::DivFOp>(result, cap);
        result = s.make<arith::MulFOp>(
            math::TanhOp::create(s.b, s.loc, inner).getResult(), cap);
      }
      if (step < Masked)
        return result;
      Value key = s.loopIndex(4);
      if (mask) {
        // Axes from the right: T, S, head, B; a mask shorter than T hides the
        // rest.
        Value head = s.make<arith::AddIOp>(
            s.make<arith::MulIOp>(s.loopIndex(1), groups), s.loopIndex(2));
        Value all[] = {s.loopIndex(0), head, s.loopIndex(3), key};
        SmallVector<Value> at;
        int64_t rank = maskDims.size();
        for (int64_t i = 0; i < rank; ++i)
          at.push_back(s.clamped(all[4 - rank + i], mask, i));
        Value element = s.at(mask, at);
        Value hidden =
            boolean ? s.select(element, result, none)
                    : s.make<arith::AddFOp>(
                          result, s.convert(element, type, false, false));
        Value last = tensor::DimOp::create(s.b, s.loc, mask, rank - 1);
        Value within = s.cmp(arith::CmpIPredicate::ult, key, last);
        result = s.select(within, hidden, none);
      }
      Value offset = pastValue;
      if (lengths) {
        Value length = arith::IndexCastOp::create(
            s.b, s.loc, s.b.getIndexType(), s.at(lengths, s.loopIndex(0)));
        offset = s.make<arith::SubIOp>(length, seq);
        result = s.select(s.cmp(arith::CmpIPredicate::slt, key, length), result,
                          none);
      }
      // The key at the query's own position, and what is near enough to it.
      Value own = s.make<arith::AddIOp>(s.loopIndex(3), offset);
      if (causal || right >= 0) {
        Value limit = s.make<arith::AddIOp>(own, s.index(causal ? 0 : right));
        result = s.select(s.cmp(arith::CmpIPredicate::sle, key, limit), result,
                          none);
      }
      if (left >= 0) {
        Value limit = s.make<arith::SubIOp>(own, s.index(left));
        result = s.select(s.cmp(arith::CmpIPredicate::sge, key, limit), result,
                          none);
      }
      return result;
    });
  }

  Node &n;
  GraphBuilder &g;
  bool flat = false;
  int64_t group = 1;
  Term q, k, v;
  OpFoldResult past;
};

} // namespace

static LogicalResult buildAttention(Node &n) {
  return AttentionBuilder(n).build();
}

//===----------------------------------------------------------------------===//
// Rows
//===----------------------------------------------------------------------===//

/// Q, K or V as f32 rows [?, heads * head].
static FailureOr<Value> headRows(StepNode &n, unsigned i, int64_t width) {
  Term &term = n.in(i);
  GraphBuilder &g = n.g;
  bool split = term.rows && term.rows->rank == 4;
  if (!term.rows || !term.rows->batch ||
      term.rows->rowAxis != (split ? 2 : 1) ||
      !g.computeType(n.type(term)).isF32())
    return n.fail(n.inputName(i) +
                  " is not [batch, tokens, values] or [batch, heads, "
                  "tokens, values]");
  Dims matrix{term.dims[0], g.math.constant(width)};
  if (!getConstantIntValue(g.math.product(ArrayRef(term.dims).drop_front())))
    return n.fail("needs heads of a known size");
  Value rows = g.reshape(g.tensor(term), term.dims, matrix);
  return g.castFloat(rows, matrix, g.b.getF32Type());
}

LogicalResult qtale::onnx_import::buildKVAppend(StepNode &n, Value cache,
                                                Value slots) {
  auto cacheType = cast<KVCacheType>(cache.getType());
  int64_t width = cacheType.getHeads() * cacheType.getHeadDim();
  FailureOr<Value> k = headRows(n, 1, width), v = headRows(n, 2, width);
  if (failed(k) || failed(v))
    return failure();
  KVAppendOp::create(n.g.b, n.g.loc, cache, *k, *v, n.step.sequences, slots);
  return success();
}

LogicalResult qtale::onnx_import::buildAttentionRows(StepNode &n, Value cache,
                                                     Value slots) {
  GraphBuilder &g = n.g;
  auto cacheType = cast<KVCacheType>(cache.getType());
  Term &query = n.in(0);
  if (!query.rows)
    return n.fail("has queries that are not tokens");
  OpFoldResult product = g.math.product(ArrayRef(query.dims).drop_front());
  auto width = getConstantIntValue(product);
  if (!width || *width % cacheType.getHeadDim())
    return n.fail("needs heads of a known size");
  FailureOr<Value> q = headRows(n, 0, *width);
  if (failed(q))
    return failure();
  int64_t heads = *width / cacheType.getHeadDim();
  if (n.integer("left_window_size", -1) >= 0)
    return n.fail("sees only a window of earlier tokens");
  if (heads % cacheType.getHeads())
    return n.fail("needs numbers of heads, those of queries a multiple of "
                  "those of keys");
  double scale = n.attribute("scale")
                     ? n.real("scale", 1)
                     : 1 / std::sqrt(double(cacheType.getHeadDim()));
  double softcap = n.real("softcap", 0);
  Value result = AttentionOp::create(
      g.b, g.loc, (*q).getType(), *q, cache, n.step.sequences, slots,
      g.b.getI64IntegerAttr(heads), g.b.getF32FloatAttr(scale),
      softcap > 0 ? g.b.getF32FloatAttr(softcap) : FloatAttr());
  Dims matrix{query.dims[0], g.math.constant(*width)};
  result = g.castFloat(result, matrix, n.type(query));
  return n.setRows(
      g.make(query.dtype, g.reshape(result, matrix, query.dims), query.dims),
      *query.rows);
}

void qtale::onnx_import::addAttention(NodeTable &table) {
  table.add("Attention", {23, 24, 25}, buildAttention)
      .refuses("numbers or sizes of heads that are known only at run time",
               "loops over heads are made for them; give the inputs' shapes");
}
