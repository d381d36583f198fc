//===- StepEntry.cpp - @step: rows are tokens -----------------------------===//
//
//   tokens, sequences, positions, rows, caches  ->  logits of the wanted rows
//
//           ┌ all rows ┐     ┌ wanted rows ─────────────────┐
//   tokens ─ layers … ─ last layer's K, V ═ Q, attention, FFN ─ head ─ logits
//
// StepGraph says which node is computed where, for which rows; this file builds
// it. A batch of sequences is rows too, so ONNX's [B, S, …] is stored as
// [rows, …]: see RowLayout.
//
// Masks are not read: that a token sees the earlier ones of its sequence is
// what `qtale.attention` means. So a mask must be known to say just this.
//
//===----------------------------------------------------------------------===//

#include "Entries.h"
#include "NodeTable.h"
#include "OpenRoute.h"
#include "Routing.h"
#include "StepScope.h"

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
      : model(model), module(module), weights(weights), graph(model) {}

  /// Whether the graph claims to be a language model.
  bool isLanguageModel() const {
    const onnx::GraphProto &proto = model.proto.graph();
    auto has = [](const auto &list, StringRef name) {
      return llvm::any_of(
          list, [&](const auto &info) { return info.name() == name; });
    };
    return has(proto.input(), "input_ids") && has(proto.output(), "logits");
  }

  LogicalResult build() {
    if (failed(graph.analyze(module.getContext()))) {
      failedAt = graph.failedAt;
      return fail(graph.reason);
    }
    if (failed(declare()))
      return failure();
    for (const StepGraphNode &node : graph.nodes) {
      if (!node.isNeeded())
        continue;
      failedAt = node.proto;
      entry->g.loc = model.loc(module.getContext(), *node.proto);
      if (failed(isAttention(*node.proto) ? fillCache(node) : success()) ||
          (!node.place->route && failed(buildNode(node, *all, *few))))
        return failure();
    }
    failedAt = nullptr;
    return finish();
  }

  void explain() {
    if (function)
      function.erase();
    std::string why = reason.value_or("its structure is not known");
    Location loc = model.loc(module.getContext());
    std::string node;
    if (failedAt) {
      loc = model.loc(module.getContext(), *failedAt);
      why = failedAt->op_type() + " " + why;
      node = "'" + nodeName(*failedAt) + "': ";
    }
    emitWarning(loc) << "the model has no session, only `main`: " << why;
    why = node + why;
    module->setAttr("qtale.no_session",
                    StringAttr::get(module.getContext(), why));
  }

  std::optional<int64_t> cosRows;

