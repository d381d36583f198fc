//===- Import.cpp - ONNX models as modules of the stage `imported` --------===//
//
//   read ─ resolve data ─ normalize ─ @main ─ @step ─ what stands beside it
//
//===----------------------------------------------------------------------===//

#include "qtale/Import/Onnx/Import.h"
#include "Entries.h"
#include "Model.h"
#include "qtale/Support/Json.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/ControlFlow/IR/ControlFlowOps.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/Verifier.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"

using namespace llvm;
using namespace mlir;
using namespace qtale;
using namespace qtale::onnx_import;

/// Beginning and end of a sequence, from generation_config.json.
static LogicalResult readGenerationConfig(const Model &model, ModuleOp module) {
  SmallString<128> path(model.folder);
  sys::path::append(path, "generation_config.json");
  if (!sys::fs::exists(path))
    return success();
  Location loc = FileLineColLoc::get(module.getContext(), path, 0, 0);
  auto buffer = MemoryBuffer::getFile(path);
  if (!buffer)
    return emitError(loc) << "can't be read: " << buffer.getError().message();
  if (isJsonTooDeep((*buffer)->getBuffer()))
    return emitError(loc) << "has lists and objects more than " << maxJsonDepth
                          << " deep; is this a generation_config.json?";
  Expected<json::Value> parsed = json::parse((*buffer)->getBuffer());
  if (!parsed)
    return emitError(loc) << "is not JSON: " << toString(parsed.takeError());
  const json::Object *object = parsed->getAsObject();
  if (!object)
    return emitError(loc) << "is not a JSON object";
  OpBuilder b(module.getContext());
  auto isAbsent = [](const json::Value *value) {
    return !value || value->kind() == json::Value::Null;
  };
  const json::Value *bos = object->get("bos_token_id");
  if (!isAbsent(bos)) {
    std::optional<int64_t> id = bos->getAsInteger();
    if (!id || *id < 0)
      return emitError(loc) << "bos_token_id is not a token";
    module->setAttr(attr::bos, b.getI64IntegerAttr(*id));
  }
  const json::Value *eos = object->get("eos_token_id");
  if (!isAbsent(eos)) {
    SmallVector<int64_t> ids;
    json::Array one{*eos};
    const json::Array *list = eos->getAsArray();
    for (const json::Value &value : list ? *list : one) {
      std::optional<int64_t> id = value.getAsInteger();
      if (!id || *id < 0)
        return emitError(loc) << "eos_token_id is neither a token nor a list "
                                 "of tokens";
      ids.push_back(*id);
    }
    module->setAttr(attr::eos, b.getI64ArrayAttr(ids));
  }
  return success();
}

OwningOpRef<ModuleOp> qtale::importOnnx(StringRef path, MLIRContext *context) {
  context->loadDialect<QTaleDialect, func::FuncDialect, linalg::LinalgDialect,
                       tensor::TensorDialect, arith::ArithDialect,
                       math::MathDialect, scf::SCFDialect,
                       cf::ControlFlowDialect>();
  Model model;
  if (failed(readModel(path, context, model)) ||
      failed(resolveData(context, model)) ||
      failed(normalizeModel(context, model)))
    return {};

  OwningOpRef<ModuleOp> module = ModuleOp::create(model.loc(context));
  OpBuilder b(context);
  (*module)->setAttr(attr::stage, b.getStringAttr("imported"));
  Weights weights(*module);
  Branches taken;
  if (failed(buildMain(model, *module, weights, taken)))
    return {};
  takeBranches(*model.proto.mutable_graph(), taken);
  buildStep(model, *module, weights);
  weights.eraseUnused();

  if (failed(readGenerationConfig(model, *module)))
    return {};
  SmallString<128> tokenizer(model.folder);
  sys::path::append(tokenizer, "tokenizer.json");
  if (sys::fs::exists(tokenizer))
    (*module)->setAttr(attr::tokenizer, b.getStringAttr("tokenizer.json"));
  if (failed(verify(*module)))
    return {};
  return module;
}
