//===- StepEntry.cpp - @step: rows are tokens -----------------------------===//
//
//   tokens, sequences, positions, rows, caches  ->  logits of the wanted rows
//
//           ┌ all rows ┐   ┌ wanted rows ┐
//   tokens ─ layers … ─ last attention ═ gather_rows ═ last FFN ─ head ─ logits
//
// The graph is read backwards from `logits`. What an Attention needs is built
// for all rows, the rest for the wanted ones. A batch of sequences is rows
// too, so ONNX's [B, S, …] is stored as [rows, …]: see RowLayout.
//
// Masks are not read: that a token sees the earlier ones of its sequence is
// what `qtale.attention` means. So a mask must be known to say just this: the
// result of ai.qtale::CausalMask, or none with is_causal.
//
//===----------------------------------------------------------------------===//

#include "Entries.h"
#include "NodeTable.h"
#include "StepNode.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "llvm/ADT/StringSet.h"

using namespace llvm;
using namespace mlir;
using namespace qtale;
using namespace qtale::onnx_import;

namespace {

class StepBuilder {
public:
  StepBuilder(const Model &model, ModuleOp module, Weights &weights)
      : model(model), graph(model.proto.graph()), module(module),
        b(OpBuilder::atBlockEnd(module.getBody())), g(b, model, weights) {
    g.giveUp = &reason;
    g.loc = model.loc(b.getContext());
    for (const auto &info : graph.input())
      inputs[info.name()] = &info;
  }

  /// Whether the graph claims to be a language model.
  bool isLanguageModel() {
    return inputs.count("input_ids") &&
           llvm::any_of(graph.output(), [](const auto &info) {
             return info.name() == "logits";
           });
  }

  LogicalResult build() {
    if (failed(findNeeded()) || failed(declare()))
      return failure();
    for (const onnx::NodeProto &node : graph.node())
      if (isNeeded(node, needed)) {
        if (failed(buildNode(node))) {
          failedAt = &node;
          return failure();
        }
      }
    return finish();
  }

  void explain() {
    if (function)
      function.erase();
    std::string why = reason.value_or("its structure is not known");
    Location loc = model.loc(b.getContext());
    std::string node;
    if (failedAt) {
      loc = model.loc(b.getContext(), *failedAt);
      why = failedAt->op_type() + " " + why;
      node = "'" + nodeName(*failedAt) + "': ";
    }
    emitWarning(loc) << "the model has no session, only `main`: " << why;
    why = node + why;
    module->setAttr("qtale.no_session", b.getStringAttr(why));
  }

  std::optional<int64_t> cosRows;

private:
  LogicalResult fail(const Twine &message) {
    if (!reason)
      reason = message.str();
    return failure();
  }

  //===- What is needed ---------------------------------------------------===//

  static bool isNeeded(const onnx::NodeProto &node,
                       const llvm::StringSet<> &set) {
    return llvm::any_of(node.output(), [&](const std::string &name) {
      return !name.empty() && set.contains(name);
    });
  }

  /// Values that stand for themselves: their producers are not looked at.
  bool isGiven(StringRef name) const {
    return inputs.count(name) || model.verbs.count(name);
  }

  void need(const onnx::NodeProto &node, llvm::StringSet<> &set) {
    bool attention = node.op_type() == "Attention";
    for (auto [i, name] : llvm::enumerate(node.input()))
      if (!name.empty() && !(attention && i >= 3) && !isGiven(name))
        set.insert(name);
  }

  LogicalResult findNeeded() {
    needed.insert("logits");
    for (int i = graph.node_size() - 1; i >= 0; --i) {
      const onnx::NodeProto &node = graph.node(i);
      if (isNeeded(node, forAttention))
        need(node, forAttention);
      if (!isNeeded(node, needed))
        continue;
      need(node, needed);
      if (node.op_type() == "Attention") {
        need(node, forAttention);
        attentions.insert(attentions.begin(), &node);
      }
    }
    return success();
  }

  //===- Arguments --------------------------------------------------------===//

  static StringRef inputOf(const onnx::NodeProto &node, int i) {
    return i < node.input_size() ? StringRef(node.input(i)) : StringRef();
  }

  /// The node's mask says nothing but that tokens see the earlier ones.
  LogicalResult checkMask(const onnx::NodeProto &node) {
    StringRef mask = inputOf(node, 3);
    if (mask.empty()) {
      for (const auto &attribute : node.attribute())
        if (attribute.name() == "is_causal" && attribute.i())
          return success();
      return fail("has no mask and is not causal");
    }
    auto verb = model.verbs.find(mask);
    if (verb == model.verbs.end() || verb->second.verb != "CausalMask" ||
        verb->second.result != 1 || verb->second.inputs.size() != 2 ||
        verb->second.inputs[0] != "input_ids" ||
        verb->second.inputs[1] != "attention_mask")
      return fail("has a mask that is not the one of ai.qtale::CausalMask");
    return success();
  }

