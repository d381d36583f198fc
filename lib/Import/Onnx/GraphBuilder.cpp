//===- GraphBuilder.cpp - Tensor code for one entry -----------------------===//
//
// Everything is linalg.generic over explicit dims. Broadcasting is in the
// indexing maps where dimensions are known to be 1 or equal; where they are
// not, the input is first brought to shape by reading index min(i, dim - 1),
// which is right for both cases and never out of range.
//
//===----------------------------------------------------------------------===//

#include "GraphBuilder.h"

#include "mlir/Dialect/ControlFlow/IR/ControlFlowOps.h"
#include "llvm/ADT/SmallVectorExtras.h"

using namespace llvm;
using namespace mlir;
using namespace qtale;
using namespace qtale::onnx_import;
using utils::IteratorType;

//===----------------------------------------------------------------------===//
// Terms
//===----------------------------------------------------------------------===//

Value GraphBuilder::tensor(Term &term) {
  if (term.value)
    return term.value;
  if (term.elements) {
    Type type = elementType(context(), term.dtype);
    SmallVector<Value> values;
    for (OpFoldResult element : *term.elements)
      values.push_back(
          getConstantIntValue(element)
              ? Value(arith::ConstantOp::create(
                    b, loc,
                    b.getIntegerAttr(type, *getConstantIntValue(element))))
              : Value(arith::IndexCastOp::create(b, loc, type,
                                                 cast<Value>(element))));
    auto tensorType = RankedTensorType::get(staticShape(term.dims), type);
    if (values.empty())
      term.value = empty(term.dims, type);
    else
      term.value = tensor::FromElementsOp::create(b, loc, tensorType, values);
  } else if (term.constant) {
    term.value = arith::ConstantOp::create(b, loc, term.constant);
  } else {
    RecipeAttrInterface recipe = recipes::stored(term.recipe);
    term.value = ParamOp::create(b, loc, recipe.getTensorType(),
                                 weights.symbol(recipe, term.name, loc));
  }
  return term.value;
}

Term GraphBuilder::make(int32_t dtype, Value value,
                        ArrayRef<OpFoldResult> dims) {
  Term term;
  term.dtype = dtype;
  term.value = value;
  term.dims.assign(dims.begin(), dims.end());
  return term;
}

Term GraphBuilder::fromElements(int32_t dtype, ArrayRef<OpFoldResult> elements,
                                bool scalar) {
  Term term;
  term.dtype = dtype;
  term.elements = Dims(elements);
  if (!scalar)
    term.dims.push_back(math.constant(elements.size()));
  return term;
}

std::optional<Dims> GraphBuilder::wrapped(int32_t dtype,
                                          ArrayRef<OpFoldResult> results,
                                          const Twine &op) {
  unsigned width = elementType(context(), dtype).getIntOrFloatBitWidth();
  if (width == 64)
    return Dims(results);
  auto stays = [&](OpFoldResult result) {
    return getConstantIntValue(result) ||
           (dtype == onnx::TensorProto::INT32 && math.isSize(result));
  };
  if (!llvm::all_of(results, stays))
    return std::nullopt;
  Dims elements;
  for (OpFoldResult result : results) {
    if (auto number = getConstantIntValue(result)) {
      APInt bits = APInt(64, *number, true).trunc(width);
      result = math.constant(isUnsigned(dtype) ? int64_t(bits.getZExtValue())
                                               : bits.getSExtValue());
    } else {
      math.checkInt32(cast<Value>(result),
                      op + ": a size does not fit int32; compute it in int64");
    }
    elements.push_back(result);
  }
  return elements;
}

Term GraphBuilder::fromConstant(int32_t dtype, DenseElementsAttr values) {
  Term term;
  term.dtype = dtype;
  term.constant = values;
  auto type = cast<RankedTensorType>(values.getType());
  term.dims = staticDims(context(), type.getShape());
  if (type.getRank() <= 1 && type.getNumElements() <= 64 && isInteger(dtype)) {
    term.elements.emplace();
    for (APInt value : values.getValues<APInt>())
      term.elements->push_back(math.constant(isUnsigned(dtype)
                                                 ? int64_t(value.getZExtValue())
                                                 : value.getSExtValue()));
  }
  return term;
}

