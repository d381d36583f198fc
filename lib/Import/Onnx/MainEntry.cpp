//===- MainEntry.cpp - @main: the graph as it is --------------------------===//
//
//   inputs ─ nodes in order ─ outputs       ranks, names and order are ONNX's
//
// A dimension symbol that occurs in several inputs is one value, and the
// inputs are compared at run time. What ONNX's inference knows of a result's
// shape is used; what the model claims of an output is checked at run time.
//
//===----------------------------------------------------------------------===//

#include "Entries.h"
#include "LowBitTypes.h"
#include "Node.h"
#include "NodeTable.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include <deque>

using namespace llvm;
using namespace mlir;
using namespace qtale;
using namespace qtale::onnx_import;

FailureOr<StringMap<Term>> qtale::onnx_import::initializers(const Model &model,
                                                            GraphBuilder &g) {
  StringMap<Term> terms;
  MLIRContext *context = g.context();
  auto isEmpty = [](const onnx::TensorProto &tensor) {
    return llvm::is_contained(tensor.dims(), 0);
  };
  auto source = [&](Term &term, const onnx::TensorProto &tensor) {
    auto blob = model.blobs.find(tensor.name());
    term.name = tensor.name();
    // Recipes without elements have other limits of size than files.
    if (blob != model.blobs.end() && !isEmpty(tensor))
      term.recipe = Weights::source(context, tensor, blob->second);
  };
  for (const onnx::TensorProto &tensor : model.proto.graph().initializer()) {
    std::string error;
    DenseElementsAttr values = tensorValues(context, tensor, error);
    if (!values)
      return emitError(model.loc(context))
             << "initializer '" << tensor.name() << "' " << error;
    Term term = g.fromConstant(tensor.data_type(), values);
    source(term, tensor);
    terms[tensor.name()] = term;
  }
  for (const auto &entry : model.headers) {
    const onnx::TensorProto &tensor = entry.second;
    Term term;
    SmallVector<int64_t> shape(tensor.dims().begin(), tensor.dims().end());
    Type element = elementType(context, tensor.data_type());
    if (element && isEmpty(tensor)) {
      auto values = DenseElementsAttr::get(
          RankedTensorType::get(shape, element), ArrayRef<Attribute>());
      terms[tensor.name()] = g.fromConstant(tensor.data_type(), values);
      continue;
    }
    term.dtype = tensor.data_type();
    term.dims = staticDims(context, shape);
    source(term, tensor);
    if (!term.recipe)
      return emitError(model.loc(context))
             << "initializer '" << tensor.name() << "' has the element type "
             << refusal(tensor.data_type());
    terms[tensor.name()] = term;
  }
  return terms;
}

namespace {

/// As many refused nodes are told of; the others are counted.
constexpr unsigned shownRefusals = 20;

/// Values of a graph, and of one within it.
struct Scope {
  StringMap<Term> terms;
  /// What ONNX's inference knows of them.
  StringMap<const onnx::TypeProto *> types;
};

class MainBuilder : public SubgraphBuilder {
public:
  MainBuilder(const Model &model, ModuleOp module, Weights &weights,
              Branches &taken)
      : model(model), graph(model.proto.graph()), module(module), taken(taken),
        b(OpBuilder::atBlockEnd(module.getBody())), g(b, model, weights) {
    enter(graph);
  }

  LogicalResult build() {
    g.loc = model.loc(module.getContext());
    auto known = initializers(model, g);
    if (failed(known))
      return failure();
    scopes.back().terms = std::move(*known);
    if (failed(declareInputs()))
      return failure();
    buildNodes();
    if (!refused.empty() || !model.unsupported.empty())
      return failure();
    return finish();
  }

  FailureOr<SmallVector<Term>> build(const onnx::GraphProto &inner) override {
    enter(inner);
    for (const auto &info : inner.output())
      scopes.back().types[info.name()] = &info.type();
    bool built = buildNodes(inner);
    SmallVector<Term> results;
    for (const auto &info : inner.output()) {
      Term *term = built ? lookup(info.name()) : nullptr;
      if (term)
        results.push_back(*term);
      else
        built = false;
    }
    scopes.pop_back();
    if (!built)
      return failure();
    return results;
  }

  FailureOr<SmallVector<Term>> take(const onnx::NodeProto &node,
                                    bool condition) override {
    taken[firstResult(node)] = condition;
    StringRef name = condition ? "then_branch" : "else_branch";
    return build(Node(g, node, {}).attribute(name)->g());
  }

private:
  InFlightDiagnostic error() { return emitError(g.loc); }

  void enter(const onnx::GraphProto &inner) {
    Scope &scope = scopes.emplace_back();
    for (const auto &info : inner.value_info())
      scope.types[info.name()] = &info.type();
  }

