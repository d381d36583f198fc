//===- Routers.cpp - Routers of ai.qtale as qtale.router ------------------===//
//
//   RouterMlp2 (x, fc1 [D, R], fc1_bias, norm, fc2 [R, 2], fc2_bias)
//   RouterLinear (x, fc [D, 1], bias)
//   RouterGate (x, norm, down [D, R], up [R, 1])
//
// Weights turn to [out, in] on the way: in their recipes, or where they stand.
//
//===----------------------------------------------------------------------===//

#include "MatMul.h"
#include "StepNode.h"

using namespace llvm;
using namespace mlir;
using namespace qtale;
using namespace qtale::onnx_import;

namespace {
struct Signature {
  StringLiteral verb;
  RouterKind kind;
  int matrix;      // the input that is large, or -1
  unsigned inputs; // with x
};
constexpr Signature signatures[] = {
    {"RouterMlp2", RouterKind::MLP2, 1, 6},
    {"RouterLinear", RouterKind::Linear, -1, 3},
    {"RouterGate", RouterKind::Gate, 2, 4},
};
} // namespace

/// A small matrix [in, out] as f32 [out, in].
static FailureOr<Value> turned(StepNode &n, unsigned i) {
  Term term = n.in(i);
  Dims dims{term.dims[1], term.dims[0]};
  bool vector = llvm::any_of(
      dims, [](OpFoldResult dim) { return isConstantIntValue(dim, 1); });
  if (term.constant && !vector) {
    auto type = cast<RankedTensorType>(term.constant.getType());
    int64_t rows = type.getDimSize(0), columns = type.getDimSize(1);
    SmallVector<Attribute> from(term.constant.getValues<Attribute>()), to;
    for (int64_t c = 0; c < columns; ++c)
      for (int64_t r = 0; r < rows; ++r)
        to.push_back(from[r * columns + c]);
    term.constant = DenseElementsAttr::get(
        RankedTensorType::get({columns, rows}, type.getElementType()), to);
    term.recipe = {};
    term.value = {};
    term.dims = dims;
  } else if (term.recipe) {
    term.recipe = recipes::transpose(term.recipe, {1, 0});
    term.constant = {};
    term.value = {};
    term.dims = dims;
  } else if (vector) {
    term = n.g.reshape(term, dims);
  } else {
    return n.fail(n.inputName(i) + " is computed by the model");
  }
  return n.g.castFloat(n.g.tensor(term), dims, n.g.b.getF32Type());
}

LogicalResult qtale::onnx_import::buildRouter(StepNode &n) {
  GraphBuilder &g = n.g;
  const Signature *signature = llvm::find_if(
      signatures, [&](auto &s) { return s.verb == n.proto.op_type(); });
  Term &x = n.in(0);
  if (!x.rows || !(*x.rows == RowLayout{3, 1, true}))
    return n.fail("routes something else than [batch, tokens, values]");
  auto width = getConstantIntValue(x.dims[1]);
  if (!width || n.size() != signature->inputs)
    return n.fail("needs values of a known size and all its weights");
  SmallVector<Value> weights;
  for (unsigned i = 1; i < signature->inputs; ++i) {
    Term &term = n.in(i);
    if (term.rows || ShapedType::isDynamicShape(staticShape(term.dims)))
      return n.fail(n.inputName(i) + " is no weight");
    if (int(i) == signature->matrix) {
      if (!isWeightMatrix(term))
        return n.fail(n.inputName(i) + " is no float matrix in the model's "
                                       "files");
      RecipeAttrInterface recipe =
          recipes::peelWidening(recipes::transpose(term.recipe, {1, 0}));
      weights.push_back(
          ParamOp::create(g.b, g.loc, recipe.getTensorType(),
                          g.weights.symbol(recipe, term.name, g.loc)));
      continue;
    }
    if (term.rank() == 2) {
      FailureOr<Value> matrix = turned(n, i);
      if (failed(matrix))
        return failure();
      weights.push_back(*matrix);
      continue;
    }
    weights.push_back(g.castFloat(g.tensor(term), term.dims, g.b.getF32Type()));
  }
  Value rows = toRows(n, x, *width);
  auto type = RankedTensorType::get({ShapedType::kDynamic}, g.b.getF32Type());
  auto router =
      RouterOp::create(g.b, g.loc, type, signature->kind, rows, weights,
                       llvm::APFloat(float(n.real("epsilon", 0))));
  // Where the shapes are not those of a router the importer gives up.
  {
    ScopedDiagnosticHandler quiet(g.context(), [](Diagnostic &) {});
    if (failed(router.verify())) {
      router.erase();
      return n.fail("has weights whose shapes don't fit each other");
    }
  }
  return n.setRows(
      g.make(onnx::TensorProto::FLOAT, router.getResult(), {x.dims[0]}),
      RowLayout{2, 1, true});
}
