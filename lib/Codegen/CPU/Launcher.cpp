//===- Launcher.cpp - Replaces verbs by launches of kernels ---------------===//

#include "Launcher.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace qtale;

/// A tensor's type as a tensor of its storage.
static RankedTensorType storageType(RankedTensorType type) {
  MemRefType buffer = getBufferType(type);
  return RankedTensorType::get(buffer.getShape(), buffer.getElementType());
}

/// How a kernel takes a tensor: rows anywhere, the last dimension dense.
static MemRefType argumentType(RankedTensorType type) {
  SmallVector<int64_t> strides(type.getRank(), ShapedType::kDynamic);
  if (!strides.empty())
    strides.back() = 1;
  auto layout =
      StridedLayoutAttr::get(type.getContext(), ShapedType::kDynamic, strides);
  return MemRefType::get(type.getShape(), type.getElementType(), layout);
}

static std::string spell(Attribute attribute) {
  std::string text;
  llvm::raw_string_ostream(text) << attribute;
  return text;
}

/// An operation's attributes, but for the number of its unit, which kernels
/// take as an argument.
static std::string spellAttributes(Operation *op) {
  NamedAttrList attributes(op->getDiscardableAttrDictionary());
  if (auto properties =
          dyn_cast_or_null<DictionaryAttr>(op->getPropertiesAsAttribute()))
    attributes.append(properties.getValue());
  if (isa<KeepOp, RecordOp>(op))
    attributes.erase("unit");
  return spell(attributes.getDictionary(op->getContext()));
}

/// The function of a fused matmul: its operations, with numbers for values.
static std::string spellRegions(Operation *op) {
  std::string text;
  llvm::raw_string_ostream os(text);
  DenseMap<Value, unsigned> numbers;
  for (Region &region : op->getRegions())
    region.walk([&](Block *block) {
      for (BlockArgument argument : block->getArguments())
        numbers.try_emplace(argument, numbers.size());
      for (Operation &inner : *block) {
        os << inner.getName() << spellAttributes(&inner);
        for (Value operand : inner.getOperands())
          os << ' ' << numbers.lookup(operand);
        for (Value result : inner.getResults()) {
          numbers.try_emplace(result, numbers.size());
          os << ' ' << result.getType();
        }
        os << ';';
      }
    });
  return text;
}

func::FuncOp Launcher::getKernel(Operation *op, ArrayRef<Type> arguments,
                                 Build build) {
  // What makes two kernels one: verb, attributes, function, storage formats,
  // types.
  std::string key = op->getName().getStringRef().str() + spellAttributes(op) +
                    spellRegions(op);
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
  // Inlined, small kernels would be written again in every layer.
  kernel.setNoInline(true);
  symbols.insert(kernel); // renames on a clash
  KernelBuilder b(loc, module.getContext());
  b.setInsertionPointToStart(kernel.addEntryBlock());
  build(b, kernel.getArguments());
  func::ReturnOp::create(b);
  return kernel;
}

LaunchOp Launcher::launch(Operation *op, const LaunchExtras &extras,
                          Build build) {
  ImplicitLocOpBuilder b(op->getLoc(), op);
  auto entry = op->getParentOfType<func::FuncOp>();
  SmallVector<Value> handles = {entry.getArgument(0)}, inputs, outputs;
  llvm::append_range(handles, extras.numbers);
  for (OpOperand &operand : op->getOpOperands())
    if (isa<RankedTensorType>(operand.get().getType()) &&
        &operand != extras.updated)
      inputs.push_back(stored(operand.get()));

  auto makeOutput = [&](RankedTensorType type) {
    // A row for each row of the first input.
    SmallVector<Value> sizes;
    if (type.isDynamicDim(0))
      sizes.push_back(b.createOrFold<tensor::DimOp>(
          isa<GatherRowsOp>(op) ? inputs[1] : inputs[0], 0));
    outputs.push_back(tensor::EmptyOp::create(b, type, sizes));
  };
  if (extras.updated)
    outputs.push_back(extras.updated->get());
  else
    for (Type type : op->getResultTypes())
      makeOutput(storageType(cast<RankedTensorType>(type)));
  for (RankedTensorType type : extras.scratch)
    makeOutput(type);

  SmallVector<Type> arguments;
  for (Value handle : handles)
    arguments.push_back(handle.getType());
  for (ArrayRef<Value> tensors : {ArrayRef(inputs), ArrayRef(outputs)})
    for (Value tensor : tensors)
      arguments.push_back(
          argumentType(cast<RankedTensorType>(tensor.getType())));
  func::FuncOp kernel = getKernel(op, arguments, build);
  auto launch = LaunchOp::create(b, ValueRange(outputs).getTypes(),
                                 kernel.getSymName(), handles, inputs, outputs);
  launch.setUpdate(extras.updated != nullptr);
  for (OpResult result : op->getResults()) {
    Value made = launch.getResult(result.getResultNumber());
    if (made.getType() == result.getType())
      result.replaceAllUsesWith(made);
    else
      storage[result] = made;
  }
  return launch;
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

Value Launcher::numberOf(OpBuilder &builder, Value cache, Location loc) {
  auto argument = cast<BlockArgument>(cache);
  int64_t number = 0;
  for (unsigned i = 0; i < argument.getArgNumber(); ++i)
    number += isa<KVCacheType>(argument.getOwner()->getArgument(i).getType());
  return arith::ConstantIndexOp::create(builder, loc, number);
}

void Launcher::run(func::FuncOp entry) {
  SmallVector<Operation *> verbs;
  entry.walk([&](Operation *op) {
    if (isa_and_nonnull<QTaleDialect>(op->getDialect()) &&
        !isa<LaunchOp, YieldOp>(op))
      verbs.push_back(op);
  });
  for (Operation *op : verbs) {
    if (auto param = dyn_cast<ParamOp>(op))
      lowerParam(param);
    else if (!lowerRoutingVerb(*this, op))
      lower(op);
  }
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
