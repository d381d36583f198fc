//===- Descriptor.cpp - What the runtime knows of a model -----------------===//
//
//   qtale_module_descriptor ─▶ levels ─▶ entries (other objects), operations
//                           ─▶ ports, JSON, hash, tokenizer: constants
//                           ─▶ calibration: empty, filled in the file later
//
// The structs of ModuleABI.h, field by field, as LLVM constants.
//
//===----------------------------------------------------------------------===//

#include "Descriptor.h"

#include "qtale/Dialect/QTale/IR/QTale.h"
#include "qtale/Runtime/ModuleABI.h"
#include "qtale/Runtime/TokenizerTables.h"
#include "qtale/Runtime/qtale.h"
#include "qtale/Target/Tokenizer.h"

#include "llvm/ADT/StringSwitch.h"
#include "llvm/IR/Constants.h"
#include "llvm/IR/LLVMContext.h"
#include "llvm/IR/Module.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/Path.h"
#include <cstring>

using namespace mlir;
using namespace qtale;
using llvm::Constant;
using llvm::StringRef;

// The fields that are written below, and no others.
static_assert(sizeof(qtale_level) == 8 * 8);
static_assert(sizeof(qtale_marked) == 5 * 8);
static_assert(sizeof(qtale_port) == 3 * 8);
static_assert(sizeof(qtale_module) == 27 * 8);
static_assert(sizeof(qtale_calibration) ==
              32 + 4 * 4 + 4 * QTALE_CALIBRATION_ENTRIES);

namespace {

/// Constants of one LLVM module.
class Constants {
public:
  Constants(llvm::Module &module) : module(module) {}

  Constant *i64(int64_t value) {
    return llvm::ConstantInt::get(type<int64_t>(), value, /*IsSigned=*/true);
  }
  Constant *i32(int32_t value) {
    return llvm::ConstantInt::get(type<int32_t>(), value, /*IsSigned=*/true);
  }
  Constant *null() { return llvm::ConstantPointerNull::get(pointer()); }

  /// A function of another object; null where the name is empty.
  Constant *function(StringRef name) {
    if (name.empty())
      return null();
    auto *signature = llvm::FunctionType::get(
        llvm::Type::getVoidTy(module.getContext()), false);
    auto *declared = llvm::cast<llvm::Function>(
        module.getOrInsertFunction(name, signature).getCallee());
    declared->setVisibility(llvm::GlobalValue::HiddenVisibility);
    return declared;
  }
  Constant *text(StringRef value) {
    return global(
        llvm::ConstantDataArray::getString(module.getContext(), value), 1);
  }
  template <typename T> Constant *array(llvm::ArrayRef<T> values) {
    if (values.empty())
      return null();
    return global(llvm::ConstantDataArray::get(module.getContext(), values),
                  alignof(T));
  }
  Constant *record(llvm::ArrayRef<Constant *> fields) {
    return llvm::ConstantStruct::getAnon(module.getContext(), fields);
  }
  Constant *records(llvm::ArrayRef<Constant *> values) {
    if (values.empty())
      return null();
    return global(
        llvm::ConstantArray::get(
            llvm::ArrayType::get(values[0]->getType(), values.size()), values),
        8);
  }
  /// Bytes that may be other ones in the file that is run.
  Constant *writable(llvm::ArrayRef<uint8_t> bytes, uint64_t align) {
    auto *variable = llvm::cast<llvm::GlobalVariable>(array(bytes));
    variable->setConstant(false);
    variable->setUnnamedAddr(llvm::GlobalValue::UnnamedAddr::None);
    variable->setAlignment(llvm::Align(align));
    return variable;
  }
  void define(StringRef name, Constant *value) {
    auto *variable = new llvm::GlobalVariable(
        module, value->getType(), /*isConstant=*/true,
        llvm::GlobalValue::ExternalLinkage, value, name);
    variable->setVisibility(llvm::GlobalValue::HiddenVisibility);
    variable->setAlignment(llvm::Align(8));
  }

private:
  template <typename T> llvm::Type *type() {
    return llvm::IntegerType::get(module.getContext(), 8 * sizeof(T));
  }
  llvm::PointerType *pointer() {
    return llvm::PointerType::get(module.getContext(), 0);
  }
  Constant *global(Constant *value, uint64_t align) {
    auto *variable =
        new llvm::GlobalVariable(module, value->getType(), /*isConstant=*/true,
                                 llvm::GlobalValue::PrivateLinkage, value);
    variable->setAlignment(llvm::Align(align));
    variable->setUnnamedAddr(llvm::GlobalValue::UnnamedAddr::Global);
    return variable;
  }