std::optional<Dims> GraphBuilder::indices(Term &term) {
  if (term.elements)
    return term.elements;
  if (term.rank() > 1 || !isInteger(term.dtype) || term.rows)
    return std::nullopt;
  int64_t count = term.rank() ? staticOrDynamic(term.dims[0]) : 1;
  if (ShapedType::isDynamic(count) || count > 64)
    return std::nullopt;
  Dims result;
  for (int64_t i = 0; i < count; ++i) {
    SmallVector<Value> at;
    if (term.rank())
      at.push_back(math.value(math.constant(i)));
    Value element = tensor::ExtractOp::create(b, loc, tensor(term), at);
    result.push_back(isUnsigned(term.dtype)
                         ? Value(arith::IndexCastUIOp::create(
                               b, loc, b.getIndexType(), element))
                         : Value(arith::IndexCastOp::create(
                               b, loc, b.getIndexType(), element)));
  }
  term.elements = result;
  return result;
}

std::optional<SmallVector<int64_t>> GraphBuilder::integers(Term &term) {
  if (term.elements) {
    SmallVector<int64_t> result;
    for (OpFoldResult element : *term.elements) {
      auto number = getConstantIntValue(element);
      if (!number)
        return std::nullopt;
      result.push_back(*number);
    }
    return result;
  }
  if (!term.constant || !isInteger(term.dtype))
    return std::nullopt;
  SmallVector<int64_t> result;
  for (APInt value : term.constant.getValues<APInt>())
    result.push_back(isUnsigned(term.dtype) ? int64_t(value.getZExtValue())
                                            : value.getSExtValue());
  return result;
}

std::optional<double> GraphBuilder::number(Term &term) {
  if (term.constant && term.constant.getNumElements() == 1) {
    if (isFloat(term.dtype)) {
      APFloat value = *term.constant.getValues<APFloat>().begin();
      bool lost;
      value.convert(APFloat::IEEEdouble(), APFloat::rmNearestTiesToEven, &lost);
      return value.convertToDouble();
    }
    if (isInteger(term.dtype))
      return (*term.constant.getValues<APInt>().begin())
          .roundToDouble(!isUnsigned(term.dtype));
  }
  if (term.elements && term.elements->size() == 1)
    if (auto value = getConstantIntValue(term.elements->front()))
      return isUnsigned(term.dtype) ? double(uint64_t(*value)) : double(*value);
  return std::nullopt;
}

//===----------------------------------------------------------------------===//
// Loops
//===----------------------------------------------------------------------===//

Value GraphBuilder::empty(ArrayRef<OpFoldResult> dims, Type type) {
  return tensor::EmptyOp::create(b, loc, dims, type);
}

Value GraphBuilder::filled(ArrayRef<OpFoldResult> dims, Value scalar) {
  return linalg::FillOp::create(b, loc, scalar, empty(dims, scalar.getType()))
      .getResult(0);
}

Value GraphBuilder::scalar(Type type, double value) {
  return Scalars{b, loc}.constant(type, value);
}

Type GraphBuilder::computeType(Type type) {
  return type.isF16() || type.isBF16() ? b.getF32Type() : type;
}