  LogicalResult cacheType(const onnx::NodeProto &node, Type &type) {
    StringRef past[2];
    for (int i : {0, 1}) {
      past[i] = inputOf(node, 4 + i);
      if (past[i].empty() || !inputs.count(past[i]))
        return fail("has no past keys and values among the model's inputs");
      if (!taken.insert(past[i]).second)
        return fail("shares its past with another node");
    }
    if (!inputOf(node, 6).empty())
      return fail("has lengths of its own (nonpad_kv_seqlen)");
    int64_t sizes[2][2];
    for (int i : {0, 1}) {
      const auto &shape = inputs[past[i]]->type().tensor_type().shape();
      if (shape.dim_size() != 4 || !shape.dim(1).has_dim_value() ||
          !shape.dim(3).has_dim_value() || shape.dim(1).dim_value() <= 0 ||
          shape.dim(3).dim_value() <= 0)
        return fail("has a past whose heads or head size are not numbers");
      sizes[i][0] = shape.dim(1).dim_value();
      sizes[i][1] = shape.dim(3).dim_value();
    }
    if (sizes[0][0] != sizes[1][0] || sizes[0][1] != sizes[1][1])
      return fail("has keys and values of different sizes");
    type = KVCacheType::get(b.getContext(), sizes[0][0], sizes[0][1],
                            b.getF32Type());
    return success();
  }

  LogicalResult declare() {
    auto rows = RankedTensorType::get({ShapedType::kDynamic}, b.getI32Type());
    SmallVector<Type> types(4, rows);
    SmallVector<std::string> names{"tokens", "sequences", "positions", "rows"};
    for (const onnx::NodeProto *node : attentions) {
      Type type;
      if (failed(checkMask(*node)) || failed(cacheType(*node, type))) {
        failedAt = node;
        return failure();
      }
      types.push_back(type);
      names.push_back("cache" + std::to_string(names.size() - 4));
    }
    function =
        func::FuncOp::create(b, g.loc, "step", b.getFunctionType(types, {}));
    for (auto [i, name] : llvm::enumerate(names))
      function.setArgAttr(i, attr::name, b.getStringAttr(name));
    b.setInsertionPointToStart(function.addEntryBlock());

    step.tokens = function.getArgument(0);
    step.sequences = function.getArgument(1);
    step.positions = function.getArgument(2);
    wanted = function.getArgument(3);
    step.count = tensor::DimOp::create(b, g.loc, step.tokens, 0);
    Value wantedCount = tensor::DimOp::create(b, g.loc, wanted, 0);
    g.math.markNonNegative(step.count);
    g.math.markNonNegative(wantedCount);
    wantedRows = wantedCount;
    for (auto [i, node] : llvm::enumerate(attentions))
      caches[node] = function.getArgument(4 + i);

    auto known = initializers(model, g);
    if (failed(known))
      return fail("its initializers can't be read");
    all = std::move(*known);
    auto ids = [&](StringRef name, Value value) {
      Term term =
          g.make(onnx::TensorProto::INT64, value, {OpFoldResult(step.count)});
      term.rows = RowLayout{2, 1, true};
      all[name] = term;
    };
    ids("input_ids", step.tokens);
    if (inputs.count("position_ids"))
      ids("position_ids", step.positions);
    for (const auto &verb : model.verbs)
      if (verb.second.verb == "CausalMask" && verb.second.result == 0)
        ids(verb.first(), step.positions);
    return success();
  }

  //===- Nodes ------------------------------------------------------------===//

  /// A term of all rows, as one of the wanted rows.
  FailureOr<Term *> pick(StringRef name, Term &term) {
    auto found = picked.find(name);
    if (found != picked.end())
      return &found->second;
    OpFoldResult width = g.math.product(ArrayRef(term.dims).drop_front());
    Dims matrix{term.dims[0], width}, result{wantedRows, width};
    Value rows = g.reshape(g.tensor(term), term.dims, matrix);
    rows = g.castFloat(rows, matrix, b.getF32Type());
    auto type = RankedTensorType::get(staticShape(result), b.getF32Type());
    rows = GatherRowsOp::create(b, g.loc, type, rows, wanted);
    rows = g.castFloat(rows, result, elementType(b.getContext(), term.dtype));
    Dims dims(term.dims);
    dims[0] = wantedRows;
    Term copy = g.make(term.dtype, g.reshape(rows, result, dims), dims);
    copy.rows = term.rows;
    return &(picked[name] = copy);
  }

  /// Whether a term can be gathered, in f32.
  bool isPickable(const Term &term) {
    Type type = g.computeType(elementType(b.getContext(), term.dtype));
    return type.isF32();
  }