  llvm::Module &module;
};

} // namespace

/// qtale_dtype of NumPy's name; 0: there is none.
static int32_t getDtype(StringRef name) {
  return llvm::StringSwitch<int32_t>(name)
      .Case("bool", QTALE_BOOL)
      .Case("int8", QTALE_INT8)
      .Case("uint8", QTALE_UINT8)
      .Case("int16", QTALE_INT16)
      .Case("uint16", QTALE_UINT16)
      .Case("int32", QTALE_INT32)
      .Case("uint32", QTALE_UINT32)
      .Case("int64", QTALE_INT64)
      .Case("uint64", QTALE_UINT64)
      .Case("float16", QTALE_FLOAT16)
      .Case("bfloat16", QTALE_BFLOAT16)
      .Case("float32", QTALE_FLOAT32)
      .Case("float64", QTALE_FLOAT64)
      .Case("float8_e4m3fn", QTALE_FLOAT8_E4M3FN)
      .Case("float8_e4m3fnuz", QTALE_FLOAT8_E4M3FNUZ)
      .Case("float8_e5m2", QTALE_FLOAT8_E5M2)
      .Case("float8_e5m2fnuz", QTALE_FLOAT8_E5M2FNUZ)
      .Case("float8_e8m0fnu", QTALE_FLOAT8_E8M0FNU)
      .Case("float6_e2m3fn", QTALE_FLOAT6_E2M3FN)
      .Case("float6_e3m2fn", QTALE_FLOAT6_E3M2FN)
      .Case("float4_e2m1fn", QTALE_FLOAT4_E2M1FN)
      .Case("int4", QTALE_INT4)
      .Case("uint4", QTALE_UINT4)
      .Case("int2", QTALE_INT2)
      .Case("uint2", QTALE_UINT2)
      .Default(0);
}

static LogicalResult readPorts(ModuleOp module, StringRef name,
                               SmallVectorImpl<DictionaryAttr> &ports) {
  auto list = module->getAttrOfType<ArrayAttr>(name);
  for (Attribute entry : list ? list.getValue() : ArrayRef<Attribute>()) {
    auto port = dyn_cast<DictionaryAttr>(entry);
    auto label = port ? port.getAs<StringAttr>("name") : StringAttr();
    auto dtype = port ? port.getAs<StringAttr>("dtype") : StringAttr();
    auto shape =
        port ? port.getAs<DenseI64ArrayAttr>("shape") : DenseI64ArrayAttr();
    if (!label || !dtype || !shape || !getDtype(dtype.getValue()) ||
        !llvm::json::isUTF8(label.getValue()))
      return emitError(module.getLoc(), name)
             << " must be dictionaries of name (UTF-8), dtype (NumPy's) "
                "and shape, but has "
             << entry;
    if (shape.size() > QTALE_MAX_RANK)
      return emitError(module.getLoc(), "'")
             << label.getValue() << "' has " << shape.size()
             << " dimensions; artifacts have at most " << QTALE_MAX_RANK;
    ports.push_back(port);
  }
  return success();
}

static LogicalResult readInteger(ModuleOp module, StringRef name,
                                 int64_t &value, bool required) {
  Attribute attribute = module->getAttr(name);
  auto integer = dyn_cast_or_null<IntegerAttr>(attribute);
  if (integer)
    value = integer.getInt();
  if (integer || (!attribute && !required))
    return success();
  return emitError(module.getLoc(), "a module with sessions needs the integer ")
         << name;
}

static LogicalResult readEos(ModuleOp module, SmallVectorImpl<int64_t> &eos) {
  Attribute attribute = module->getAttr("qtale.eos");
  if (auto ids = dyn_cast_or_null<DenseI64ArrayAttr>(attribute)) {
    llvm::append_range(eos, ids.asArrayRef());
    return success();
  }
  auto list = dyn_cast_or_null<ArrayAttr>(attribute);
  for (Attribute id : list ? list.getValue() : ArrayRef<Attribute>())
    if (auto integer = dyn_cast<IntegerAttr>(id))
      eos.push_back(integer.getInt());
  if (attribute && (!list || eos.size() != list.size()))
    return emitError(module.getLoc(),
                     "qtale.eos must be an array of integers, but is ")
           << attribute;
  return success();
}

