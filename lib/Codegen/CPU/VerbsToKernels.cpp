//===- VerbsToKernels.cpp - A kernel for each verb, scheme and shape ------===//
//
//   %y = qtale.matmul %x, %w   -->   %y = qtale.launch @matmul_…(%context)
//                                           ins(%x, %w) outs(%init)
//
// Operands become inputs in their order, the result the output. Two verbs that
// differ in operands only launch one kernel: code does not grow with the depth.
//
//===----------------------------------------------------------------------===//

#include "Kernels.h"
#include "qtale/Codegen/CPU/Passes.h"

#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace qtale;

namespace qtale {
#define GEN_PASS_DEF_VERBSTOKERNELS
#include "qtale/Codegen/CPU/Passes.h.inc"
} // namespace qtale

namespace {

/// A tensor's type as a tensor of its storage.
RankedTensorType storageType(RankedTensorType type) {
  MemRefType buffer = getBufferType(type);
  return RankedTensorType::get(buffer.getShape(), buffer.getElementType());
}

/// How a kernel takes a tensor: rows anywhere, the last dimension dense.
MemRefType argumentType(RankedTensorType type) {
  SmallVector<int64_t> strides(type.getRank(), ShapedType::kDynamic);
  if (!strides.empty())
    strides.back() = 1;
  auto layout =
      StridedLayoutAttr::get(type.getContext(), ShapedType::kDynamic, strides);
  return MemRefType::get(type.getShape(), type.getElementType(), layout);
}

/// A name for a type: "f32", "512x64xf32", "?x80xi8".
std::string spell(Attribute attribute) {
  std::string text;
  llvm::raw_string_ostream(text) << attribute;
  return text;
}

class Launcher {
public:
  Launcher(ModuleOp module, const Level &level)
      : module(module), level(level), symbols(module) {}

  void run(func::FuncOp entry);
  int64_t numKernels = 0;

private:
  using Build = llvm::function_ref<void(KernelBuilder &, ValueRange)>;

  /// Replaces `op` by a launch of the kernel that `build` makes. Its arguments:
  /// the context, `index` where given, the tensor operands, the result. What
  /// `build` depends on besides the types has to be in `op`'s attributes.
  void launch(Operation *op, Value index, Build build);
  func::FuncOp getKernel(Operation *op, ArrayRef<Type> arguments, Build build);
  void lower(Operation *op);

  /// The operand as a tensor of its storage.
  Value stored(Value value) {
    Value known = storage.lookup(value);
    return known ? known : value;
  }
  void lowerParam(ParamOp param);
  Value cacheIndex(OpBuilder &builder, Value cache, Location loc);

