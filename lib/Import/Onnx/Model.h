//===- Model.h - An ONNX model whose weights stayed in their files --------===//
//
//   read       bytes -> ModelProto; tensors over 1 KiB become references
//   normalize  checked, of the table's opset, functions inlined, nodes in
//              order, shapes inferred; tensors with references are in `blobs`
//
//===----------------------------------------------------------------------===//

#ifndef QTALE_LIB_IMPORT_ONNX_MODEL_H
#define QTALE_LIB_IMPORT_ONNX_MODEL_H

#include "mlir/IR/Location.h"
#include "mlir/Support/LLVM.h"
#include "onnx/onnx_pb.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/Support/LogicalResult.h"
#include <optional>
#include <string>

namespace qtale::onnx_import {

/// The opset that node builders are written for. Models of the oldest one and
/// newer are converted to it; newer ones than it keep theirs, up to the newest.
inline constexpr int64_t oldestOpset = 7;
inline constexpr int64_t tableOpset = 23;
inline constexpr int64_t newestOpset = 28;

/// Initializers of more bytes stay in their files.
inline constexpr int64_t smallBytes = 1024;

/// Where a tensor's bytes stand. `file` is relative to the model's folder.
struct Blob {
  std::string file;
  int64_t offset = 0;
  int64_t length = 0;
};

struct Model {
  std::string path;
  /// Folder and file name of `path`.
  std::string folder, file;
  onnx::ModelProto proto;
  /// Bytes of initializers, by name: all that are in a file.
  llvm::StringMap<Blob> blobs;
  /// Initializers that are only in a file: shape and type, without data.
  llvm::StringMap<onnx::TensorProto> headers;
  /// Calls of verb functions, which are inlined in the graph all the same.
  std::vector<onnx::NodeProto> verbs;
  /// Of the default domain.
  int64_t opset = 0;
  /// Operators that no builder knows, by name; told of already.
  llvm::StringSet<> unsupported;

  mlir::Location loc(mlir::MLIRContext *context) const;
  mlir::Location loc(mlir::MLIRContext *context,
                     const onnx::NodeProto &node) const;
};

/// A node's name, or its operator and first output where it has none.
std::string nodeName(const onnx::NodeProto &node);
/// With the domain: "ai.onnx::Add".
std::string operatorName(const onnx::NodeProto &node);

/// Bits of an element in raw data; 0 for types without a fixed size.
int64_t elementBits(int32_t dataType);

/// Product of non-negative dims times the element's size; none on overflow.
std::optional<int64_t> tensorBytes(const onnx::TensorProto &tensor);

/// A copy of a serialized ModelProto in which large tensor data is replaced by
/// references into `bytes` (keys of `external_data`), or an error's text.
llvm::LogicalResult cutTensors(llvm::StringRef bytes, std::string &thin,
                               std::string &error);
inline constexpr llvm::StringLiteral cutOffsetKey = "qtale.offset";
inline constexpr llvm::StringLiteral cutLengthKey = "qtale.length";

llvm::LogicalResult readModel(llvm::StringRef path, mlir::MLIRContext *context,
                              Model &model);
/// Moves initializers that stay in files into `blobs` and `headers`.
llvm::LogicalResult resolveData(mlir::MLIRContext *context, Model &model);
llvm::LogicalResult normalizeModel(mlir::MLIRContext *context, Model &model);
/// Orders a graph's nodes so that values are made before they are used.
llvm::LogicalResult sortNodes(mlir::MLIRContext *context, const Model &model,
                              onnx::GraphProto &graph);

} // namespace qtale::onnx_import

#endif // QTALE_LIB_IMPORT_ONNX_MODEL_H