std::optional<Dims>
GraphBuilder::broadcast(ArrayRef<ArrayRef<OpFoldResult>> shapes) {
  size_t rank = 0;
  for (ArrayRef<OpFoldResult> shape : shapes)
    rank = std::max(rank, shape.size());
  Dims result(rank, math.constant(1));
  for (ArrayRef<OpFoldResult> shape : shapes)
    for (auto [i, dim] : llvm::enumerate(shape)) {
      OpFoldResult &out = result[rank - shape.size() + i];
      if (isConstantIntValue(dim, 1) || math.same(out, dim))
        continue;
      if (isConstantIntValue(out, 1)) {
        out = dim;
        continue;
      }
      bool dimStatic = getConstantIntValue(dim).has_value(),
           outStatic = getConstantIntValue(out).has_value();
      if (dimStatic && outStatic)
        return std::nullopt;
      // One of them may still turn out to be 1.
      Value a = math.value(out), c = math.value(dim);
      Value one = math.value(math.constant(1));
      Scalars s{b, loc};
      Value aIsOne = s.cmp(arith::CmpIPredicate::eq, a, one);
      Value cIsOne = s.cmp(arith::CmpIPredicate::eq, c, one);
      Value equal = s.cmp(arith::CmpIPredicate::eq, a, c);
      Value fits =
          s.make<arith::OrIOp>(equal, s.make<arith::OrIOp>(aIsOne, cIsOne));
      cf::AssertOp::create(b, loc, fits, "dimensions differ and neither is 1");
      if (dimStatic) {
        out = dim;
      } else if (!outStatic) {
        Value chosen = s.select(aIsOne, c, a);
        if (math.isNonNegative(out) && math.isNonNegative(dim))
          math.markNonNegative(chosen);
        out = chosen;
      }
    }
  return result;
}

Value GraphBuilder::broadcastTo(Value input, ArrayRef<OpFoldResult> from,
                                ArrayRef<OpFoldResult> to) {
  auto type = cast<RankedTensorType>(input.getType());
  size_t shift = to.size() - from.size();
  return generate(to, type.getElementType(), [&](Scalars s) {
    SmallVector<Value> at;
    for (size_t i = 0; i < from.size(); ++i)
      at.push_back(s.clamped(s.loopIndex(shift + i), input, i));
    return s.at(input, at);
  });
}

Value GraphBuilder::elementwise(ArrayRef<Term *> inputs,
                                ArrayRef<OpFoldResult> dims, Type type,
                                Body body) {
  unsigned rank = dims.size();
  SmallVector<Value> operands;
  SmallVector<AffineMap> maps;
  for (Term *input : inputs) {
    Value operand = tensor(*input);
    unsigned shift = rank - input->rank();
    SmallVector<AffineExpr> exprs;
    bool known = true;
    for (auto [i, dim] : llvm::enumerate(input->dims)) {
      OpFoldResult out = dims[shift + i];
      if (math.same(dim, out))
        exprs.push_back(b.getAffineDimExpr(shift + i));
      else if (isConstantIntValue(dim, 1))
        exprs.push_back(b.getAffineConstantExpr(0));
      else
        known = false;
    }
    if (!known) {
      operand = broadcastTo(operand, input->dims, dims);
      maps.push_back(b.getMultiDimIdentityMap(rank));
    } else {
      maps.push_back(AffineMap::get(rank, 0, exprs, context()));
    }
    operands.push_back(operand);
  }
  maps.push_back(b.getMultiDimIdentityMap(rank));
  SmallVector<IteratorType> loops(rank, IteratorType::parallel);
  Value init = empty(dims, type);
  return linalg::GenericOp::create(
             b, loc, init.getType(), operands, init, maps, loops,
             [&](OpBuilder &inner, Location at, ValueRange args) {
               Scalars s{inner, at};
               SmallVector<Value> scalars;
               for (Value arg : args.drop_back()) {
                 Type wide = computeType(arg.getType());
                 scalars.push_back(
                     wide == arg.getType()
                         ? arg
                         : Value(arith::ExtFOp::create(inner, at, wide, arg)));
               }
               Value result = body(s, scalars);
               if (result.getType() != type)
                 result = arith::TruncFOp::create(inner, at, type, result);
               linalg::YieldOp::create(inner, at, result);
             })
      .getResult(0);
}

Value GraphBuilder::generate(ArrayRef<OpFoldResult> dims, Type type,
                             llvm::function_ref<Value(Scalars)> body) {
  Value init = empty(dims, type);
  SmallVector<IteratorType> loops(dims.size(), IteratorType::parallel);
  return linalg::GenericOp::create(
             b, loc, init.getType(), ValueRange(), init,
             b.getMultiDimIdentityMap(dims.size()), loops,
             [&](OpBuilder &inner, Location at, ValueRange) {
               linalg::YieldOp::create(inner, at, body(Scalars{inner, at}));
             })
      .getResult(0);
}