static LogicalResult readCaches(ModuleOp module, bool required,
                                SmallVectorImpl<uint64_t> &blockBytes,
                                SmallVectorImpl<uint8_t> &ragged) {
  auto caches = module->getAttrOfType<ArrayAttr>("qtale.caches");
  if (required && !caches)
    return emitError(module.getLoc(),
                     "a module with sessions needs qtale.caches");
  for (Attribute entry : caches ? caches.getValue() : ArrayRef<Attribute>()) {
    auto type = dyn_cast<TypeAttr>(entry);
    auto cache = type ? dyn_cast<KVCacheType>(type.getValue()) : KVCacheType();
    if (!cache)
      return emitError(module.getLoc(),
                       "qtale.caches must be types of caches, but has ")
             << entry;
    blockBytes.push_back(cache.getBlockBytes());
    ragged.push_back(cache.getRagged());
  }
  return success();
}

static LogicalResult readTokenizer(ModuleOp module, StringRef sourceFolder,
                                   std::vector<uint8_t> &tokenizer) {
  auto path = module->getAttrOfType<StringAttr>("qtale.tokenizer");
  if (!path)
    return success();
  llvm::SmallString<128> file(path.getValue());
  if (llvm::sys::path::is_relative(file)) {
    file = sourceFolder;
    llvm::sys::path::append(file, path.getValue());
  }
  llvm::Expected<std::vector<uint8_t>> tables = buildTokenizerTables(file);
  if (!tables)
    return emitError(module.getLoc(), toString(tables.takeError()));
  tokenizer = std::move(*tables);
  return success();
}

/// What its tokenizer puts before a text, whatever the model's settings name as
/// BOS: -1 if nothing.
static int64_t beginOfText(llvm::ArrayRef<uint8_t> tables) {
  tokenizer::Header header;
  memcpy(&header, tables.data(), sizeof(header));
  bool begins = header.flags & tokenizer::kBeginsWithBos &&
                header.bos != tokenizer::kNone;
  return begins ? int64_t(header.bos) : -1;
}

FailureOr<Description>
qtale::readDescription(ModuleOp module, llvm::ArrayRef<LevelObject> levels,
                       StringRef sourceFolder) {
  Description read;
  read.hasSession = llvm::all_of(levels, [](const LevelObject &level) {
    return !level.step.empty() && !level.stepScratch.empty();
  });
  if (failed(readPorts(module, "qtale.inputs", read.inputs)) ||
      failed(readPorts(module, "qtale.outputs", read.outputs)) ||
      failed(
          readCaches(module, read.hasSession, read.blockBytes, read.ragged)) ||
      failed(readInteger(module, "qtale.vocab", read.vocab, read.hasSession)) ||
      failed(readInteger(module, "qtale.context", read.context,
                         read.hasSession)) ||
      failed(readInteger(module, "qtale.bos", read.bos, false)) ||
      failed(readEos(module, read.eos)) ||
      failed(readTokenizer(module, sourceFolder, read.tokenizer)))
    return failure();
  if (!read.tokenizer.empty())
    read.bos = beginOfText(read.tokenizer);
  FailureOr<std::optional<Routing>> routing = readRouting(module);
  if (failed(routing))
    return failure();
  read.routing = std::move(*routing);
  for (auto level : module.getOps<ModuleOp>()) {
    FailureOr<OperationTable> operations = readOperations(level);
    if (failed(operations))
      return failure();
    read.operations.push_back(std::move(*operations));
  }
  return read;
}

static Constant *buildPorts(Constants &build,
                            llvm::ArrayRef<DictionaryAttr> ports) {
  SmallVector<Constant *> records;
  for (DictionaryAttr port : ports) {
    ArrayRef<int64_t> shape =
        port.getAs<DenseI64ArrayAttr>("shape").asArrayRef();
    SmallVector<uint64_t> dims(shape.begin(), shape.end());
    records.push_back(build.record(
        {build.text(port.getAs<StringAttr>("name").getValue()),
         build.i32(getDtype(port.getAs<StringAttr>("dtype").getValue())),
         build.i32(shape.size()), build.array(llvm::ArrayRef(dims))}));
  }
  return build.records(records);
}

