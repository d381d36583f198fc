//===- IntegerMatMul.cpp - MatMulInteger and QLinearMatMul ----------------===//
//
//   sum[m, n] = Σ_k (a[m, k] - za[m]) · (c[k, n] - zc[n])      int32, wraps
//   QLinearMatMul:  y = saturate(round_even(sum · (sa · sc / sy)) + zy)
//
// Zero points and scales are one number, a vector of rows (a) or columns (c),
// or have the operand's rank with 1 along k.
//
// Where c is a constant matrix, all rows of a meet it in qtale.byte_matmul.
// Otherwise:
//
//   loops:  batches, m, n / 64,   k,   64 columns
//           └─── in parallel ──┘       └ contiguous in c and in the sum
//
// The sums of 64 columns stay in the first-level cache while k runs, and one
// row is still divided among threads. Where the number of columns is not known,
// or no multiple, they are one block.
//
//===----------------------------------------------------------------------===//

#include "MatMul.h"
#include "NodeTable.h"
#include "StepNode.h"

using namespace llvm;
using namespace mlir;
using namespace qtale;
using namespace qtale::onnx_import;
using onnx::TensorProto;
using utils::IteratorType;

namespace {

/// Where a node's operands stand; -1: it has none.
struct Places {
  int a, zeroA, c, zeroC;
};

/// a and c as matrices, with what is subtracted from their elements.
class Product {
public:
  Product(Node &n) : n(n), g(n.g) {}

  LogicalResult read(const Places &places);
  /// A scale or zero point of `a` (rows) or of `c`, with dimensions that align
  /// with the result's at the right.
  FailureOr<Term> spread(unsigned input, bool rows);
  Value sum();
  /// Of the sum; and of what the node gives, where a or c is a vector.
  Dims dims, given;

private:
  /// Whether c is a constant matrix, each of whose columns has one zero point.
  bool isByConstant() const;
  Value sumByConstant();
  Value sumByLoops();
  /// A zero point in 32 bits, as a vector: one, or those of these dimensions.
  Value zeros(std::optional<Term> &zero, ArrayRef<OpFoldResult> full);
  /// An operand, and where it is read, at the right of these places.
  void addOperand(Term term, ArrayRef<AffineExpr> places);

  Node &n;
  GraphBuilder &g;
  Term a, c;
  std::optional<Term> zeroA, zeroC;
  int64_t loops = 0;
  /// The loop over k.
  AffineExpr sumLoop;
  SmallVector<Value> operands;
  SmallVector<AffineMap> maps;
};

} // namespace

LogicalResult Product::read(const Places &places) {
  FailureOr<MatrixOperands> operands = readMatrices(n, places.a, places.c);
  if (failed(operands))
    return failure();
  a = operands->a;
  c = operands->c;
  dims = operands->dims;
  given = operands->given;

  auto zero = [&](int place, bool rows,
                  std::optional<Term> &into) -> LogicalResult {
    if (place < 0 || !n.has(place))
      return success();
    FailureOr<Term> term = spread(place, rows);
    if (failed(term))
      return failure();
    into = *term;
    return success();
  };
  return success(succeeded(zero(places.zeroA, true, zeroA)) &&
                 succeeded(zero(places.zeroC, false, zeroC)));
}

