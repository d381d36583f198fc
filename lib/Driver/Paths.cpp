//===- Paths.cpp - Paths in a module are relative to its file -------------===//

#include "Paths.h"

#include "qtale/Dialect/QTale/IR/QTale.h"

#include "mlir/IR/AttrTypeSubElements.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"

using namespace mlir;
using namespace qtale;
namespace path = llvm::sys::path;

std::string qtale::folderOf(StringRef file) {
  StringRef folder = path::parent_path(file);
  return folder.empty() ? "." : folder.str();
}

static SmallString<128> absolute(const llvm::Twine &file) {
  SmallString<128> result;
  file.toVector(result);
  llvm::sys::fs::make_absolute(result);
  path::remove_dots(result, /*remove_dot_dot=*/true);
  return result;
}

std::string qtale::relativeTo(StringRef folder, StringRef file) {
  SmallString<128> base = absolute(folder), target = absolute(file);
  auto a = path::begin(base), aEnd = path::end(base);
  auto b = path::begin(target), bEnd = path::end(target);
  for (; a != aEnd && b != bEnd && *a == *b; ++a, ++b)
    ;
  SmallString<128> result;
  for (; a != aEnd; ++a)
    path::append(result, "..");
  for (; b != bEnd; ++b)
    path::append(result, *b);
  return result.str().str();
}

void qtale::rebasePaths(ModuleOp module, StringRef from, StringRef to) {
  if (absolute(from) == absolute(to))
    return;
  auto rebase = [&](StringAttr file) {
    SmallString<128> joined(from);
    path::append(joined, file.getValue());
    return StringAttr::get(module.getContext(), relativeTo(to, joined));
  };
  AttrTypeReplacer replacer;
  replacer.addReplacement([&](SourceAttr source) -> Attribute {
    return SourceAttr::get(module.getContext(), rebase(source.getFile()),
                           source.getOffset(), source.getBytes(),
                           source.getType());
  });
  for (auto weight : module.getOps<WeightOp>())
    weight.setRecipeAttr(
        cast<RecipeAttrInterface>(replacer.replace(weight.getRecipeAttr())));
  if (auto tokenizer = module->getAttrOfType<StringAttr>(attr::tokenizer))
    module->setAttr(attr::tokenizer, rebase(tokenizer));
}

std::set<std::string> qtale::getFiles(ModuleOp module, StringRef folder) {
  std::set<std::string> files;
  auto add = [&](StringAttr file) {
    SmallString<128> joined(folder);
    path::append(joined, file.getValue());
    files.insert(joined.str().str());
  };
  AttrTypeWalker walker;
  walker.addWalk([&](SourceAttr source) { add(source.getFile()); });
  for (auto weight : module.getOps<WeightOp>())
    walker.walk(weight.getRecipeAttr());
  if (auto tokenizer = module->getAttrOfType<StringAttr>(attr::tokenizer))
    add(tokenizer);
  return files;
}