static Constant *buildLevels(Constants &build,
                             llvm::ArrayRef<LevelObject> levels,
                             llvm::ArrayRef<OperationTable> operations) {
  SmallVector<Constant *> records;
  // Levels mostly differ in their instructions alone, and share a table.
  llvm::DenseMap<Attribute, std::pair<Constant *, Constant *>> tables;
  for (auto [level, table] : llvm::zip_equal(levels, operations)) {
    auto [known, isNew] = tables.try_emplace(table.source);
    if (isNew) {
      SmallVector<uint64_t> words(table.marked.size() * sizeof(qtale_marked) /
                                  sizeof(uint64_t));
      if (!words.empty())
        memcpy(words.data(), table.marked.data(),
               words.size() * sizeof(uint64_t));
      known->second = {build.array<uint64_t>(words),
                       build.array<uint8_t>(table.names)};
    }
    records.push_back(build.record({
        build.text(level.name),
        build.text(level.features),
        build.function(level.main),
        build.function(level.step),
        build.function(level.stepScratch),
        build.i64(table.marked.size()),
        known->second.first,
        known->second.second,
    }));
  }
  return build.records(records);
}

/// A table without entries: qtale_calibration, and room for the thresholds.
static Constant *buildCalibration(Constants &build, uint32_t units) {
  qtale_calibration table = {};
  llvm::StringRef magic = "qtale routing calibration table";
  static_assert(sizeof(table.magic) == 32);
  llvm::copy(magic, table.magic);
  table.capacity = QTALE_CALIBRATION_ENTRIES;
  table.units = units;
  SmallVector<uint8_t> bytes(sizeof(table) +
                             sizeof(float) * table.capacity * units);
  memcpy(bytes.data(), &table, sizeof(table));
  return build.writable(bytes, alignof(qtale_calibration));
}

/// The last fields of qtale_module.
static SmallVector<Constant *> buildRouting(Constants &build,
                                            const Description &description) {
  SmallVector<Constant *> fields = {build.array<uint8_t>(description.ragged)};
  if (!description.routing) {
    fields.append({build.i64(0), build.i64(0), build.null(), build.i64(0),
                   build.null(), build.null()});
    return fields;
  }
  const Routing &routing = *description.routing;
  SmallVector<float> thresholds(routing.routed.size(), routing.threshold);
  fields.append({build.i64(routing.layers), build.i64(routing.units),
                 build.array<uint8_t>(routing.routed),
                 build.i64(routing.always), build.array<float>(thresholds),
                 buildCalibration(build, routing.routed.size())});
  return fields;
}

llvm::Expected<llvm::SmallVector<char, 0>>
qtale::emitDescriptor(ModuleOp module, const Description &description,
                      llvm::ArrayRef<LevelObject> levels,
                      const WeightsFileInfo &weights) {
  auto machine = makeMachine(getTargetTriple(module), "", "");
  if (!machine)
    return machine.takeError();
  llvm::LLVMContext context;
  llvm::Module object("descriptor", context);
  object.setTargetTriple((*machine)->getTargetTriple());
  object.setDataLayout((*machine)->createDataLayout());
  Constants build(object);
  SmallVector<uint64_t> eos(description.eos.begin(), description.eos.end());
  llvm::ArrayRef<uint8_t> tokenizer = description.tokenizer;
  SmallVector<Constant *> fields = {
      build.i64(levels.size()),
      buildLevels(build, levels, description.operations),
      build.i64(description.inputs.size()),
      buildPorts(build, description.inputs),
      build.i64(description.outputs.size()),
      buildPorts(build, description.outputs),
      build.text(buildInfo(module, description, weights)),
      build.text(weights.fileName),
      build.i64(weights.bytes),
      build.i64(weights.headerBytes),
      build.array<uint8_t>(weights.headerHash),
      build.array(tokenizer),
      build.i64(tokenizer.size()),
      build.i64(description.blockBytes.size()),
      build.array<uint64_t>(description.blockBytes),
      build.i64(description.vocab),
      build.i64(description.context),
      build.i64(description.bos),
      build.i64(eos.size()),
      build.array<uint64_t>(eos),
  };
  fields.append(buildRouting(build, description));
  build.define("qtale_module_descriptor", build.record(fields));
  return emitObject(object, **machine);
}