FailureOr<Term> Product::spread(unsigned input, bool rows) {
  Term &term = n.in(input);
  if (term.isScalar())
    return g.reshape(term, {});
  Term result = term;
  if (term.rank() == 1 && rows)
    result = g.reshape(term, {term.dims[0], g.math.constant(1)});
  // Dimensions are 1, or those of the result; along k it is 1.
  Dims full(dims);
  int64_t inner = result.rank() - (rows ? 1 : 2);
  bool fits = result.rank() <= int64_t(dims.size());
  if (fits && inner >= 0) {
    full[dims.size() - (rows ? 1 : 2)] = g.math.constant(1);
    auto known = getConstantIntValue(result.dims[inner]);
    fits = !known || *known == 1;
    if (!known)
      g.math.check(result.dims[inner], g.math.constant(1),
                   n.inputName(input) + " must have one element along k");
  }
  std::optional<Dims> together =
      fits ? g.broadcast({full, result.dims}) : std::nullopt;
  for (size_t i = 0; together && i < dims.size(); ++i) {
    auto wanted = getConstantIntValue(full[i]),
         got = getConstantIntValue((*together)[i]);
    fits &= !wanted || !got || *wanted == *got;
  }
  if (!together || !fits)
    return n.fail(
        n.inputName(input) + " must be one number, or one for each " +
        (rows ? "row of the first matrix" : "column of the second matrix"));
  return settled(g, result, full);
}

void Product::addOperand(Term term, ArrayRef<AffineExpr> places) {
  // k runs along the operands alone, also where it is 1.
  SmallVector<AffineExpr> exprs;
  for (auto [dim, place] :
       llvm::zip_equal(term.dims, places.take_back(term.rank())))
    exprs.push_back(isConstantIntValue(dim, 1) && place != sumLoop
                        ? g.b.getAffineConstantExpr(0)
                        : place);
  operands.push_back(g.tensor(term));
  maps.push_back(AffineMap::get(loops, 0, exprs, g.context()));
}

Value Product::sum() { return isByConstant() ? sumByConstant() : sumByLoops(); }

bool Product::isByConstant() const {
  if (!c.recipe || c.rank() != 2 ||
      !c.recipe.getTensorType().getElementType().isInteger(8) ||
      c.recipe.getTensorType().getNumElements() == 0)
    return false;
  return !zeroC ||
         llvm::all_of(
             ArrayRef(zeroC->dims)
                 .drop_back(std::min<int64_t>(zeroC->rank(), 1)),
             [](OpFoldResult dim) { return isConstantIntValue(dim, 1); });
}

Value Product::zeros(std::optional<Term> &zero, ArrayRef<OpFoldResult> full) {
  if (!zero)
    return {};
  Type i32 = g.b.getI32Type();
  bool isUnsignedZero = isUnsigned(zero->dtype);
  bool one = llvm::all_of(
      zero->dims, [](OpFoldResult dim) { return isConstantIntValue(dim, 1); });
  // A matrix's columns have dimensions of 1 in front.
  Dims dims(one || zero->rank() > int64_t(full.size())
                ? ArrayRef<OpFoldResult>(zero->dims)
                : full);
  Value wide = g.elementwise({&*zero}, dims, i32, [&](Scalars s, ValueRange v) {
    return s.convert(v[0], i32, isUnsignedZero, false);
  });
  return g.reshape(wide, dims, {g.math.product(dims)});
}

Value Product::sumByConstant() {
  RecipeAttrInterface recipe = recipes::transpose(c.recipe, {1, 0});
  ArrayRef<int64_t> shape = recipe.getTensorType().getShape();
  Value weight = ParamOp::create(g.b, g.loc, recipe.getTensorType(),
                                 g.weights.symbol(recipe, c.name, g.loc));
  ArrayRef<OpFoldResult> rowDims = ArrayRef(a.dims).drop_back();
  OpFoldResult rows = g.math.product(rowDims);
  Value x = g.reshape(g.tensor(a), a.dims, {rows, a.dims.back()});
  // readMatrices has seen to k.
  auto type =
      RankedTensorType::get({staticOrDynamic(rows), shape[1]}, g.b.getI8Type());
  if (x.getType() != type)
    x = tensor::CastOp::create(g.b, g.loc, type, x);
  Dims perRow(rowDims);
  perRow.push_back(g.math.constant(1));
  Value zeroX = zeros(zeroA, perRow), zeroW = zeros(zeroC, {dims.back()});
  Value sums = ByteMatmulOp::create(
      g.b, g.loc,
      RankedTensorType::get({type.getDimSize(0), shape[0]}, g.b.getI32Type()),
      x, weight, zeroX, zeroW, isUnsigned(a.dtype));
  return g.reshape(sums, {rows, dims.back()}, dims);
}

