//===- DynamicQuantization.cpp - DynamicQuantizeLinear --------------------===//
//
//   low = min(0, min x)   high = max(0, max x)    first pass
//   scale = (high - low) / 255                    1 where all are 0
//   zero  = round_even(clamp(-low / scale))
//   q     = saturate(round_even(x / scale) + zero)  second pass
//
// One scale for the whole tensor: rows of tokens are not independent of each
// other, so that a model with it has no session.
//
//===----------------------------------------------------------------------===//

#include "Node.h"
#include "NodeTable.h"

using namespace llvm;
using namespace mlir;
using namespace qtale::onnx_import;
using onnx::TensorProto;

/// The least and the greatest of all elements and 0, in one pass: rows in
/// parallel, then their results.
static std::pair<Term, Term> extremes(Node &n) {
  GraphBuilder &g = n.g;
  Term &x = n.in(0);
  Type f32 = g.b.getF32Type();
  auto least = [](Scalars s, ValueRange v) {
    return s.make<arith::MinimumFOp>(v[0], v[1]);
  };
  auto greatest = [](Scalars s, ValueRange v) {
    return s.make<arith::MaximumFOp>(v[0], v[1]);
  };
  if (!x.rank()) {
    Term zero = g.fromConstant(
        x.dtype, DenseElementsAttr::get(RankedTensorType::get({}, f32), 0.0f));
    return {g.make(x.dtype, g.elementwise({&x, &zero}, {}, f32, least), {}),
            g.make(x.dtype, g.elementwise({&x, &zero}, {}, f32, greatest), {})};
  }
  Value found[] = {g.tensor(x), g.tensor(x)};
  // The last dimension, then all that are left.
  Dims outer(ArrayRef(x.dims).drop_back());
  for (ArrayRef<OpFoldResult> kept :
       {ArrayRef(outer), ArrayRef(outer).take_front(0)}) {
    unsigned rank = cast<RankedTensorType>(found[0].getType()).getRank();
    if (rank == kept.size())
      continue;
    SmallVector<utils::IteratorType> loops(rank,
                                           utils::IteratorType::reduction);
    std::fill_n(loops.begin(), kept.size(), utils::IteratorType::parallel);
    AffineMap all = g.b.getMultiDimIdentityMap(rank),
              out = AffineMap::get(rank, 0,
                                   all.getResults().take_front(kept.size()),
                                   g.context());
    Value zeros = g.filled(kept, g.scalar(f32, 0));
    auto both = linalg::GenericOp::create(
        g.b, g.loc, TypeRange{zeros.getType(), zeros.getType()}, found,
        ValueRange{zeros, zeros}, ArrayRef<AffineMap>{all, all, out, out},
        loops, [&](OpBuilder &b, Location loc, ValueRange v) {
          Scalars s{b, loc};
          linalg::YieldOp::create(
              b, loc,
              ValueRange{least(s, {v[0], v[2]}), greatest(s, {v[1], v[3]})});
        });
    llvm::copy(both.getResults(), found);
  }
  return {g.make(x.dtype, found[0], {}), g.make(x.dtype, found[1], {})};
}

/// At least 0 and at most 255.
static Value saturated(Scalars s, Value value) {
  Type type = value.getType();
  value = s.make<arith::MaximumFOp>(value, s.constant(type, 0));
  return s.make<arith::MinimumFOp>(value, s.constant(type, 255));
}

static LogicalResult buildDynamicQuantize(Node &n) {
  GraphBuilder &g = n.g;
  Term &x = n.in(0);
  Type f32 = g.b.getF32Type(), u8 = g.b.getI8Type();
  auto [low, high] = extremes(n);
  Term scale =
      g.make(x.dtype,
             g.elementwise({&low, &high}, {}, f32,
                           [&](Scalars s, ValueRange v) {
                             Value span = s.make<arith::SubFOp>(v[1], v[0]);
                             Value none = arith::CmpFOp::create(
                                 s.b, s.loc, arith::CmpFPredicate::OEQ, span,
                                 s.constant(f32, 0));
                             return s.select(none, s.constant(f32, 1),
                                             s.make<arith::DivFOp>(
                                                 span, s.constant(f32, 255)));
                           }),
             {});
  Term zero = g.make(TensorProto::UINT8,
                     g.elementwise({&low, &scale}, {}, u8,
                                   [&](Scalars s, ValueRange v) {
                                     Value at = s.make<arith::SubFOp>(
                                         s.constant(f32, 0),
                                         s.make<arith::DivFOp>(v[0], v[1]));
                                     at = math::RoundEvenOp::create(
                                         s.b, s.loc, saturated(s, at));
                                     return s.convert(at, u8, false, true);
                                   }),
                     {});
  Value quantized = g.elementwise(
      {&x, &scale, &zero}, x.dims, u8, [&](Scalars s, ValueRange v) {
        Value q = math::RoundEvenOp::create(s.b, s.loc,
                                            s.make<arith::DivFOp>(v[0], v[1]));
        q = s.make<arith::AddFOp>(q, s.convert(v[2], f32, true, false));
        return s.convert(saturated(s, q), u8, false, true);
      });
  (void)n.set(0, g.make(TensorProto::UINT8, quantized, x.dims));
  (void)n.set(1, scale);
  return n.set(2, zero);
}

void qtale::onnx_import::addDynamicQuantization(NodeTable &table) {
  table.add("DynamicQuantizeLinear", 11, buildDynamicQuantize);
}
