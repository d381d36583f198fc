//===- KnownAnswers.cpp - Comparisons that are decided while compiling ----===//
//
//   Greater (Shape (x)[0], 1)   x : tensor<2x?xf32>   ─▶   true
//
// Such answers choose branches, so a branch that no input reaches is gone.
//
//===----------------------------------------------------------------------===//

#include "KnownAnswers.h"

using namespace llvm;
using namespace mlir;
using namespace qtale::onnx_import;
using onnx::TensorProto;

static std::optional<SmallVector<int64_t>> knownNumbers(Node &n, unsigned i) {
  Term &term = n.in(i);
  // What has more elements decides nothing about shapes or branches; 64-bit
  // numbers without a sign would be compared with one.
  if (term.rank() > 1 || term.rows || term.dtype == TensorProto::UINT64)
    return std::nullopt;
  if (term.rank() == 1) {
    auto count = getConstantIntValue(term.dims[0]);
    if (!count || *count > 64)
      return std::nullopt;
  }
  if (term.dtype != TensorProto::BOOL || !term.constant)
    return n.g.integers(term);
  SmallVector<int64_t> flags;
  for (APInt flag : term.constant.getValues<APInt>())
    flags.push_back(!flag.isZero());
  return flags;
}

std::optional<Term>
qtale::onnx_import::knownAnswer(Node &n, bool (*op)(int64_t, int64_t)) {
  unsigned last = n.size() - 1;
  auto a = knownNumbers(n, 0), c = knownNumbers(n, last);
  if (!a || !c || (a->size() != c->size() && a->size() != 1 && c->size() != 1))
    return std::nullopt;
  auto at = [](ArrayRef<int64_t> list, size_t i) {
    return list[list.size() == 1 ? 0 : i];
  };
  Dims result;
  size_t size = a->size() == 1 ? c->size() : a->size();
  for (size_t i = 0; i < size; ++i)
    result.push_back(n.g.math.constant(op(at(*a, i), at(*c, i))));
  bool scalar = n.in(0).rank() == 0 && n.in(last).rank() == 0;
  return n.g.fromElements(TensorProto::BOOL, result, scalar);
}
