//===- VerbFunctions.h - Functions of domain ai.qtale that are verbs ------===//
//
// A model-local function counts as the verb that it names only if its body
// equals the text built in from python/qtale/functions, so that the compiler
// never guesses what a graph means.
//
//===----------------------------------------------------------------------===//

#ifndef QTALE_LIB_IMPORT_ONNX_VERBFUNCTIONS_H
#define QTALE_LIB_IMPORT_ONNX_VERBFUNCTIONS_H

#include "onnx/onnx_pb.h"
#include "llvm/ADT/StringRef.h"

namespace qtale::onnx_import {

inline constexpr llvm::StringLiteral verbDomain = "ai.qtale";

/// Whether a function of `verbDomain` has the body of the verb it names.
bool isVerb(const onnx::FunctionProto &function);

} // namespace qtale::onnx_import

#endif // QTALE_LIB_IMPORT_ONNX_VERBFUNCTIONS_H
