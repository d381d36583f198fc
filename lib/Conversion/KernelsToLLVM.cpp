//===- KernelsToLLVM.cpp - A level's module in the LLVM dialect -----------===//
//
// The operations of the qtale dialect that are left read the context; its
// fields stand where ModuleABI.h says.
//
//===----------------------------------------------------------------------===//

#include "qtale/Conversion/Passes.h"
#include "qtale/Dialect/QTale/IR/QTale.h"
#include "qtale/Runtime/ModuleABI.h"

#include "mlir/Conversion/ArithToLLVM/ArithToLLVM.h"
#include "mlir/Conversion/ControlFlowToLLVM/ControlFlowToLLVM.h"
#include "mlir/Conversion/FuncToLLVM/ConvertFuncToLLVM.h"
#include "mlir/Conversion/LLVMCommon/ConversionTarget.h"
#include "mlir/Conversion/LLVMCommon/MemRefBuilder.h"
#include "mlir/Conversion/LLVMCommon/Pattern.h"
#include "mlir/Conversion/LLVMCommon/TypeConverter.h"
#include "mlir/Conversion/MathToLLVM/MathToLLVM.h"
#include "mlir/Conversion/MathToLibm/MathToLibm.h"
#include "mlir/Conversion/MemRefToLLVM/MemRefToLLVM.h"
#include "mlir/Conversion/UBToLLVM/UBToLLVM.h"
#include "mlir/Dialect/Arith/Transforms/Passes.h"
#include "mlir/Dialect/LLVMIR/FunctionCallUtils.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Transforms/DialectConversion.h"

using namespace mlir;
using namespace qtale;

namespace qtale {
#define GEN_PASS_DEF_KERNELSTOLLVM
#include "qtale/Conversion/Passes.h.inc"
} // namespace qtale