Value GraphBuilder::reduce(Value input, ArrayRef<OpFoldResult> dims,
                           ArrayRef<int64_t> axes, Value init, Body combine) {
  // A fold of one element each would look like a function of what it begins
  // with, and go on from there when it is fused.
  if (axes.empty()) {
    Term term = make(0, input, dims);
    return elementwise(
        {&term}, dims, init.getType(),
        [&](Scalars s, ValueRange v) { return combine(s, {v[0], init}); });
  }
  unsigned rank = dims.size();
  SmallVector<IteratorType> loops(rank, IteratorType::parallel);
  SmallVector<AffineExpr> kept;
  Dims outDims;
  for (int64_t axis : axes)
    loops[axis] = IteratorType::reduction;
  for (unsigned i = 0; i < rank; ++i)
    if (loops[i] == IteratorType::parallel) {
      kept.push_back(b.getAffineDimExpr(i));
      outDims.push_back(dims[i]);
    }
  Value start = filled(outDims, init);
  AffineMap maps[] = {b.getMultiDimIdentityMap(rank),
                      AffineMap::get(rank, 0, kept, context())};
  return linalg::GenericOp::create(
             b, loc, start.getType(), input, start, maps, loops,
             [&](OpBuilder &inner, Location at, ValueRange args) {
               Value element = args[0];
               if (element.getType() != computeType(element.getType()))
                 element = arith::ExtFOp::create(
                     inner, at, computeType(element.getType()), element);
               linalg::YieldOp::create(
                   inner, at, combine(Scalars{inner, at}, {element, args[1]}));
             })
      .getResult(0);
}

Value GraphBuilder::contract(Term &lhs, ArrayRef<int64_t> lhsLoops, Term &rhs,
                             ArrayRef<int64_t> rhsLoops,
                             ArrayRef<int64_t> outLoops,
                             ArrayRef<OpFoldResult> outDims,
                             unsigned numLoops) {
  auto map = [&](ArrayRef<int64_t> loops, ArrayRef<OpFoldResult> dims) {
    SmallVector<AffineExpr> exprs;
    for (auto [i, loop] : llvm::enumerate(loops)) {
      auto out = llvm::find(outLoops, loop);
      bool broadcasts = isConstantIntValue(dims[i], 1) &&
                        out != outLoops.end() &&
                        !isConstantIntValue(outDims[out - outLoops.begin()], 1);
      exprs.push_back(broadcasts ? b.getAffineConstantExpr(0)
                                 : b.getAffineDimExpr(loop));
    }
    return AffineMap::get(numLoops, 0, exprs, context());
  };
  SmallVector<AffineExpr> outExprs;
  SmallVector<IteratorType> iterators(numLoops, IteratorType::reduction);
  for (int64_t loop : outLoops) {
    outExprs.push_back(b.getAffineDimExpr(loop));
    iterators[loop] = IteratorType::parallel;
  }
  Value left = tensor(lhs), right = tensor(rhs);
  Type type = elementType(context(), lhs.dtype), sum = computeType(type);
  AffineMap maps[] = {map(lhsLoops, lhs.dims), map(rhsLoops, rhs.dims),
                      AffineMap::get(numLoops, 0, outExprs, context())};
  Value init = filled(outDims, scalar(sum, 0));
  Value result =
      linalg::GenericOp::create(
          b, loc, init.getType(), ValueRange{left, right}, init, maps,
          iterators,
          [&](OpBuilder &inner, Location at, ValueRange args) {
            Value x = args[0], y = args[1];
            Value value;
            if (isa<FloatType>(type)) {
              if (sum != type) {
                x = arith::ExtFOp::create(inner, at, sum, x);
                y = arith::ExtFOp::create(inner, at, sum, y);
              }
              value = arith::AddFOp::create(
                  inner, at, args[2], arith::MulFOp::create(inner, at, x, y));
            } else {
              value = arith::AddIOp::create(
                  inner, at, args[2], arith::MulIOp::create(inner, at, x, y));
            }
            linalg::YieldOp::create(inner, at, value);
          })
          .getResult(0);
  return sum == type ? result : castFloat(result, outDims, type);
}

