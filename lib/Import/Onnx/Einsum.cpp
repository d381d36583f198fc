//===- Einsum.cpp - Sums of products, by letters --------------------------===//
//
//   "bij,bjk->bik"   a loop for each letter; those that the result lacks are
//                    summed over; ... stands for axes that both may have
//
// One or two inputs: one is multiplied by 1.
//
//===----------------------------------------------------------------------===//

#include "Node.h"
#include "NodeTable.h"

#include "llvm/ADT/MapVector.h"
#include "llvm/ADT/SmallSet.h"
#include "llvm/ADT/StringExtras.h"

using namespace llvm;
using namespace mlir;
using namespace qtale::onnx_import;

namespace {
/// Letters as numbers; axes of "..." are counted from the right, below 0.
using Labels = SmallVector<int64_t>;
} // namespace

/// The letters of one operand, "..." standing for `ellipsis` axes.
static std::optional<Labels> parse(StringRef text, int64_t ellipsis) {
  Labels labels;
  bool seen = false;
  for (size_t i = 0; i < text.size(); ++i) {
    if (isAlpha(text[i])) {
      labels.push_back(text[i]);
    } else if (text.substr(i).starts_with("...") && !seen) {
      for (int64_t k = ellipsis; k > 0; --k)
        labels.push_back(-k);
      seen = true;
      i += 2;
    } else {
      return std::nullopt;
    }
  }
  return labels;
}

static LogicalResult buildEinsum(Node &n) {
  GraphBuilder &g = n.g;
  std::string equation = n.text("equation", "");
  llvm::erase(equation, ' ');
  auto [left, right] = StringRef(equation).split("->");
  bool isExplicit = StringRef(equation).contains("->");
  SmallVector<StringRef> texts;
  left.split(texts, ',');
  if (texts.size() != n.size() || n.size() > 2)
    return n.fail("is supported with one or two inputs, each with its letters "
                  "in the equation; write more as several nodes");

  // A loop for each label, in the order of their appearance.
  MapVector<int64_t, OpFoldResult> loops;
  std::map<int64_t, unsigned> uses;
  SmallVector<Labels> operands;
  SmallSet<int64_t, 4> spread;
  int64_t widest = 0;
  for (auto [i, text] : llvm::enumerate(texts)) {
    Term &x = n.in(i);
    int64_t letters = llvm::count_if(text, isAlpha);
    int64_t ellipsis = text.contains("...") ? x.rank() - letters : 0;
    std::optional<Labels> labels = parse(text, ellipsis);
    if (!labels || ellipsis < 0 || (int64_t)labels->size() != x.rank())
      return n.fail("has the letters '" + text + "' for " + n.inputName(i) +
                    " of " + Twine(x.rank()) + " axes");
    widest = std::max(widest, ellipsis);
    for (auto [label, dim] : llvm::zip(*labels, x.dims)) {
      ++uses[label];
      auto known = loops.insert({label, dim});
      auto a = getConstantIntValue(known.first->second),
           c = getConstantIntValue(dim);
      // Axes of "..." are broadcast, as those of other operators.
      if (label < 0 && a != c && (a == 1 || c == 1)) {
        if (a == 1)
          known.first->second = dim;
        spread.insert(label);
        continue;
      }
      if (a && c && *a != *c)
        return n.fail("has axes of " + Twine(*a) + " and " + Twine(*c) +
                      " for one letter; sizes must be equal, 1 is not spread");
      g.math.check(dim, known.first->second,
                   "Einsum: axes of one letter must be equal");
      if (c)
        known.first->second = dim;
    }
    operands.push_back(*labels);
  }
  std::optional<Labels> result;
  if (isExplicit) {
    result = parse(right, widest);
  } else {
    result = Labels();
    for (auto [label, count] : uses) // "..." first, then by the alphabet
      if (label < 0 || count == 1)
        result->push_back(label);
  }
  if (!result || llvm::any_of(*result, [&](int64_t label) {
        return !loops.count(label) || llvm::count(*result, label) > 1;
      }))
    return n.fail("has a result '" + right + "' with letters of its own");

  if (!llvm::all_of(spread, [&](int64_t label) {
        return llvm::is_contained(*result, label);
      }))
    return n.fail("sums over an axis of '...' of which one input has 1");

  auto place = [&](const Labels &labels) {
    return llvm::map_to_vector(labels, [&](int64_t label) -> int64_t {
      return std::distance(loops.begin(), loops.find(label));
    });
  };
  Dims dims;
  for (int64_t label : *result)
    dims.push_back(loops[label]);
  Term one = g.make(n.in(0).dtype, g.scalar(n.type(n.in(0)), 1), {});
  Term &rhs = n.size() == 2 ? n.in(1) : one;
  Value value =
      g.contract(n.in(0), place(operands[0]), rhs,
                 n.size() == 2 ? place(operands[1]) : SmallVector<int64_t>(),
                 place(*result), dims, loops.size());
  return n.set(g.castFloat(value, dims, n.type(n.in(0))), dims);
}

void qtale::onnx_import::addEinsum(NodeTable &table) {
  table.add("Einsum", {12, 28}, buildEinsum)
      .refuses("three inputs and more",
               "write them as several nodes, in the order that suits them");
}