namespace {

Value pointerAt(OpBuilder &b, Location loc, Value base, Value byteOffset) {
  return LLVM::GEPOp::create(b, loc, base.getType(), b.getI8Type(), base,
                             byteOffset);
}
Value constant(OpBuilder &b, Location loc, int64_t value) {
  return LLVM::ConstantOp::create(b, loc, b.getI64Type(), value);
}
Value loadPointer(OpBuilder &b, Location loc, Value from) {
  return LLVM::LoadOp::create(b, loc, from.getType(), from);
}
/// A field of the context.
Value loadField(OpBuilder &b, Location loc, Value context, size_t offset,
                Type type) {
  return LLVM::LoadOp::create(
      b, loc, type, pointerAt(b, loc, context, constant(b, loc, offset)));
}
Value loadPointerField(OpBuilder &b, Location loc, Value context,
                       size_t offset) {
  return loadField(b, loc, context, offset, context.getType());
}

template <typename Op> struct Pattern : ConvertOpToLLVMPattern<Op> {
  using ConvertOpToLLVMPattern<Op>::ConvertOpToLLVMPattern;
  using Adaptor = typename Op::Adaptor;

  Value descriptor(OpBuilder &b, Location loc, MemRefType type,
                   Value pointer) const {
    return MemRefDescriptor::fromStaticShape(b, loc, *this->getTypeConverter(),
                                             type, pointer);
  }
};

struct WeightAddress : Pattern<WeightAddressOp> {
  using Pattern::Pattern;
  LogicalResult matchAndRewrite(WeightAddressOp op, Adaptor adaptor,
                                ConversionPatternRewriter &b) const override {
    Location loc = op.getLoc();
    Value weights = loadPointerField(b, loc, adaptor.getContext(),
                                     offsetof(qtale_context, weights));
    Value address =
        pointerAt(b, loc, weights, constant(b, loc, op.getOffset()));
    b.replaceOp(op, descriptor(b, loc, op.getType(), address));
    return success();
  }
};

struct KVBlock : Pattern<KVBlockOp> {
  using Pattern::Pattern;
  LogicalResult matchAndRewrite(KVBlockOp op, Adaptor adaptor,
                                ConversionPatternRewriter &b) const override {
    // kv[cache][sequence][block]
    Location loc = op.getLoc();
    Value table = loadPointerField(b, loc, adaptor.getContext(),
                                   offsetof(qtale_context, kv));
    for (Value index :
         {adaptor.getCache(), adaptor.getSequence(), adaptor.getBlock()}) {
      Value entry = LLVM::GEPOp::create(b, loc, table.getType(),
                                        table.getType(), table, index);
      table = loadPointer(b, loc, entry);
    }
    // Keys, values and their scales lie one after the other.
    SmallVector<Value> parts;
    int64_t offset = 0;
    for (Type result : op.getResultTypes()) {
      auto type = cast<MemRefType>(result);
      Value part = pointerAt(b, loc, table, constant(b, loc, offset));
      parts.push_back(descriptor(b, loc, type, part));
      offset += type.getNumElements() * type.getElementTypeBitWidth() / 8;
    }
    b.replaceOp(op, parts);
    return success();
  }
};

struct Arena : Pattern<ArenaOp> {
  using Pattern::Pattern;
  LogicalResult matchAndRewrite(ArenaOp op, Adaptor adaptor,
                                ConversionPatternRewriter &b) const override {
    Location loc = op.getLoc();
    auto type = cast<MemRefType>(op.getType());
    Type converted = getTypeConverter()->convertType(type);
    if (!converted)
      return b.notifyMatchFailure(op, "LLVM has no such buffer");
    Value base = loadPointerField(b, loc, adaptor.getContext(),
                                  offsetof(qtale_context, arena));
    Value pointer = pointerAt(b, loc, base, adaptor.getOffset());

    auto memref = MemRefDescriptor::poison(b, loc, converted);
    memref.setAllocatedPtr(b, loc, pointer);
    memref.setAlignedPtr(b, loc, pointer);
    memref.setOffset(b, loc, constant(b, loc, 0));
    Value stride = constant(b, loc, 1);
    unsigned dynamic = adaptor.getSizes().size();
    for (int64_t axis = type.getRank() - 1; axis >= 0; --axis) {
      Value size = type.isDynamicDim(axis)
                       ? adaptor.getSizes()[--dynamic]
                       : constant(b, loc, type.getDimSize(axis));
      memref.setSize(b, loc, axis, size);
      memref.setStride(b, loc, axis, stride);
      if (axis)
        stride = LLVM::MulOp::create(b, loc, stride, size);
    }
    b.replaceOp(op, Value(memref));
    return success();
  }
};

/// A field of the context that is a number.
template <typename Op, size_t offset> struct NumberField : Pattern<Op> {
  using Pattern<Op>::Pattern;
  LogicalResult matchAndRewrite(Op op, typename Op::Adaptor adaptor,
                                ConversionPatternRewriter &b) const override {
    b.replaceOp(op, loadField(b, op.getLoc(), adaptor.getContext(), offset,
                              b.getI64Type()));
    return success();
  }
};

struct LoadArgument : Pattern<LoadArgumentOp> {
  using Pattern::Pattern;
  LogicalResult matchAndRewrite(LoadArgumentOp op, Adaptor adaptor,
                                ConversionPatternRewriter &b) const override {
    Type converted = getTypeConverter()->convertType(op.getType());
    if (!converted)
      return b.notifyMatchFailure(op, "LLVM has no such buffer");
    Value pointer = loadPointerField(b, op.getLoc(), adaptor.getArguments(),
                                     8 * op.getIndex());
    b.replaceOpWithNewOp<LLVM::LoadOp>(op, converted, pointer);
    return success();
  }
};

struct StoreResult : Pattern<StoreResultOp> {
  using Pattern::Pattern;
  LogicalResult matchAndRewrite(StoreResultOp op, Adaptor adaptor,
                                ConversionPatternRewriter &b) const override {
    Value pointer = loadPointerField(b, op.getLoc(), adaptor.getArguments(),
                                     8 * op.getIndex());
    b.replaceOpWithNewOp<LLVM::StoreOp>(op, adaptor.getValue(), pointer);
    return success();
  }
};

/// A flag and a probability for each row: row `unit` of two matrices.
struct UnitRecord : Pattern<UnitRecordOp> {
  using Pattern::Pattern;
  LogicalResult matchAndRewrite(UnitRecordOp op, Adaptor adaptor,
                                ConversionPatternRewriter &b) const override {
    Location loc = op.getLoc();
    SmallVector<Type> parts;
    if (failed(getTypeConverter()->convertTypes(op.getResultTypes(), parts)))
      return b.notifyMatchFailure(op, "LLVM has no such buffers");
    Value rows = loadField(b, loc, adaptor.getContext(),
                           offsetof(qtale_context, rows), b.getI64Type());
    Value first = LLVM::MulOp::create(b, loc, adaptor.getUnit(), rows);
    auto part = [&](size_t field, Value buffer) -> Value {
      auto type = cast<MemRefType>(buffer.getType());
      Value base = loadPointerField(b, loc, adaptor.getContext(), field);
      Value pointer = LLVM::GEPOp::create(b, loc, base.getType(),
                                          type.getElementType(), base, first);
      auto memref = MemRefDescriptor::poison(
          b, loc, getTypeConverter()->convertType(type));
      memref.setAllocatedPtr(b, loc, pointer);
      memref.setAlignedPtr(b, loc, pointer);
      memref.setOffset(b, loc, constant(b, loc, 0));
      memref.setSize(b, loc, 0, rows);
      memref.setStride(b, loc, 0, constant(b, loc, 1));
      return memref;
    };
    b.replaceOp(
        op, {part(offsetof(qtale_context, kept), op.getKept()),
             part(offsetof(qtale_context, probability), op.getProbability())});
    return success();
  }
};

struct ReserveSlots : Pattern<ReserveSlotsOp> {
  using Pattern::Pattern;
  LogicalResult matchAndRewrite(ReserveSlotsOp op, Adaptor adaptor,
                                ConversionPatternRewriter &b) const override {
    Location loc = op.getLoc();
    auto pointer = LLVM::LLVMPointerType::get(b.getContext());
    Type i64 = b.getI64Type();
    FailureOr<LLVM::LLVMFuncOp> function = LLVM::lookupOrCreateFn(
        b, op->getParentOfType<ModuleOp>(), "qtale_rt_kv_reserve",
        {pointer, i64, pointer, pointer, pointer, i64, pointer},
        b.getI32Type());
    if (failed(function))
      return b.notifyMatchFailure(op, "the runtime's name is taken");
    auto first = [&](Value buffer, Value descriptor) {
      return MemRefDescriptor(descriptor)
          .bufferPtr(b, loc, *getTypeConverter(),
                     cast<MemRefType>(buffer.getType()));
    };
    Value keep = first(op.getKeep(), adaptor.getKeep());
    Value sequences = first(op.getSequences(), adaptor.getSequences());
    Value positions = first(op.getPositions(), adaptor.getPositions());
    Value slots = first(op.getSlots(), adaptor.getSlots());
    Value rows = MemRefDescriptor(adaptor.getKeep()).size(b, loc, 0);
    b.replaceOpWithNewOp<LLVM::CallOp>(
        op, *function,
        ValueRange{adaptor.getContext(), adaptor.getCache(), keep, sequences,
                   positions, rows, slots});
    return success();
  }
};

struct Mark : Pattern<MarkOp> {
  using Pattern::Pattern;
  LogicalResult matchAndRewrite(MarkOp op, Adaptor adaptor,
                                ConversionPatternRewriter &b) const override {
    auto pointer = LLVM::LLVMPointerType::get(b.getContext());
    Type i64 = b.getI64Type();
    FailureOr<LLVM::LLVMFuncOp> function = LLVM::lookupOrCreateFn(
        b, op->getParentOfType<ModuleOp>(), "qtale_rt_mark",
        {pointer, i64, i64}, LLVM::LLVMVoidType::get(b.getContext()));
    if (failed(function))
      return b.notifyMatchFailure(op, "the runtime's name is taken");
    Value number = constant(b, op.getLoc(), op.getNumber());
    b.replaceOpWithNewOp<LLVM::CallOp>(
        op, *function,
        ValueRange{adaptor.getContext(), number, adaptor.getRows()});
    return success();
  }
};

/// A call of the runtime with the context.
template <typename Op> struct RuntimeCall : Pattern<Op> {
  RuntimeCall(const LLVMTypeConverter &converter, StringRef name)
      : Pattern<Op>(converter), name(name) {}
  LogicalResult matchAndRewrite(Op op, typename Op::Adaptor adaptor,
                                ConversionPatternRewriter &b) const override {
    auto pointer = LLVM::LLVMPointerType::get(b.getContext());
    Type result = op->getNumResults()
                      ? Type(b.getI64Type())
                      : Type(LLVM::LLVMVoidType::get(b.getContext()));
    FailureOr<LLVM::LLVMFuncOp> function = LLVM::lookupOrCreateFn(
        b, op->template getParentOfType<ModuleOp>(), name, pointer, result);
    if (failed(function))
      return b.notifyMatchFailure(op, "the runtime's name is taken");
    b.replaceOpWithNewOp<LLVM::CallOp>(op, *function, adaptor.getContext());
    return success();
  }
  StringRef name;
};

/// A bfloat16 as the bits that it is to LLVM.
struct BfloatConstant : ConvertOpToLLVMPattern<arith::ConstantOp> {
  BfloatConstant(const LLVMTypeConverter &converter)
      : ConvertOpToLLVMPattern(converter, /*benefit=*/2) {}

