//===- Diagnostics.cpp - How errors read ----------------------------------===//

#include "Diagnostics.h"

#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/Location.h"
#include "llvm/ADT/SmallSet.h"
#include "llvm/Support/raw_ostream.h"

using namespace mlir;
using namespace qtale;

/// "model.onnx: ", "stage.mlir:12:3: ", "node '…': ", as far as known; each
/// piece once.
static void print(llvm::raw_ostream &os, LocationAttr location,
                  llvm::SmallSet<std::string, 4> &seen) {
  auto piece = [&](const std::string &text) {
    if (seen.insert(text).second)
      os << text << ": ";
  };
  if (auto file = dyn_cast<FileLineColLoc>(location)) {
    std::string text = file.getFilename().str();
    if (file.getLine())
      text += ":" + std::to_string(file.getLine()) + ":" +
              std::to_string(file.getColumn());
    piece(text);
  } else if (auto name = dyn_cast<NameLoc>(location)) {
    print(os, name.getChildLoc(), seen);
    piece("'" + name.getName().str() + "'");
  } else if (auto fused = dyn_cast<FusedLoc>(location)) {
    for (Location inner : fused.getLocations())
      print(os, inner, seen);
  } else if (auto call = dyn_cast<CallSiteLoc>(location)) {
    print(os, call.getCallee(), seen);
  }
}

static void print(llvm::raw_ostream &os, Diagnostic &diagnostic) {
  llvm::StringRef severity = "note";
  switch (diagnostic.getSeverity()) {
  case DiagnosticSeverity::Error:
    severity = "error";
    break;
  case DiagnosticSeverity::Warning:
    severity = "warning";
    break;
  case DiagnosticSeverity::Remark:
    severity = "remark";
    break;
  case DiagnosticSeverity::Note:
    break;
  }
  os << "qtale-compile: " << severity << ": ";
  llvm::SmallSet<std::string, 4> seen;
  print(os, diagnostic.getLocation(), seen);
  os << diagnostic << "\n";
  for (Diagnostic &note : diagnostic.getNotes())
    print(os, note);
}

DiagnosticPrinter::DiagnosticPrinter(MLIRContext *context)
    : ScopedDiagnosticHandler(context) {
  setHandler([this](Diagnostic &diagnostic) {
    std::string text;
    llvm::raw_string_ostream os(text);
    print(os, diagnostic);
    if (told.insert(text).second)
      llvm::errs() << text;
    return success();
  });
}