Value GraphBuilder::softmax(Value input, ArrayRef<OpFoldResult> dims,
                            int64_t axis, bool log, bool maskedRowsAreZero) {
  Type type = cast<RankedTensorType>(input.getType()).getElementType();
  Type wide = computeType(type);
  Dims kept(dims);
  kept[axis] = math.constant(1);
  Dims reduced(dims);
  reduced.erase(reduced.begin() + axis);
  int32_t dtype =
      wide.isF64() ? onnx::TensorProto::DOUBLE : onnx::TensorProto::FLOAT;
  auto keep = [&](Value value) {
    return make(dtype, reshape(value, reduced, kept), kept);
  };
  double infinity = std::numeric_limits<double>::infinity();
  Term x = make(dtype, input, dims);
  Term top = keep(reduce(input, dims, axis, scalar(wide, -infinity),
                         [](Scalars s, ValueRange v) {
                           return s.make<arith::MaximumFOp>(v[0], v[1]);
                         }));
  auto shift = [&](Scalars s, Value value, Value maximum) -> Value {
    if (maskedRowsAreZero) {
      // A row of -inf alone: its differences are -inf, not NaN.
      Value masked =
          arith::CmpFOp::create(s.b, s.loc, arith::CmpFPredicate::OEQ, maximum,
                                s.constant(wide, -infinity));
      maximum = s.select(masked, s.constant(wide, 0), maximum);
    }
    return s.make<arith::SubFOp>(value, maximum);
  };
  Value raised = elementwise(
      {&x, &top}, dims, wide, [&](Scalars s, ValueRange v) -> Value {
        return math::ExpOp::create(s.b, s.loc, shift(s, v[0], v[1]));
      });
  Term exponents = make(dtype, raised, dims);
  Term sum = keep(
      reduce(raised, dims, axis, scalar(wide, 0), [](Scalars s, ValueRange v) {
        return s.make<arith::AddFOp>(v[1], v[0]);
      }));
  if (log)
    return elementwise(
        {&x, &top, &sum}, dims, type, [&](Scalars s, ValueRange v) {
          Value total = math::LogOp::create(s.b, s.loc, v[2]);
          return s.make<arith::SubFOp>(shift(s, v[0], v[1]), total);
        });
  return elementwise(
      {&exponents, &sum}, dims, type, [&](Scalars s, ValueRange v) {
        Value total = v[1];
        if (maskedRowsAreZero) {
          Value none =
              arith::CmpFOp::create(s.b, s.loc, arith::CmpFPredicate::OEQ,
                                    total, s.constant(wide, 0));
          total = s.select(none, s.constant(wide, 1), total);
        }
        return s.make<arith::DivFOp>(v[0], total);
      });
}

Value GraphBuilder::transpose(Value input, ArrayRef<OpFoldResult> dims,
                              ArrayRef<int64_t> perm) {
  if (llvm::equal(perm, llvm::seq<int64_t>(0, perm.size())))
    return input;
  Dims to = llvm::map_to_vector(perm, [&](int64_t axis) { return dims[axis]; });
  Type type = cast<RankedTensorType>(input.getType()).getElementType();
  return linalg::TransposeOp::create(b, loc, input, empty(to, type), perm)
      ->getResult(0);
}

Value GraphBuilder::castFloat(Value input, ArrayRef<OpFoldResult> dims,
                              Type type) {
  auto from = cast<RankedTensorType>(input.getType()).getElementType();
  if (from == type)
    return input;
  Term term = make(0, input, dims);
  return elementwise({&term}, dims, type, [&](Scalars s, ValueRange v) {
    return s.convert(v[0], computeType(type), false, false);
  });
}