  LogicalResult matchAndRewrite(arith::ConstantOp op, OpAdaptor,
                                ConversionPatternRewriter &b) const override {
    if (!op.getType().isBF16())
      return b.notifyMatchFailure(op, "no bfloat16");
    APInt bits = cast<FloatAttr>(op.getValue()).getValue().bitcastToAPInt();
    b.replaceOpWithNewOp<LLVM::ConstantOp>(
        op, b.getIntegerAttr(b.getI16Type(), bits));
    return success();
  }
};

/// LLVM chooses between bfloat16s as f32s, and calls a library that we do not
/// link to come back. All arithmetic on them is expanded, so they become the
/// halfwords that are left. Vectors are LLVM's already.
static void convertBfloats(LLVMTypeConverter &converter) {
  converter.addConversion([](BFloat16Type type) {
    return IntegerType::get(type.getContext(), 16);
  });
  converter.addConversion([](VectorType type) -> std::optional<Type> {
    if (!type.getElementType().isBF16())
      return std::nullopt;
    return type;
  });
  auto bitcast = [](OpBuilder &b, Type type, ValueRange inputs,
                    Location loc) -> Value {
    Type from = inputs.size() == 1 ? inputs[0].getType() : Type();
    if (!from || (!from.isBF16() && !type.isBF16()))
      return {};
    return LLVM::BitcastOp::create(b, loc, type, inputs[0]);
  };
  converter.addSourceMaterialization(bitcast);
  converter.addTargetMaterialization(bitcast);
}

struct KernelsToLLVM : qtale::impl::KernelsToLLVMBase<KernelsToLLVM> {
  using Base::Base;