private:
  LogicalResult fail(const Twine &message) {
    if (!reason)
      reason = message.str();
    return failure();
  }

  static bool isAttention(const onnx::NodeProto &node) {
    return node.op_type() == "Attention" && !isVerbCall(node);
  }

  //===- Arguments --------------------------------------------------------===//

  LogicalResult cacheType(const onnx::NodeProto &node, Type &type) {
    StringRef past[2];
    for (int i : {0, 1}) {
      past[i] = inputOf(node, 4 + i);
      if (past[i].empty() || !graph.inputs.count(past[i]))
        return fail("has no past keys and values among the model's inputs");
      if (!taken.insert(past[i]).second)
        return fail("shares its past with another node");
    }
    if (!inputOf(node, 6).empty())
      return fail("has lengths of its own (nonpad_kv_seqlen)");
    int64_t sizes[2][2];
    for (int i : {0, 1}) {
      const auto &shape = graph.inputs[past[i]]->type().tensor_type().shape();
      if (shape.dim_size() != 4 || !shape.dim(1).has_dim_value() ||
          !shape.dim(3).has_dim_value() || shape.dim(1).dim_value() <= 0 ||
          shape.dim(3).dim_value() <= 0)
        return fail("has a past whose heads or head size are not numbers");
      sizes[i][0] = shape.dim(1).dim_value();
      sizes[i][1] = shape.dim(3).dim_value();
    }
    if (sizes[0][0] != sizes[1][0] || sizes[0][1] != sizes[1][1])
      return fail("has keys and values of different sizes");
    if (!KVCacheType::fits(sizes[0][0], sizes[0][1]))
      return fail("has a past of more than " +
                  std::to_string(KVCacheType::maxValues) +
                  " values for each token");
    type = KVCacheType::get(module.getContext(), sizes[0][0], sizes[0][1],
                            Float32Type::get(module.getContext()),
                            graph.keys[&node].policy == Keys::Evict);
    return success();
  }

  LogicalResult declare() {
    Location loc = model.loc(module.getContext());
    OpBuilder b = OpBuilder::atBlockEnd(module.getBody());
    auto rows = RankedTensorType::get({ShapedType::kDynamic}, b.getI32Type());
    SmallVector<Type> types(4, rows);
    SmallVector<std::string> names{"tokens", "sequences", "positions", "rows"};
    if (failed(routing.analyze(graph))) {
      failedAt = routing.failedAt;
      return fail(routing.reason);
    }
    if (routing.isRouted()) {
      types.push_back(RankedTensorType::get(
          {ShapedType::kDynamic, routing.size()}, b.getF32Type()));
      types.push_back(rows);
      names.append({"thresholds", "budgets"});
    }
    unsigned firstCache = types.size();
    for (const onnx::NodeProto *node : graph.attentions) {
      Type type;
      if (failed(cacheType(*node, type))) {
        failedAt = node;
        return failure();
      }
      types.push_back(type);
      names.push_back("cache" + std::to_string(names.size() - firstCache));
    }
    function =
        func::FuncOp::create(b, loc, "step", b.getFunctionType(types, {}));
    for (auto [i, name] : llvm::enumerate(names))
      function.setArgAttr(i, attr::name, b.getStringAttr(name));
    entry.emplace(function.addEntryBlock(), loc, model, weights, &reason);
    Value tokens = function.getArgument(0), wanted = function.getArgument(3);
    Value count = tensor::DimOp::create(entry->b, loc, tokens, 0);
    Value wantedCount = tensor::DimOp::create(entry->b, loc, wanted, 0);
    entry->g.math.markNonNegative(count);
    entry->g.math.markNonNegative(wantedCount);
    if (routing.isRouted()) {
      thresholds = function.getArgument(4);
      budgets = function.getArgument(5);
    }
    for (auto [i, node] : llvm::enumerate(graph.attentions))
      caches[node] = function.getArgument(firstCache + i);

    all.emplace(*entry);
    all->step = {function.getArgument(1), function.getArgument(2), count};
    all->count = count;
    few.emplace(*entry, &*all, [this, wanted](Value value) -> Value {
      return GatherRowsOp::create(entry->b, entry->g.loc, value, wanted);
    });
    few->count = wantedCount;
    few->step.count = count;

    auto known = initializers(model, entry->g);
    if (failed(known))
      return fail("its initializers can't be read");
    for (auto &term : *known)
      all->set(term.first(), std::move(term.second));
    setIds("input_ids", tokens);
    if (graph.inputs.count("position_ids"))
      setIds("position_ids", all->step.positions);
    return success();
  }

  void setIds(StringRef name, Value value) {
    Term term = entry->g.make(onnx::TensorProto::INT64, value, {all->count});
    term.rows = RowLayout{2, 1, true};
    all->set(name, term);
  }

  //===- Nodes ------------------------------------------------------------===//

  /// Builds a node in the scopes whose rows need it.
  LogicalResult buildNode(const StepGraphNode &node, StepScope &allRows,
                          StepScope &wantedRows) {
    const onnx::NodeProto &proto = *node.proto;
    if (isVerbCall(proto, "CausalMask")) {
      if (!proto.output(0).empty())
        setIds(proto.output(0), all->step.positions);
      return success();
    }
    if (isVerbCall(proto, "Keep"))
      return buildKeep(proto);
    if (isVerbCall(proto, "Route"))
      return buildRoute(node);
    if (node.all && failed(buildNode(proto, allRows)))
      return failure();
    return node.wanted ? buildNode(proto, wantedRows) : success();
  }

  LogicalResult buildNode(const onnx::NodeProto &proto, StepScope &scope) {
    GraphBuilder &g = scope.code.g;
    g.loc = model.loc(module.getContext(), proto);
    bool attention = isAttention(proto);
    SmallVector<Term *> operands;
    bool anyRows = false;
    if (attention)
      useStep(scope);
    for (auto [i, name] : llvm::enumerate(proto.input())) {
      if (name.empty() || (attention && i >= 1)) {
        operands.push_back(nullptr);
        continue;
      }
      Term *term = scope.lookup(name);
      if (!term)
        return fail("reads '" + name + "', which a session has not");
      anyRows |= term->rows.has_value();
      operands.push_back(term);
    }
    // Rotation asks for positions, which come with a term.
    if (proto.op_type() == "RotaryEmbedding")
      useStep(scope);
    StepNode node(g, proto, operands, scope.step, model);
    if (failed(buildWith(node, scope, attention, anyRows)))
      return failure();
    noteContext(proto, operands);
    for (int i = 0; i < proto.output_size(); ++i)
      if (node.wants(i) && node.result(i))
        scope.set(proto.output(i), *node.result(i));
    return success();
  }

  LogicalResult buildWith(StepNode &node, StepScope &scope, bool attention,
                          bool anyRows) {
    const onnx::NodeProto &proto = node.proto;
    if (attention)
      return buildAttentionRows(node, caches[&proto], slotsIn(scope, proto));
    if (isVerbCall(proto))
      return buildRouter(node);
    const NodeBuilder *builder =
        lookupBuilder(proto.domain(), proto.op_type(), model.opset);
    if (!builder)
      return fail("is not supported");
    return anyRows ? buildRows(*builder, node) : builder->build(node);
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

  //===- Caches -----------------------------------------------------------===//

  /// The scope's sequences and positions, where they are not known yet.
  void useStep(StepScope &scope) {
    if (scope.step.sequences)
      return;
    scope.step.sequences = scope.rows(outsideOf(scope).step.sequences);
    scope.step.positions = scope.rows(outsideOf(scope).step.positions);
  }
  StepScope &outsideOf(StepScope &scope) {
    StepScope *outside = scope.getOutside();
    useStep(*outside);
    return *outside;
  }

  /// Where a node's keys stand, for the scope's rows.
  Value slotsIn(StepScope &scope, const onnx::NodeProto &attention) {
    Value reserved = slots.lookup(&attention);
    if (!reserved) {
      useStep(scope);
      return scope.step.positions;
    }
    if (StepScope *outside = scope.getOutside())
      return scope.rows(slotsIn(*outside, attention));
    return reserved;
  }

  LogicalResult append(const onnx::NodeProto &proto, StepScope &scope) {
    scope.code.g.loc = model.loc(module.getContext(), proto);
    const Keys &keys = graph.keys[&proto];
    SmallVector<Term *> operands{nullptr};
    for (StringRef name : {StringRef(keys.key), StringRef(keys.value)}) {
      operands.push_back(scope.lookup(name));
      if (!operands.back())
        return fail("reads '" + name + "', which a session has not");
    }
    useStep(scope);
    StepNode node(scope.code.g, proto, operands, scope.step, model);
    return buildKVAppend(node, caches[&proto], slotsIn(scope, proto));
  }

  /// What stands before the route that a node is in, or before the node.
  LogicalResult fillCache(const StepGraphNode &node) {
    const onnx::NodeProto &proto = *node.proto;
    const Keys &keys = graph.keys[&proto];
    GraphBuilder &g = entry->g;
    if (keys.policy == Keys::Own || keys.policy == Keys::Compute)
      return append(proto, *all);
    Term *keep = all->lookup(inputOf(*node.place->route, 0));
    Value flags = g.tensor(*keep);
    const StepInputs &step = all->step;
    if (keys.policy == Keys::Copy)
      KVCopyOp::create(g.b, g.loc, caches[&proto], caches[keys.below], flags,
                       step.sequences, step.positions);
    else
      slots[&proto] = KVReserveOp::create(g.b, g.loc, step.positions.getType(),
                                          caches[&proto], flags, step.sequences,
                                          step.positions);
    return success();
  }

  //===- Routes -----------------------------------------------------------===//

  LogicalResult buildKeep(const onnx::NodeProto &proto) {
    GraphBuilder &g = entry->g;
    Term *p = all->lookup(inputOf(proto, 0));
    if (!p || !p->rows || p->rank() != 1 ||
        !g.computeType(elementType(g.context(), p->dtype)).isF32())
      return fail("has probabilities that are not [batch, tokens]");
    Term *positions = all->lookup(inputOf(proto, 2));
    if (!positions || positions->value != all->step.positions)
      return fail("has position_ids that are not the tokens' positions");
    Value value = g.castFloat(g.tensor(*p), p->dims, g.b.getF32Type());
    auto flags = RankedTensorType::get({ShapedType::kDynamic}, g.b.getI1Type());
    auto keep =
        KeepOp::create(g.b, g.loc, flags, budgets.getType(), value, thresholds,
                       budgets, all->step.sequences, all->step.positions,
                       g.b.getI64IntegerAttr(routing.unit(proto)),
                       g.b.getI64IntegerAttr(routing.always));
    budgets = keep.getLeft();
    Term term = g.make(onnx::TensorProto::BOOL, keep.getKeep(), {all->count});
    term.rows = RowLayout{2, 1, true};
    all->set(proto.output(0), term);
    return success();
  }

  LogicalResult buildRoute(const StepGraphNode &node) {
    if (node.all)
      return buildRegions(node, *all, /*results=*/true);
    // Of the last layer only the wanted rows matter, but of the keys and values
    // that it leaves behind: these are a route of their own.
    bool keeps = llvm::any_of(graph.nodes, [&](const StepGraphNode &inner) {
      return isInside(inner, node, false) && isAttention(*inner.proto) &&
             fillsInside(inner);
    });
    if (keeps && failed(buildRegions(node, *all, /*results=*/false)))
      return failure();
    return buildRegions(node, *few, /*results=*/true);
  }

  static bool isInside(const StepGraphNode &inner, const StepGraphNode &route,
                       bool skipped) {
    return inner.isNeeded() && *inner.place == Place{route.proto, skipped};
  }
  bool fillsInside(const StepGraphNode &attention) {
    Keys::Policy policy = graph.keys[attention.proto].policy;
    return policy == Keys::Evict || policy == Keys::Copy;
  }

  /// The route of a node for the rows of `outside`; without results it only
  /// fills caches.
  LogicalResult buildRegions(const StepGraphNode &node, StepScope &outside,
                             bool results) {
    const onnx::NodeProto &proto = *node.proto;
    entry->g.loc = model.loc(module.getContext(), proto);
    Term *keep = outside.lookup(inputOf(proto, 0));
    StringRef ends[] = {inputOf(proto, 1), inputOf(proto, 2)};
    const onnx::NodeProto *last = graph.producer(ends[1]);
    bool hasSkipped =
        results && last &&
        llvm::any_of(graph.nodes, [&](const StepGraphNode &inner) {
          return inner.proto == last && isInside(inner, node, true);
        });
    Value passed;
    Term *skipped = nullptr;
    if (results && !hasSkipped) {
      skipped = outside.lookup(ends[1]);
      if (!skipped || !skipped->rows || skipped->rank() != 2)
        return fail("skips something that is not [batch, tokens, values]");
      passed = entry->g.tensor(*skipped);
    } else {
      useStep(outside);
      passed = outside.step.sequences;
    }

    OpenRoute route(*entry, entry->g.tensor(*keep), hasSkipped);
    // Where results are inputs that pass, they come first.
    route.capture(passed, false);
    SmallVector<Type> types;
    std::optional<Term> result;
    for (bool isSkipped : {false, true}) {
      if (isSkipped && !hasSkipped)
        break;
      Code code(route.block(isSkipped), entry->g.loc, model, weights, &reason);
      StepScope scope(code, &outside, [&](Value value) {
        return route.capture(value, isSkipped);
      });
      scope.count = tensor::DimOp::create(code.b, entry->g.loc,
                                          route.capture(passed, isSkipped), 0)
                        .getResult();
      code.g.math.markNonNegative(cast<Value>(scope.count));
      scope.step.count = all->step.count;
      if (failed(buildCone(node, scope, isSkipped, results)))
        return failure();
      Term *end = results ? scope.lookup(ends[isSkipped]) : nullptr;
      if (results && (!end || !end->rows || end->rank() != 2))
        return fail("gives something that is not [batch, tokens, values]");
      SmallVector<Value> values;
      if (end)
        values.push_back(code.g.tensor(*end));
      YieldOp::create(code.b, entry->g.loc, values);
      if (end && !result) {
        result = *end;
        types.push_back(values[0].getType());
      }
    }
    if (skipped && types[0] != passed.getType())
      return fail("runs and skips with results of different types");
    RouteOp op = route.close(types);
    if (!results)
      return success();
    result->value = op.getResult(0);
    result->dims[0] = outside.count;
    outside.set(proto.output(0), *result);
    return success();
  }

  /// The nodes of a region, for the scope's rows.
  LogicalResult buildCone(const StepGraphNode &route, StepScope &scope,
                          bool isSkipped, bool results) {
    for (const StepGraphNode &inner : graph.nodes) {
      if (!isInside(inner, route, isSkipped))
        continue;
      failedAt = inner.proto;
      bool everyRow = route.all || !results;
      if (isAttention(*inner.proto) && everyRow && fillsInside(inner) &&
          failed(append(*inner.proto, scope)))
        return failure();
      if ((everyRow ? inner.all : inner.wanted) &&
          failed(buildNode(*inner.proto, scope)))
        return failure();
    }
    failedAt = route.proto;
    return success();
  }

  //===- The end ----------------------------------------------------------===//

  LogicalResult finish() {
    GraphBuilder &g = entry->g;
    g.loc = model.loc(module.getContext());
    Term *logits = few->lookup("logits");
    if (!logits)
      return fail("'logits' is not computed from the tokens");
    if (!logits->rows || !(*logits->rows == RowLayout{3, 1, true}) ||
        logits->rank() != 2 || !getConstantIntValue(logits->dims[1]))
      return fail("'logits' is not [batch, tokens, vocabulary]");
    if (!g.computeType(elementType(g.context(), logits->dtype)).isF32())
      return fail("'logits' are no floats");
    Value value =
        g.castFloat(g.tensor(*logits), logits->dims, g.b.getF32Type());
    func::ReturnOp::create(g.b, g.loc, value);
    function.setFunctionType(
        g.b.getFunctionType(function.getArgumentTypes(), value.getType()));
    function.setResultAttr(0, attr::name, g.b.getStringAttr("logits"));
    if (routing.isRouted())
      module->setAttr(attr::routing,
                      routing.describe(g.context(), model, graph));
    return success();
  }

  const Model &model;
  ModuleOp module;
  Weights &weights;
  StepGraph graph;
  Routing routing;
  func::FuncOp function;
  std::optional<std::string> reason;
  const onnx::NodeProto *failedAt = nullptr;
  llvm::StringSet<> taken;

  std::optional<Code> entry;
  std::optional<StepScope> all, few;
  Value thresholds, budgets;
  llvm::DenseMap<const onnx::NodeProto *, Value> caches, slots;
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