  LogicalResult buildNode(const onnx::NodeProto &proto) {
    g.loc = model.loc(b.getContext(), proto);
    bool attention = proto.op_type() == "Attention";
    bool everyRow = attention || isNeeded(proto, forAttention);
    // What reads ids, or values that gather_rows does not take, is built for
    // all rows.
    for (const std::string &name : proto.input()) {
      auto it = all.find(name);
      if (it != all.end() && it->second.rows && !picked.count(name) &&
          !isPickable(it->second))
        everyRow = true;
    }
    SmallVector<Term *> operands;
    bool anyRows = false;
    for (auto [i, name] : llvm::enumerate(proto.input())) {
      if (name.empty() || (attention && i >= 3)) {
        operands.push_back(nullptr);
        continue;
      }
      Term *term = nullptr;
      auto it = all.find(name);
      auto other = picked.find(name);
      if (!everyRow && other != picked.end())
        term = &other->second;
      else if (it != all.end())
        term = &it->second;
      if (!term)
        return fail(isGiven(name)
                        ? "reads '" + name + "', which a session has not"
                        : "reads '" + name + "' for all tokens");
      if (term->rows && !everyRow && it != all.end()) {
        FailureOr<Term *> chosen = pick(name, *term);
        if (failed(chosen))
          return failure();
        term = *chosen;
      }
      anyRows |= term->rows.has_value();
      operands.push_back(term);
    }
    const NodeBuilder *builder =
        lookupBuilder(proto.domain(), proto.op_type(), model.opset);
    if (!builder)
      return fail("is not supported");
    StepNode node(g, proto, operands, step, model,
                  attention ? caches[&proto] : Value());
    if (failed(anyRows ? buildRows(*builder, node) : builder->build(node)))
      return failure();
    noteContext(proto, operands);
    for (int i = 0; i < proto.output_size(); ++i) {
      if (!node.wants(i) || !node.result(i))
        continue;
      Term &result = *node.result(i);
      bool few = result.rows && !everyRow;
      (few ? picked : all)[proto.output(i)] = result;
    }
    return success();
  }

  LogicalResult buildRows(const NodeBuilder &builder, StepNode &node) {
    switch (builder.rows.kind) {
    case RowsRule::None:
      return fail("may mix the values of different tokens");
    case RowsRule::Elementwise:
      return buildElementwiseRows(node);
    case RowsRule::Own:
      return builder.rows.build(node);
    case RowsRule::Axes:
      break;
    }
    if (!node.in(0).rows)
      return fail("has parameters made of tokens");
    for (unsigned i = 1; i < node.size(); ++i)
      if (node.has(i) && node.in(i).rows)
        return fail("has parameters made of tokens");
    if (failed(builder.build(node)))
      return failure();
    for (int i = 0; i < node.proto.output_size(); ++i)
      if (std::optional<Term> &result = node.result(i)) {
        if (result->rank() != node.in(0).rank())
          return fail("gives tokens another number of dimensions");
        result->rows = node.in(0).rows;
      }
    return success();
  }

  void noteContext(const onnx::NodeProto &proto, ArrayRef<Term *> operands) {
    if (proto.op_type() != "RotaryEmbedding" || operands.size() < 2)
      return;
    if (auto rows = getConstantIntValue(operands[1]->dims[0]))
      cosRows = std::min(cosRows.value_or(*rows), *rows);
  }

  LogicalResult finish() {
    g.loc = model.loc(b.getContext());
    auto few = picked.find("logits");
    auto every = all.find("logits");
    if (few == picked.end() && every == all.end())
      return fail("'logits' is not computed from the tokens");
    Term *logits = few != picked.end() ? &few->second : &every->second;
    if (!logits->rows || !(*logits->rows == RowLayout{3, 1, true}) ||
        logits->rank() != 2 || !getConstantIntValue(logits->dims[1]))
      return fail("'logits' is not [batch, tokens, vocabulary]");
    if (few == picked.end()) {
      if (!isPickable(*logits))
        return fail("'logits' are no floats");
      FailureOr<Term *> chosen = pick("logits", *logits);
      if (failed(chosen))
        return failure();
      logits = *chosen;
    }
    Value value = g.castFloat(g.tensor(*logits), logits->dims, b.getF32Type());
    func::ReturnOp::create(b, g.loc, value);
    function.setFunctionType(
        b.getFunctionType(function.getArgumentTypes(), value.getType()));
    function.setResultAttr(0, attr::name, b.getStringAttr("logits"));
    return success();
  }

  const Model &model;
  const onnx::GraphProto &graph;
  ModuleOp module;
  OpBuilder b;
  GraphBuilder g;
  func::FuncOp function;
  std::optional<std::string> reason;
  const onnx::NodeProto *failedAt = nullptr;

  StringMap<const onnx::ValueInfoProto *> inputs;
  llvm::StringSet<> needed, forAttention, taken;
  std::vector<const onnx::NodeProto *> attentions;
  llvm::DenseMap<const onnx::NodeProto *, Value> caches;

  StepInputs step;
  Value wanted;
  OpFoldResult wantedRows;
  StringMap<Term> all, picked;
};

} // namespace

void qtale::onnx_import::buildStep(const Model &model, ModuleOp module,
                                   Weights &weights) {
  StepBuilder builder(model, module, weights);
  if (!builder.isLanguageModel())
    return;
  if (failed(builder.build())) {
    builder.explain();
    return;
  }
  std::optional<int64_t> context = builder.cosRows;
  for (const auto &entry : model.proto.metadata_props()) {
    int64_t number;
    if (entry.key() == attr::context &&
        !StringRef(entry.value()).getAsInteger(10, number) && number > 0)
      context = number;
  }
  OpBuilder b(module.getContext());
  if (context)
    module->setAttr(attr::context, b.getI64IntegerAttr(*context));
}