  void runOnOperation() override {
    MLIRContext *context = &getContext();
    LowerToLLVMOptions options(context);
    options.overrideIndexBitwidth(64);
    LLVMTypeConverter converter(context, options);
    converter.addConversion([](ContextType type) {
      return LLVM::LLVMPointerType::get(type.getContext());
    });
    convertBfloats(converter);
    getOperation().walk([&](memref::GlobalOp global) {
      auto values = dyn_cast_or_null<DenseElementsAttr>(
          global.getInitialValue().value_or(Attribute()));
      if (values && values.getElementType().isBF16())
        global.setInitialValueAttr(
            values.bitcast(IntegerType::get(context, 16)));
    });

    RewritePatternSet patterns(context);
    patterns.add<BfloatConstant>(converter);
    arith::populateArithToLLVMConversionPatterns(converter, patterns);
    arith::populateCeilFloorDivExpandOpsPatterns(patterns);
    cf::populateControlFlowToLLVMConversionPatterns(converter, patterns);
    populateFuncToLLVMConversionPatterns(converter, patterns);
    populateFinalizeMemRefToLLVMConversionPatterns(converter, patterns);
    populateMathToLLVMConversionPatterns(converter, patterns);
    // What LLVM has no instruction for; tried last.
    populateMathToLibmConversionPatterns(patterns, /*benefit=*/0);
    ub::populateUBToLLVMConversionPatterns(converter, patterns);
    patterns
        .add<WeightAddress, KVBlock, Arena, LoadArgument, StoreResult,
             UnitRecord, ReserveSlots, Mark,
             NumberField<ArenaLimitOp, offsetof(qtale_context, arena_bytes)>,
             NumberField<ThreadOp, offsetof(qtale_context, thread)>,
             NumberField<ThreadsOp, offsetof(qtale_context, threads)>>(
            converter);
    patterns.add<RuntimeCall<NextChunkOp>>(converter, "qtale_rt_next_chunk");
    patterns.add<RuntimeCall<BarrierOp>>(converter, "qtale_rt_barrier");

    // What upstream's conversion of functions forgets.
    SmallVector<StringAttr> notInlined;
    for (auto function : getOperation().getOps<func::FuncOp>())
      if (function.getNoInline())
        notInlined.push_back(function.getSymNameAttr());

    LLVMConversionTarget target(*context);
    // What no pattern takes is an error here, where its operation is known.
    target.addIllegalDialect<func::FuncDialect, QTaleDialect>();
    target.addLegalOp<ModuleOp, WeightOp>();
    if (failed(applyPartialConversion(getOperation(), target,
                                      std::move(patterns))))
      return signalPassFailure();
    for (StringAttr name : notInlined)
      getOperation().lookupSymbol<LLVM::LLVMFuncOp>(name).setNoInline(true);
  }
};
} // namespace
