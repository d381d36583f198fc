//===- Dot.cpp - qtale.dot on each instruction set ------------------------===//
//
//   acc[i] + sum over j < 4 of w[4 i + j] * x[j]    w: u8, x: i8, 16 lanes
//
//   AVX-512 VNNI   vpdpbusd, once
//   AVX-VNNI       vpdpbusd, two halves
//   AVX2, 4 bits   vpmaddubsw (2 * 15 * 127 fits 16 bits), vpmaddwd by ones
//   others         widened and added in 32 bits: saturating sums are wrong
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

enum class InstructionSet { AVX512VNNI, AVXVNNI, AVX2, Generic };

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
  return InstructionSet::Generic;
}

struct LowerDotPattern : OpRewritePattern<DotOp> {
  LowerDotPattern(MLIRContext *context, InstructionSet set)
      : OpRewritePattern(context), set(set) {}

  LogicalResult matchAndRewrite(DotOp op,
                                PatternRewriter &rewriter) const override {
    KernelBuilder b(op.getLoc(), rewriter.getContext(), rewriter.getListener());
    b.setInsertionPoint(op);
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
  /// Two halves of 8 lanes, joined.
  static Value halves(KernelBuilder &b, DotOp op,
                      function_ref<Value(Value w, Value x, Value acc)> half) {
    Value x = bytes(b, op.getInput(), 32), result = op.getAcc();
    for (int64_t i : {0, 1}) {
      Value part = half(slice(b, op.getWeights(), 32 * i, 32), x,
                        slice(b, op.getAcc(), 8 * i, 8));
      result = vector::InsertStridedSliceOp::create(
          b, part, result, ArrayRef<int64_t>{8 * i}, ArrayRef<int64_t>{1});
    }
    return result;
  }

  Value lower(KernelBuilder &b, DotOp op) const {
    if (set == InstructionSet::AVX512VNNI)
      return call(b, "llvm.x86.avx512.vpdpbusd.512", b.i32x(),
                  {op.getAcc(), op.getWeights(), bytes(b, op.getInput(), 64)});
    if (set == InstructionSet::AVXVNNI)
      return halves(b, op, [&](Value w, Value x, Value acc) {
        return call(b, "llvm.x86.avx512.vpdpbusd.256", b.i32x(8), {acc, w, x});
      });
    if (set == InstructionSet::AVX2 && op.getBits() <= 4)
      return halves(b, op, [&](Value w, Value x, Value acc) -> Value {
        auto i16 = VectorType::get({16}, b.getI16Type());
        Value pairs = call(b, "llvm.x86.avx2.pmadd.ub.sw", i16, {w, x});
        Value ones =
            b.splat(arith::ConstantOp::create(b, b.getI16IntegerAttr(1)), 16);
        Value sums =
            call(b, "llvm.x86.avx2.pmadd.wd", b.i32x(8), {pairs, ones});
        return arith::AddIOp::create(b, acc, sums);
      });
    return generic(b, op);
  }

  /// Byte j of every lane, in 32 bits.
  static Value generic(KernelBuilder &b, DotOp op) {
    Value w = vector::BitCastOp::create(b, b.i32x(), op.getWeights());
    Value result = op.getAcc();
    for (int64_t j = 0; j < 4; ++j) {
      Value byte = arith::ShRUIOp::create(b, w, b.splat(b.i32(8 * j)));
      byte = arith::AndIOp::create(b, byte, b.splat(b.i32(255)));
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
