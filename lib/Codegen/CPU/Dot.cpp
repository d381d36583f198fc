//===- Dot.cpp - qtale.dot on each instruction set ------------------------===//
//
//   acc[i] + sum over j < 4 of w[4 i + j] * x[j]    x: i8, 16 lanes
//
//   w:                  u8                         u4          i8
//   AVX-512 VNNI        vpdpbusd, once             the same    -
//   AVX-VNNI            vpdpbusd, two halves       the same    -
//   AVX2                vpmaddwd, even and odd     vpmaddubsw  -
//   NEON i8mm           usdot, four quarters       sdot        sdot
//   NEON dotprod        -                          sdot        sdot
//   NEON                -                          smull       smull
//
// vpmaddubsw's sums fit 16 bits with u4, those of 8 dots in a chain together too
// (8 * 2 * 15 * 127), so vpmaddwd widens them once. Sums of two of smull's products
// (2 * 128 * 127) also do, unless activations may be -128. -: widened and added in 32 bits, since saturating sums
// are wrong. A u4 is also an i8.
//
//===----------------------------------------------------------------------===//

#include "KernelBuilder.h"
#include "qtale/Codegen/CPU/Passes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Transforms/WalkPatternRewriteDriver.h"

using namespace mlir;
using namespace qtale;

namespace qtale {
#define GEN_PASS_DEF_LOWERDOT
#include "qtale/Codegen/CPU/Passes.h.inc"
} // namespace qtale

namespace {

enum class InstructionSet {
  AVX512VNNI,
  AVXVNNI,
  AVX2,
  I8MM,
  DotProd,
  NEON,
  Generic
};

InstructionSet choose(const Level &level) {
  SmallVector<StringRef> features;
  level.required.split(features, ',');
  auto has = [&](StringRef name) { return llvm::is_contained(features, name); };
  if (has("avx512vnni"))
    return InstructionSet::AVX512VNNI;
  if (has("avxvnni"))
    return InstructionSet::AVXVNNI;
  if (has("avx2"))
    return InstructionSet::AVX2;
  if (has("i8mm"))
    return InstructionSet::I8MM;
  if (has("dotprod"))
    return InstructionSet::DotProd;
  if (has("neon"))
    return InstructionSet::NEON;
  return InstructionSet::Generic;
}

struct LowerDotPattern : OpRewritePattern<DotOp> {
  LowerDotPattern(MLIRContext *context, InstructionSet set)
      : OpRewritePattern(context), set(set) {}

  LogicalResult matchAndRewrite(DotOp op,
                                PatternRewriter &rewriter) const override {
    KernelBuilder b(op.getLoc(), rewriter.getContext(), rewriter.getListener());
    b.setInsertionPoint(op);
    if (isChained(op)) {
      if (DotOp next = getNext(op); next && isChained(next))
        return rewriter.notifyMatchFailure(op, "lowered with its chain's last");
      lowerChain(b, rewriter, op);
      return success();
    }
    rewriter.replaceOp(op, lower(b, op));
    return success();
  }

private:
  static Value call(KernelBuilder &b, StringRef name, Type type,
                    ValueRange operands) {
    return LLVM::CallIntrinsicOp::create(b, type, b.getStringAttr(name),
                                         operands)
        .getResult(0);
  }
  static Value bytes(KernelBuilder &b, Value word, int64_t size) {
    return vector::BitCastOp::create(b, VectorType::get({size}, b.getI8Type()),
                                     b.splat(word, size / 4));
  }
  static Value slice(KernelBuilder &b, Value vector, int64_t from,
                     int64_t size) {
    return vector::ExtractStridedSliceOp::create(
        b, vector, ArrayRef<int64_t>{from}, ArrayRef<int64_t>{size},
        ArrayRef<int64_t>{1});
  }
  /// Parts of `size` lanes, joined.
  static Value parts(KernelBuilder &b, DotOp op, int64_t size,
                     function_ref<Value(Value w, Value x, Value acc)> part) {
    Value x = bytes(b, op.getInput(), 4 * size), result = op.getAcc();
    for (int64_t i = 0; i < lanes; i += size) {
      Value sums = part(slice(b, op.getWeights(), 4 * i, 4 * size), x,
                        slice(b, op.getAcc(), i, size));
      result = vector::InsertStridedSliceOp::create(
          b, sums, result, ArrayRef<int64_t>{i}, ArrayRef<int64_t>{1});
    }
    return result;
  }