  /// The term of a value; null where there is none. A graph within a node has
  /// copies of what is around it: what is made of them on demand is made in its
  /// block.
  Term *lookup(StringRef name) {
    for (Scope &scope : llvm::reverse(scopes)) {
      auto found = scope.terms.find(name);
      if (found == scope.terms.end())
        continue;
      if (&scope == &scopes.back())
        return &found->second;
      return &(scopes.back().terms[name] = found->second);
    }
    return nullptr;
  }

  LogicalResult port(const onnx::ValueInfoProto &info, StringRef what,
                     RankedTensorType &type) {
    const auto &tensor = info.type().tensor_type();
    Type element = elementType(b.getContext(), tensor.elem_type());
    if (!element)
      return error() << what << " '" << info.name() << "' has the element type "
                     << refusal(tensor.elem_type());
    SmallVector<int64_t> shape;
    for (const auto &dim : tensor.shape().dim()) {
      if (dim.has_dim_value() && dim.dim_value() < 0)
        return error() << what << " '" << info.name() << "' has a dimension of "
                       << dim.dim_value();
      shape.push_back(dim.has_dim_value() ? dim.dim_value()
                                          : ShapedType::kDynamic);
    }
    type = RankedTensorType::get(shape, element);
    return success();
  }

  DictionaryAttr portAttributes(const onnx::ValueInfoProto &info,
                                int32_t dtype) {
    return b.getDictionaryAttr(
        {b.getNamedAttr(attr::name, b.getStringAttr(info.name())),
         b.getNamedAttr(attr::dtype, b.getStringAttr(numpyName(dtype)))});
  }

  LogicalResult declareInputs() {
    SmallVector<Type> inputTypes, resultTypes;
    SmallVector<DictionaryAttr> inputAttributes, resultAttributes;
    for (const auto &info : graph.input()) {
      if (lookup(info.name()))
        continue; // an initializer, listed as old models do
      RankedTensorType type;
      if (failed(port(info, "input", type)))
        return failure();
      inputs.push_back(&info);
      inputTypes.push_back(type);
      inputAttributes.push_back(
          portAttributes(info, info.type().tensor_type().elem_type()));
    }
    for (const auto &info : graph.output()) {
      RankedTensorType type;
      if (failed(port(info, "output", type)))
        return failure();
      resultTypes.push_back(type);
      resultAttributes.push_back(
          portAttributes(info, info.type().tensor_type().elem_type()));
    }
    function = func::FuncOp::create(b, g.loc, "main",
                                    b.getFunctionType(inputTypes, resultTypes));
    for (auto [i, attributes] : llvm::enumerate(inputAttributes))
      function.setArgAttrs(i, attributes);
    for (auto [i, attributes] : llvm::enumerate(resultAttributes))
      function.setResultAttrs(i, attributes);
    b.setInsertionPointToStart(function.addEntryBlock());
    for (auto [info, argument] : llvm::zip(inputs, function.getArguments()))
      scopes.back().terms[info->name()] = inputTerm(*info, argument);
    return success();
  }

  Term inputTerm(const onnx::ValueInfoProto &info, Value argument) {
    const auto &tensor = info.type().tensor_type();
    Term term = g.make(tensor.elem_type(), argument, {});
    for (auto [i, dim] : llvm::enumerate(tensor.shape().dim())) {
      if (dim.has_dim_value()) {
        term.dims.push_back(g.math.constant(dim.dim_value()));
        continue;
      }
      Value size = tensor::DimOp::create(b, g.loc, argument, i);
      g.math.markNonNegative(size);
      Value &symbol = dim.dim_param().empty() ? size : symbols[dim.dim_param()];
      if (!symbol)
        symbol = size;
      else if (symbol != size)
        g.math.check(size, symbol,
                     "input '" + info.name() + "' dimension " + Twine(i) +
                         " (" + dim.dim_param() +
                         ") differs from that of another input");
      term.dims.push_back(symbol);
    }
    // Of a byte only the element's own bits count.
    const LowBitType *lowBit = lowBitType(term.dtype);
    if (lowBit && lowBit->bits < 8)
      term.value = g.elementwise(
          {&term}, term.dims, b.getI8Type(), [&](Scalars s, ValueRange v) {
            return s.make<arith::AndIOp>(
                v[0], s.integer(b.getI8Type(), lowBit->mask()));
          });
    return term;
  }

  //===- Refusals ---------------------------------------------------------===//

  /// A refused node does not end it, so that all are told at once: it is left
  /// out, and so is, in silence, what depends on its results.
  void buildNodes() {
    unsigned errors = 0;
    ScopedDiagnosticHandler handler(b.getContext(), [&](Diagnostic &d) {
      bool isError = d.getSeverity() == DiagnosticSeverity::Error;
      return success(isError &&
                     ++errors > shownRefusals); // taken, or passed on
    });
    buildNodes(graph);
    if (errors <= shownRefusals)
      return;
    unsigned more = errors - shownRefusals;
    errors = 0;
    g.loc = model.loc(b.getContext());
    error() << more << " more nodes are refused";
  }

