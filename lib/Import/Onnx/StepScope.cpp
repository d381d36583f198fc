//===- StepScope.cpp - Values of @step, for one set of rows, in one place -===//

#include "StepScope.h"

using namespace llvm;
using namespace mlir;
using namespace qtale::onnx_import;

Value StepScope::rows(Value value) {
  if (!outside)
    return value;
  Value &own = fetched[value];
  if (!own)
    own = fetch(value);
  return own;
}

Term *StepScope::lookup(StringRef name) {
  auto own = terms.find(name);
  if (own != terms.end())
    return &own->second;
  Term *term = outside ? outside->lookup(name) : nullptr;
  if (!term)
    return nullptr;
  // A copy: what is made of it on demand is made in this scope's block.
  Term copy = *term;
  if (term->rows) {
    // Routes and gathers take vectors and matrices.
    GraphBuilder &from = outside->code.g, &to = code.g;
    bool high = term->rank() > 2;
    Value value = from.tensor(*term);
    OpFoldResult width = from.math.product(ArrayRef(term->dims).drop_front());
    if (high)
      value = from.reshape(value, term->dims, {term->dims[0], width});
    value = rows(value);
    copy.dims[0] = count;
    if (high)
      value = to.reshape(value, {count, width}, copy.dims);
    copy.value = value;
  }
  return &(terms[name] = std::move(copy));
}