  /// Four quarters by a NEON instruction that has the shape of qtale.dot.
  static Value quarters(KernelBuilder &b, DotOp op, StringRef name) {
    return parts(b, op, 4, [&](Value w, Value x, Value acc) {
      return call(b, name, b.i32x(4), {acc, w, x});
    });
  }
  /// Products in 16 bits, their sums by twos too, where those fit; then by fours
  /// in 32.
  static Value widened(KernelBuilder &b, DotOp op) {
    auto i16 = [&](int64_t size) {
      return VectorType::get({size}, b.getI16Type());
    };
    return parts(b, op, 4, [&](Value w, Value x, Value acc) -> Value {
      Value products =
          arith::MulIOp::create(b, arith::ExtSIOp::create(b, i16(16), w),
                                arith::ExtSIOp::create(b, i16(16), x));
      Value low = slice(b, products, 0, 8), high = slice(b, products, 8, 8);
      auto inPairs = [&](Value values) {
        return call(b, "llvm.aarch64.neon.saddlp.v4i32.v8i16", b.i32x(4),
                    {values});
      };
      Value fours = op.getFullInput()
                        ? call(b, "llvm.aarch64.neon.addp.v4i32", b.i32x(4),
                               {inPairs(low), inPairs(high)})
                        : inPairs(call(b, "llvm.aarch64.neon.addp.v8i16",
                                       i16(8), {low, high}));
      return arith::AddIOp::create(b, acc, fours);
    });
  }

  //===--------------------------------------------------------------------===//
  // AVX2
  //===--------------------------------------------------------------------===//

  /// Dots whose sums stay in 16 bits as long as they follow each other.
  bool isChained(DotOp op) const {
    return set == InstructionSet::AVX2 && op.getBits() <= 4 &&
           !op.getSignedWeights() && !op.getFullInput();
  }
  /// The dot that alone goes on from the sums of `op`.
  static DotOp getNext(DotOp op) {
    if (!op->hasOneUse())
      return nullptr;
    auto next = dyn_cast<DotOp>(*op->user_begin());
    return next && next.getAcc() == op.getResult() ? next : nullptr;
  }

  /// Replaces the chain that ends with `last`.
  void lowerChain(KernelBuilder &b, PatternRewriter &rewriter,
                  DotOp last) const {
    SmallVector<DotOp> chain{last};
    while (auto before = chain.back().getAcc().getDefiningOp<DotOp>()) {
      if (!isChained(before) || getNext(before) != chain.back())
        break;
      chain.push_back(before);
    }
    std::reverse(chain.begin(), chain.end());
    Value result = chain.front().getAcc();
    for (ArrayRef<DotOp> rest = chain; !rest.empty();) {
      ArrayRef<DotOp> some = rest.take_front(dotsIn16Bits);
      result = addChain(b, some, result);
      rest = rest.drop_front(some.size());
    }
    rewriter.replaceOp(last, result);
    for (DotOp op : llvm::reverse(ArrayRef(chain).drop_back()))
      rewriter.eraseOp(op);
  }

  static constexpr size_t dotsIn16Bits = 8; // 8 * 2 * 15 * 127 < 2^15

  /// Products stay where they are, so that few of them live at once.
  static Value addChain(KernelBuilder &b, ArrayRef<DotOp> chain, Value acc) {
    auto i16 = VectorType::get({16}, b.getI16Type());
    Value pairs[2];
    for (DotOp op : chain) {
      b.setInsertionPoint(op);
      Value x = bytes(b, op.getInput(), 32);
      for (int64_t i : {0, 1}) {
        Value products = call(b, "llvm.x86.avx2.pmadd.ub.sw", i16,
                              {slice(b, op.getWeights(), 32 * i, 32), x});
        pairs[i] =
            pairs[i] ? arith::AddIOp::create(b, pairs[i], products) : products;
      }
    }
    Value ones =
        b.splat(arith::ConstantOp::create(b, b.getI16IntegerAttr(1)), 16);
    Value result = acc;
    for (int64_t i : {0, 1}) {
      Value sums =
          call(b, "llvm.x86.avx2.pmadd.wd", b.i32x(8), {pairs[i], ones});
      sums = arith::AddIOp::create(b, slice(b, acc, 8 * i, 8), sums);
      result = vector::InsertStridedSliceOp::create(
          b, sums, result, ArrayRef<int64_t>{8 * i}, ArrayRef<int64_t>{1});
    }
    return result;
  }