Value Product::sumByLoops() {
  OpFoldResult columns = dims.back();
  int64_t block = 1;
  for (int64_t size : {16, 32, 64})
    if (auto known = getConstantIntValue(columns);
        known && *known > size && *known % size == 0)
      block = size;
  bool blocked = block > 1;
  int64_t batches = dims.size() - 2, k = batches + 1 + blocked;
  loops = k + 2;
  auto loop = [&](int64_t i) { return g.b.getAffineDimExpr(i); };
  AffineExpr column = loop(k + 1), none = g.b.getAffineConstantExpr(0);
  SmallVector<AffineExpr> ofA, ofZeroA, ofC, ofZeroC, ofSum;
  for (int64_t i = 0; i < batches; ++i)
    for (auto *places : {&ofA, &ofZeroA, &ofC, &ofZeroC, &ofSum})
      places->push_back(loop(i));
  sumLoop = loop(k);
  ofC.push_back(sumLoop);
  if (blocked) {
    // Only one operand needs to say how many blocks there are.
    Dims to(ArrayRef(c.dims).drop_back());
    to.append(
        {g.math.div(columns, g.math.constant(block)), g.math.constant(block)});
    c = g.reshape(c, to);
    ofC.push_back(loop(k - 1));
    column = loop(k - 1) * block + column;
  }
  ofC.push_back(loop(k + 1));
  ofA.append({loop(batches), sumLoop});
  ofZeroA.append({loop(batches), none});
  ofZeroC.append({none, column});
  ofSum.append({loop(batches), column});
  addOperand(a, ofA);
  addOperand(c, ofC);
  if (zeroA)
    addOperand(*zeroA, ofZeroA);
  if (zeroC)
    addOperand(*zeroC, ofZeroC);
  maps.push_back(AffineMap::get(loops, 0, ofSum, g.context()));

  SmallVector<IteratorType> iterators(loops, IteratorType::parallel);
  iterators[k] = IteratorType::reduction;
  Type i32 = g.b.getI32Type();
  Value init = g.filled(dims, Scalars{g.b, g.loc}.integer(i32, 0));
  bool unsignedA = isUnsigned(a.dtype), unsignedC = isUnsigned(c.dtype);
  return linalg::GenericOp::create(
             g.b, g.loc, init.getType(), operands, init, maps, iterators,
             [&](OpBuilder &b, Location loc, ValueRange args) {
               Scalars s{b, loc};
               Value x = s.convert(args[0], i32, unsignedA, false);
               Value y = s.convert(args[1], i32, unsignedC, false);
               if (zeroA)
                 x = s.make<arith::SubIOp>(
                     x, s.convert(args[2], i32, unsignedA, false));
               if (zeroC)
                 y = s.make<arith::SubIOp>(
                     y, s.convert(args[zeroA ? 3 : 2], i32, unsignedC, false));
               Value next = s.make<arith::AddIOp>(args.back(),
                                                  s.make<arith::MulIOp>(x, y));
               linalg::YieldOp::create(b, loc, next);
             })
      .getResult(0);
}

static bool isByte(int32_t dtype) {
  return dtype == TensorProto::INT8 || dtype == TensorProto::UINT8;
}

static LogicalResult buildMatMulInteger(Node &n) {
  Product product(n);
  if (!isByte(n.in(0).dtype) || !isByte(n.in(1).dtype))
    return n.fail("needs matrices of int8 or uint8");
  if (failed(product.read({0, 2, 1, 3})))
    return failure();
  Value value = n.g.reshape(product.sum(), product.dims, product.given);
  return n.set(0, n.g.make(TensorProto::INT32, value, product.given));
}