  ModuleOp module;
  const Level &level;
  SymbolTable symbols;
  llvm::StringMap<func::FuncOp> kernels;
  DenseMap<Value, Value> storage;
};

//===----------------------------------------------------------------------===//
// Launch and kernel
//===----------------------------------------------------------------------===//

func::FuncOp Launcher::getKernel(Operation *op, ArrayRef<Type> arguments,
                                 Build build) {
  // What makes two kernels one: verb, attributes, storage formats, types.
  std::string key = op->getName().getStringRef().str() +
                    spell(op->getDiscardableAttrDictionary()) +
                    spell(op->getPropertiesAsAttribute());
  SmallVector<Attribute> types;
  for (Type type : op->getOperandTypes())
    types.push_back(TypeAttr::get(type));
  for (Type type : op->getResultTypes())
    types.push_back(TypeAttr::get(type));
  for (Type type : arguments)
    types.push_back(TypeAttr::get(type));
  key += spell(ArrayAttr::get(module.getContext(), types));
  func::FuncOp &kernel = kernels[key];
  if (kernel)
    return kernel;

  ++numKernels;
  OpBuilder top(module.getBodyRegion());
  top.setInsertionPointToEnd(module.getBody());
  Location loc = op->getLoc();
  kernel = func::FuncOp::create(top, loc, op->getName().stripDialect(),
                                top.getFunctionType(arguments, TypeRange()));
  kernel.setPrivate();
  symbols.insert(kernel); // renames on a clash
  KernelBuilder b(loc, module.getContext());
  b.setInsertionPointToStart(kernel.addEntryBlock());
  build(b, kernel.getArguments());
  func::ReturnOp::create(b);
  return kernel;
}

void Launcher::launch(Operation *op, Value index, Build build) {
  ImplicitLocOpBuilder b(op->getLoc(), op);
  auto entry = op->getParentOfType<func::FuncOp>();
  SmallVector<Value> handles = {entry.getArgument(0)}, inputs, outputs;
  if (index)
    handles.push_back(index);
  SmallVector<Type> arguments;
  for (Value handle : handles)
    arguments.push_back(handle.getType());
  for (Value operand : op->getOperands())
    if (isa<RankedTensorType>(operand.getType())) {
      inputs.push_back(stored(operand));
      arguments.push_back(
          argumentType(cast<RankedTensorType>(inputs.back().getType())));
    }

  SmallVector<Type> results;
  if (op->getNumResults()) {
    RankedTensorType type =
        storageType(cast<RankedTensorType>(op->getResult(0).getType()));
    // A row of the result for each row of the first input.
    SmallVector<Value> sizes;
    if (type.isDynamicDim(0))
      sizes.push_back(b.createOrFold<tensor::DimOp>(
          isa<GatherRowsOp>(op) ? inputs[1] : inputs[0], 0));
    outputs.push_back(tensor::EmptyOp::create(b, type, sizes));
    results.push_back(type);
    arguments.push_back(argumentType(type));
  }
  func::FuncOp kernel = getKernel(op, arguments, build);
  auto launch = LaunchOp::create(b, results, kernel.getSymName(), handles,
                                 inputs, outputs);
  if (op->getNumResults()) {
    if (results[0] == op->getResult(0).getType())
      op->getResult(0).replaceAllUsesWith(launch.getResult(0));
    else
      storage[op->getResult(0)] = launch.getResult(0);
  }
}

void Launcher::lowerParam(ParamOp param) {
  ImplicitLocOpBuilder b(param.getLoc(), param);
  auto entry = param->getParentOfType<func::FuncOp>();
  auto weight = SymbolTable::lookupNearestSymbolFrom<WeightOp>(
      module->getParentOp(), param.getWeightAttr());
  RankedTensorType type = param.getType();
  Value address = WeightAddressOp::create(
      b, getBufferType(type), entry.getArgument(0), weight.getOffsetAttr());
  Value tensor = bufferization::ToTensorOp::create(b, storageType(type),
                                                   address, /*restrict=*/true);
  if (tensor.getType() == type)
    param.getResult().replaceAllUsesWith(tensor);
  else
    storage[param.getResult()] = tensor;
}

Value Launcher::cacheIndex(OpBuilder &builder, Value cache, Location loc) {
  auto argument = cast<BlockArgument>(cache);
  int64_t index = 0;
  for (unsigned i = 0; i < argument.getArgNumber(); ++i)
    index += isa<KVCacheType>(argument.getOwner()->getArgument(i).getType());
  return arith::ConstantIndexOp::create(builder, loc, index);
}

//===----------------------------------------------------------------------===//
// Verbs
//===----------------------------------------------------------------------===//

Matrix matrixOf(Value weight) {
  auto type = cast<RankedTensorType>(weight.getType());
  return {cast<PackedAttr>(type.getEncoding()), type.getDimSize(0),
          type.getDimSize(1)};
}

void Launcher::lower(Operation *op) {
  // Arguments after the context, in the order of the operands, then the result.
  llvm::TypeSwitch<Operation *>(op)
      .Case([&](EmbeddingOp embedding) {
        launch(op, {}, [&](KernelBuilder &b, ValueRange args) {
          buildEmbedding(b, args[1], args[2], matrixOf(embedding.getTable()),
                         args[3]);
        });
      })
      .Case([&](GatherRowsOp) {
        launch(op, {}, [&](KernelBuilder &b, ValueRange args) {
          buildGatherRows(b, args[1], args[2], args[3]);
        });
      })
      .Case([&](QuantizeRowsOp quantize) {
        auto format = cast<IntRowsAttr>(quantize.getType().getEncoding());
        launch(op, {}, [&](KernelBuilder &b, ValueRange args) {
          buildQuantizeRows(b, args[1], format, args[2]);
        });
      })
      .Case([&](RMSNormOp norm) {
        launch(op, {}, [&](KernelBuilder &b, ValueRange args) {
          buildRMSNorm(b, args[1], args[2], norm.getEpsilonAttr(), args[3]);
        });
      })
      .Case([&](LayerNormOp norm) {
        launch(op, {}, [&](KernelBuilder &b, ValueRange args) {
          buildLayerNorm(b, args[1], args[2],
                         norm.getBias() ? args[3] : Value(),
                         norm.getEpsilonAttr(), args.back());
        });
      })
      .Case([&](RopeOp rope) {
        RopeShape shape{int64_t(rope.getHeads()), rope.getInterleaved()};
        launch(op, {}, [&](KernelBuilder &b, ValueRange args) {
          buildRope(b, args[1], args[2], args[3], args[4], shape, args[5]);
        });
      })
      .Case([&](MatmulOp matmul) {
        Matrix matrix = matrixOf(matmul.getWeight());
        auto format = dyn_cast_or_null<IntRowsAttr>(
            matmul.getInput().getType().getEncoding());
        launch(op, {}, [&](KernelBuilder &b, ValueRange args) {
          unsigned next = 3;
          Epilogue epilogue;
          if (matmul.getBias())
            epilogue.bias = args[next++];
          if (matmul.getResidual())
            epilogue.residual = args[next++];
          epilogue.out = args[next];
          if (matrix.packed.getScheme())
            buildIntMatmul(b, level, args[1], format, args[2], matrix,
                           epilogue);
          else
            buildFloatMatmul(b, level, args[1], args[2], matrix, epilogue);
        });
      })
      .Case([&](KVAppendOp append) {
        OpBuilder builder(op);
        Value index = cacheIndex(builder, append.getCache(), op->getLoc());
        launch(op, index, [&](KernelBuilder &b, ValueRange args) {
          CacheHandle cache{args[0], args[1], append.getCache().getType()};
          buildKVAppend(b, cache, args[2], args[3], args[4], args[5]);
        });
      })
      .Case([&](AttentionOp attention) {
        OpBuilder builder(op);
        Value index = cacheIndex(builder, attention.getCache(), op->getLoc());
        launch(op, index, [&](KernelBuilder &b, ValueRange args) {
          CacheHandle cache{args[0], args[1], attention.getCache().getType()};
          AttentionShape shape{int64_t(attention.getHeads()),
                               attention.getScaleAttr(),
                               attention.getSoftcapAttr()};
          buildAttention(b, cache, args[2], args[3], args[4], shape, args[5]);
        });
      })
      .Case([&](ParamOp param) { lowerParam(param); });
}

void Launcher::run(func::FuncOp entry) {
  SmallVector<Operation *> verbs;
  entry.walk([&](Operation *op) {
    if (isa<QTaleDialect>(op->getDialect()) && !isa<LaunchOp>(op))
      verbs.push_back(op);
  });
  for (Operation *op : verbs)
    lower(op);
  for (Operation *op : llvm::reverse(verbs))
    op->erase();

  // Kernels know a cache by its number.
  llvm::BitVector caches(entry.getNumArguments());
  for (BlockArgument argument : entry.getArguments())
    if (isa<KVCacheType>(argument.getType()))
      caches.set(argument.getArgNumber());
  (void)entry.eraseArguments(caches);
  storage.clear();
}

struct VerbsToKernels : qtale::impl::VerbsToKernelsBase<VerbsToKernels> {
  using Base::Base;

  void getDependentDialects(DialectRegistry &registry) const override {
    Base::getDependentDialects(registry);
    registry.insert<bufferization::BufferizationDialect>();
  }

  void runOnOperation() override {
    ModuleOp module = getOperation();
    const Level *level = getLevel(module);
    if (!level) {
      module.emitError("needs a module named after a CPU level");
      return signalPassFailure();
    }
    Launcher launcher(module, *level);
    for (auto entry : llvm::make_early_inc_range(module.getOps<func::FuncOp>()))
      if (!entry.isExternal() && entry.getNumArguments() &&
          isa<ContextType>(entry.getArgumentTypes().front()) &&
          entry.isPublic())
        launcher.run(entry);
    numKernels = launcher.numKernels;
  }
};
} // namespace