  /// Bytes 0 and 2 of each lane in 16 bits, then 1 and 3.
  static Value evenAndOdd(KernelBuilder &b, DotOp op) {
    return parts(b, op, 8, [&](Value w, Value x, Value acc) -> Value {
      auto i16 = VectorType::get({16}, b.getI16Type());
      auto constant = [&](int16_t value) {
        return b.splat(arith::ConstantOp::create(b, b.getI16IntegerAttr(value)),
                       16);
      };
      Value eight = constant(8);
      w = vector::BitCastOp::create(b, i16, w);
      x = vector::BitCastOp::create(b, i16, x);
      Value evenX = arith::ShLIOp::create(b, x, eight);
      auto add = [&](Value weights, Value inputs) {
        inputs = arith::ShRSIOp::create(b, inputs, eight);
        Value sums =
            call(b, "llvm.x86.avx2.pmadd.wd", b.i32x(8), {weights, inputs});
        acc = arith::AddIOp::create(b, acc, sums);
      };
      add(arith::AndIOp::create(b, w, constant(255)), evenX);
      add(arith::ShRUIOp::create(b, w, eight), x);
      return acc;
    });
  }

  Value lower(KernelBuilder &b, DotOp op) const {
    bool isSigned = op.getSignedWeights();
    if (isSigned || op.getBits() < 8) {
      if (set == InstructionSet::NEON)
        return widened(b, op);
      if (set == InstructionSet::DotProd || set == InstructionSet::I8MM)
        return quarters(b, op, "llvm.aarch64.neon.sdot.v4i32.v16i8");
    }
    if (isSigned)
      return generic(b, op);
    if (set == InstructionSet::I8MM)
      return quarters(b, op, "llvm.aarch64.neon.usdot.v4i32.v16i8");
    if (set == InstructionSet::AVX512VNNI)
      return call(b, "llvm.x86.avx512.vpdpbusd.512", b.i32x(),
                  {op.getAcc(), op.getWeights(), bytes(b, op.getInput(), 64)});
    if (set == InstructionSet::AVXVNNI)
      return parts(b, op, 8, [&](Value w, Value x, Value acc) {
        return call(b, "llvm.x86.avx512.vpdpbusd.256", b.i32x(8), {acc, w, x});
      });
    if (set == InstructionSet::AVX2)
      return evenAndOdd(b, op);
    return generic(b, op);
  }

  /// Byte j of every lane, in 32 bits.
  static Value generic(KernelBuilder &b, DotOp op) {
    Value w = vector::BitCastOp::create(b, b.i32x(), op.getWeights());
    Value result = op.getAcc();
    for (int64_t j = 0; j < 4; ++j) {
      Value byte = arith::ShLIOp::create(b, w, b.splat(b.i32(24 - 8 * j)));
      Value down = b.splat(b.i32(24));
      byte = op.getSignedWeights()
                 ? arith::ShRSIOp::create(b, byte, down).getResult()
                 : arith::ShRUIOp::create(b, byte, down).getResult();
      Value x = arith::ShLIOp::create(b, op.getInput(), b.i32(24 - 8 * j));
      x = arith::ShRSIOp::create(b, x, b.i32(24));
      result = arith::AddIOp::create(
          b, result, arith::MulIOp::create(b, byte, b.splat(x)));
    }
    return result;
  }

  InstructionSet set;
};

struct LowerDot : qtale::impl::LowerDotBase<LowerDot> {
  using Base::Base;

  void runOnOperation() override {
    const Level *level = getLevel(getOperation());
    if (!level) {
      getOperation().emitError("needs a module named after a CPU level");
      return signalPassFailure();
    }
    RewritePatternSet patterns(&getContext());
    patterns.add<LowerDotPattern>(&getContext(), choose(*level));
    walkAndApplyPatterns(getOperation(), std::move(patterns));
  }
};
} // namespace