static LogicalResult buildQLinearMatMul(Node &n) {
  GraphBuilder &g = n.g;
  enum { A, ScaleA, ZeroA, C, ScaleC, ZeroC, ScaleY, ZeroY };
  int32_t dtype = n.in(ZeroY).dtype;
  if (!isByte(n.in(A).dtype) || !isByte(n.in(C).dtype) || !isByte(dtype))
    return n.fail("needs matrices of int8 or uint8");
  Product product(n);
  if (failed(product.read({A, ZeroA, C, ZeroC})))
    return failure();
  FailureOr<Term> scaleA = product.spread(ScaleA, true),
                  scaleC = product.spread(ScaleC, false),
                  scaleY = product.spread(ScaleY, true),
                  zeroY = product.spread(ZeroY, true);
  if (failed(scaleA) || failed(scaleC) || failed(scaleY) || failed(zeroY))
    return failure();
  Term sum = g.make(TensorProto::INT32, product.sum(), product.dims);
  bool unsignedResult = isUnsigned(dtype);
  double low = unsignedResult ? 0 : -128, high = unsignedResult ? 255 : 127;
  Type type = elementType(g.context(), dtype);
  Value result = g.elementwise(
      {&sum, &*scaleA, &*scaleC, &*scaleY, &*zeroY}, product.dims, type,
      [&](Scalars s, ValueRange v) {
        Type f32 = s.b.getF32Type();
        Value scale =
            s.make<arith::DivFOp>(s.make<arith::MulFOp>(v[1], v[2]), v[3]);
        Value value =
            s.make<arith::MulFOp>(s.convert(v[0], f32, false, false), scale);
        value = math::RoundEvenOp::create(s.b, s.loc, value);
        value = s.make<arith::AddFOp>(
            value, s.convert(v[4], f32, unsignedResult, false));
        value = s.make<arith::MaximumFOp>(value, s.constant(f32, low));
        value = s.make<arith::MinimumFOp>(value, s.constant(f32, high));
        return s.convert(value, type, false, unsignedResult);
      });
  return n.set(0, g.make(dtype, g.reshape(result, product.dims, product.given),
                         product.given));
}

/// Tokens meet a constant matrix; what belongs to it is the same for all.
static LogicalResult onRows(StepNode &n, unsigned matrix,
                            LogicalResult (*build)(Node &)) {
  for (unsigned i = 1; i < n.size(); ++i)
    if (n.has(i) && n.in(i).rows)
      return n.fail("has parameters made of tokens");
  if (!n.in(0).rows || n.in(matrix).rank() != 2)
    return n.fail("multiplies tokens with something that is not a constant "
                  "matrix");
  for (unsigned i = 1; i < n.size(); ++i)
    if (i != matrix && n.has(i) && !n.in(i).isScalar() &&
        !(n.in(i).rank() == 1 && i > matrix && i <= matrix + 2))
      return n.fail(n.inputName(i) + " differs from token to token");
  if (failed(n.axis(n.in(0), -1)) || failed(build(n)))
    return failure();
  return n.keepRows();
}

static LogicalResult buildMatMulIntegerRows(StepNode &n) {
  return onRows(n, 1, buildMatMulInteger);
}

static LogicalResult buildQLinearMatMulRows(StepNode &n) {
  return onRows(n, 3, buildQLinearMatMul);
}

void qtale::onnx_import::addIntegerMatMul(NodeTable &table) {
  table.add("MatMulInteger", 10, buildMatMulInteger, buildMatMulIntegerRows);
  NodeBuilder &quantized = table.add("QLinearMatMul", 21, buildQLinearMatMul,
                                     buildQLinearMatMulRows);
  for (StringRef parameter : {"T1", "T2", "T3"})
    quantized.refusesTypes(
        parameter,
        {"float8e4m3fn", "float8e4m3fnuz", "float8e5m2", "float8e5m2fnuz"},
        "products are summed as integers; dequantize the matrices, and "
        "multiply them by MatMul");
}