  /// Whether none is refused, among a graph's nodes. Graphs within them are
  /// visited in their turn.
  bool buildNodes(const onnx::GraphProto &graph) {
    unsigned before = refused.size();
    for (const onnx::NodeProto &node : graph.node()) {
      OpBuilder::InsertionGuard guard(b);
      bool depends = llvm::any_of(node.input(), [&](const std::string &name) {
        return refused.contains(name);
      });
      if (!depends && succeeded(buildNode(node)))
        continue;
      for (const std::string &output : node.output())
        if (!output.empty())
          refused.insert(output);
    }
    return refused.size() == before;
  }

  LogicalResult buildNode(const onnx::NodeProto &proto) {
    g.loc = model.loc(b.getContext(), proto);
    SmallVector<Term *> operands;
    for (const std::string &name : proto.input()) {
      if (name.empty()) {
        operands.push_back(nullptr);
        continue;
      }
      operands.push_back(lookup(name));
      if (!operands.back())
        return error() << proto.op_type() << ": value '" << name
                       << "' is not defined";
    }
    const NodeBuilder *builder =
        lookupBuilder(proto.domain(), proto.op_type(), model.opset);
    if (!builder) {
      if (model.unsupported.contains(operatorName(proto)))
        return failure(); // told of already
      return error() << "operator " << proto.op_type() << " is not supported";
    }
    Node node(g, proto, operands, this);
    if (failed(builder->build(node)))
      return failure();
    for (int i = 0; i < proto.output_size(); ++i) {
      if (!node.wants(i))
        continue;
      std::optional<Term> &result = node.result(i);
      if (!result)
        return error() << proto.op_type() << ": output '" << proto.output(i)
                       << "' is not supported";
      if (result->recipe && recipes::isLarge(result->recipe))
        return error() << proto.op_type() << ": output '" << proto.output(i)
                       << "' takes too many steps from weights of the model; "
                          "store it as one";
      refine(proto.output(i), *result);
      scopes.back().terms[proto.output(i)] = std::move(*result);
    }
    return success();
  }

  /// Static dimensions that ONNX's shape inference found, but for 0, which it
  /// also says of what it can't add up (Attention's qk_matmul_output).
  void refine(StringRef name, Term &term) {
    auto it = scopes.back().types.find(name);
    if (it == scopes.back().types.end() || !term.value ||
        !it->second->tensor_type().has_shape())
      return;
    const auto &shape = it->second->tensor_type().shape();
    if (shape.dim_size() != term.rank())
      return;
    bool changed = false;
    for (auto [i, dim] : llvm::enumerate(shape.dim()))
      if (dim.has_dim_value() && dim.dim_value() > 0 &&
          !getConstantIntValue(term.dims[i])) {
        term.dims[i] = g.math.constant(dim.dim_value());
        changed = true;
      }
    if (changed)
      term.value = tensor::CastOp::create(
          b, g.loc,
          RankedTensorType::get(staticShape(term.dims),
                                elementType(b.getContext(), term.dtype)),
          term.value);
  }

  LogicalResult finish() {
    g.loc = model.loc(b.getContext());
    SmallVector<Value> results;
    for (auto [info, type] :
         llvm::zip(graph.output(), function.getResultTypes())) {
      Term *found = lookup(info.name());
      if (!found)
        return error() << "output '" << info.name() << "' is not computed";
      Term &term = *found;
      auto declared = cast<RankedTensorType>(type);
      Value value = g.tensor(term);
      auto own = cast<RankedTensorType>(value.getType());
      if (own.getElementType() != declared.getElementType() ||
          own.getRank() != declared.getRank())
        return error() << "output '" << info.name() << "' is declared "
                       << declared << ", but is " << own;
      for (int64_t i = 0; i < own.getRank(); ++i) {
        if (declared.isDynamicDim(i))
          continue;
        if (!own.isDynamicDim(i) && own.getDimSize(i) != declared.getDimSize(i))
          return error() << "output '" << info.name() << "' is declared "
                         << declared << ", but is " << own;
        g.math.check(term.dims[i], g.math.constant(declared.getDimSize(i)),
                     "output '" + info.name() + "' dimension " + Twine(i) +
                         " differs from its declaration");
      }
      if (own != declared)
        value = tensor::CastOp::create(b, g.loc, declared, value);
      results.push_back(value);
    }
    func::ReturnOp::create(b, g.loc, results);
    return success();
  }

  const Model &model;
  const onnx::GraphProto &graph;
  ModuleOp module;
  Branches &taken;
  OpBuilder b;
  GraphBuilder g;
  func::FuncOp function;
  /// Of the graph, and of those within nodes that are being built.
  std::deque<Scope> scopes;
  /// Results of refused nodes, and of nodes that depend on them.
  llvm::StringSet<> refused;
  SmallVector<const onnx::ValueInfoProto *> inputs;
  StringMap<Value> symbols;
};

} // namespace

LogicalResult qtale::onnx_import::buildMain(const Model &model, ModuleOp module,
                                            Weights &weights, Branches &taken) {
  return MainBuilder(model, module, weights, taken).build();
}
