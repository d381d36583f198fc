//===- ReadModel.cpp - Bytes on disk -> ModelProto and references ---------===//
//
//   .onnx     mapped, cut (CutTensors.cpp), parsed
//   .onnxtxt  parsed as ONNX's text
//
// External data must lie within the model's folder, also when links are followed,
// and have exactly the bytes that the tensor's shape needs.
//
//===----------------------------------------------------------------------===//

#include "Model.h"
#include "Subgraphs.h"

#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/Diagnostics.h"
#include "onnx/defs/parser.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MathExtras.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"

using namespace llvm;
using namespace mlir;
using namespace qtale::onnx_import;
using onnx::TensorProto;

std::string qtale::onnx_import::nodeName(const onnx::NodeProto &node) {
  if (!node.name().empty())
    return node.name();
  return node.op_type() +
         (node.output_size() ? " of '" + node.output(0) + "'" : std::string());
}

Location Model::loc(MLIRContext *context) const {
  return FileLineColLoc::get(context, file, 0, 0);
}

Location Model::loc(MLIRContext *context, const onnx::NodeProto &node) const {
  return NameLoc::get(StringAttr::get(context, nodeName(node)), loc(context));
}

int64_t qtale::onnx_import::elementBits(int32_t dataType) {
  switch (dataType) {
  case TensorProto::DOUBLE:
  case TensorProto::INT64:
  case TensorProto::UINT64:
    return 64;
  case TensorProto::FLOAT:
  case TensorProto::INT32:
  case TensorProto::UINT32:
    return 32;
  case TensorProto::FLOAT16:
  case TensorProto::BFLOAT16:
  case TensorProto::INT16:
  case TensorProto::UINT16:
    return 16;
  case TensorProto::INT8:
  case TensorProto::UINT8:
  case TensorProto::BOOL:
  case TensorProto::FLOAT8E4M3FN:
  case TensorProto::FLOAT8E4M3FNUZ:
  case TensorProto::FLOAT8E5M2:
  case TensorProto::FLOAT8E5M2FNUZ:
  case TensorProto::FLOAT8E8M0:
    return 8;
  case TensorProto::FLOAT6E2M3:
  case TensorProto::FLOAT6E3M2:
    return 6;
  case TensorProto::INT4:
  case TensorProto::UINT4:
  case TensorProto::FLOAT4E2M1:
    return 4;
  case TensorProto::INT2:
  case TensorProto::UINT2:
    return 2;
  default:
    return 0;
  }
}

std::optional<int64_t>
qtale::onnx_import::tensorBytes(const TensorProto &tensor) {
  int64_t count = 1;
  for (int64_t dim : tensor.dims())
    if (dim < 0 || MulOverflow(count, dim, count))
      return std::nullopt;
  int64_t bits;
  if (MulOverflow(count, elementBits(tensor.data_type()), bits) ||
      bits > INT64_MAX - 7)
    return std::nullopt;
  return (bits + 7) / 8;
}

/// Nesting that ONNX's parser, which is recursive, can take.
static bool isTooDeep(StringRef text) {
  unsigned depth = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    // Brackets in comments, strings and arrows are none.
    if (c == '#') {
      i = std::min(text.find('\n', i), text.size());
    } else if (c == '"') {
      while (++i < text.size() && text[i] != '"')
        i += text[i] == '\\';
    } else if (c == '{' || c == '(' || c == '[' || c == '<') {
      ++depth;
    } else if (c == '}' || c == ')' || c == ']' ||
               (c == '>' && (!i || text[i - 1] != '='))) {
      depth -= depth > 0;
    }
    if (depth > 256)
      return true;
  }
  return false;
}

LogicalResult qtale::onnx_import::readModel(StringRef path,
                                            MLIRContext *context,
                                            Model &model) {
  model.path = path.str();
  model.folder = sys::path::parent_path(path).str();
  model.file = sys::path::filename(path).str();
  Location loc = model.loc(context);
  if (sys::fs::is_directory(path))
    return emitError(loc) << "'" << path
                          << "' is a folder; name the .onnx file in it";
  auto buffer = MemoryBuffer::getFile(path, /*IsText=*/false,
                                      /*RequiresNullTerminator=*/false);
  if (!buffer)
    return emitError(loc) << "can't read '" << path
                          << "': " << buffer.getError().message();
  StringRef bytes = (*buffer)->getBuffer();
  if (bytes.empty())
    return emitError(loc) << "'" << path << "' is empty";

  if (sys::path::extension(path) == ".onnxtxt") {
    if (isTooDeep(bytes))
      return emitError(loc) << "'" << path << "' is nested too deeply";
    try {
      auto status = onnx::OnnxParser::Parse(
          model.proto, std::string_view(bytes.data(), bytes.size()));
      if (!status.IsOK())
        return emitError(loc) << "'" << path << "' is not ONNX text: "
                              << StringRef(status.ErrorMessage()).trim();
    } catch (const std::exception &e) {
      return emitError(loc)
             << "'" << path << "' is not ONNX text: " << e.what();
    }
  } else {
    std::string thin, error;
    if (failed(cutTensors(bytes, thin, error)))
      return emitError(loc)
             << "'" << path << "' is corrupt or not ONNX: " << error;
    if (!model.proto.ParseFromString(thin))
      return emitError(loc)
             << "'" << path << "' is corrupt or not ONNX: its fields don't "
             << "parse as a model";
  }
  if (!model.proto.has_graph() ||
      model.proto.graph().node_size() + model.proto.graph().output_size() == 0)
    return emitError(loc) << "'" << path << "' holds no graph";
  return success();
}

namespace {

/// The entries of `external_data` that matter.
struct External {
  std::optional<StringRef> location;
  std::optional<int64_t> offset, length, cutOffset, cutLength;
  StringRef badKey, badValue;

  External(const TensorProto &tensor) {
    for (const auto &entry : tensor.external_data()) {
      StringRef key = entry.key(), value = entry.value();
      auto number = [&](std::optional<int64_t> &slot) {
        int64_t parsed;
        if (value.getAsInteger(10, parsed) || parsed < 0) {
          badKey = key;
          badValue = value;
        } else {
          slot = parsed;
        }
      };
      if (key == "location")
        location = value;
      else if (key == "offset")
        number(offset);
      else if (key == "length")
        number(length);
      else if (key == cutOffsetKey)
        number(cutOffset);
      else if (key == cutLengthKey)
        number(cutLength);
    }
  }
};

class Resolver {
public:
  Resolver(MLIRContext *context, Model &model)
      : model(model), loc(model.loc(context)) {}

  /// Fills `blob` where the tensor's bytes are in a file.
  LogicalResult resolve(const TensorProto &tensor, std::optional<Blob> &blob) {
    External external(tensor);
    if (!external.badKey.empty())
      return error(tensor) << "has '" << external.badKey << "' = '"
                           << external.badValue << "', which is no size";
    std::optional<int64_t> bytes = tensorBytes(tensor);
    if (!bytes)
      return error(tensor) << "has a negative or too large shape";
    bool outside = tensor.has_data_location() &&
                   tensor.data_location() == TensorProto::EXTERNAL;
    if (outside)
      return resolveOutside(tensor, external, *bytes, blob);
    if (!external.cutOffset || !external.cutLength)
      return success();
    int64_t fileBytes;
    if (failed(size(tensor, model.file, fileBytes)))
      return failure();
    if (elementBits(tensor.data_type()) && *external.cutLength != *bytes)
      return error(tensor) << "has " << *external.cutLength
                           << " bytes of data in '" << model.file
                           << "', but its shape needs " << *bytes;
    blob = Blob{model.file, *external.cutOffset, *external.cutLength};
    return inside(tensor, *blob, fileBytes);
  }

  /// Reads a small tensor from its file.
  LogicalResult load(TensorProto &tensor, const Blob &blob) {
    SmallString<128> path(model.folder);
    sys::path::append(path, blob.file);
    auto buffer = MemoryBuffer::getFileSlice(path, blob.length, blob.offset);
    if (!buffer)
      return error(tensor) << "can't be read from '" << path
                           << "': " << buffer.getError().message();
    tensor.set_raw_data((*buffer)->getBuffer().str());
    return success();
  }

private:
  LogicalResult resolveOutside(const TensorProto &tensor,
                               const External &external, int64_t bytes,
                               std::optional<Blob> &blob) {
    if (!external.location)
      return error(tensor) << "is external, but names no file (key "
                              "'location')";
    StringRef file = *external.location;
    if (file.empty() || sys::path::is_absolute(file) ||
        llvm::is_contained(
            llvm::make_range(sys::path::begin(file), sys::path::end(file)),
            ".."))
      return error(tensor) << "lies in '" << file
                           << "', which is outside the model's folder; put "
                              "the file beside the model and name it so";
    int64_t fileBytes;
    if (failed(size(tensor, file, fileBytes)))
      return failure();
    if (!elementBits(tensor.data_type()))
      return error(tensor) << "is external, but its element type has no fixed "
                              "size";
    int64_t offset = external.offset.value_or(0);
    int64_t length = external.length.value_or(bytes);
    if (length != bytes)
      return error(tensor) << "has " << length << " bytes in '" << file
                           << "', but its shape needs " << bytes;
    blob = Blob{file.str(), offset, length};
    return inside(tensor, *blob, fileBytes);
  }

  LogicalResult inside(const TensorProto &tensor, const Blob &blob,
                       int64_t fileBytes) {
    if (blob.offset > fileBytes || blob.length > fileBytes - blob.offset)
      return error(tensor) << "needs bytes " << blob.offset << " to "
                           << (uint64_t(blob.offset) + uint64_t(blob.length))
                           << " of '" << blob.file << "', which has only "
                           << fileBytes;
    return success();
  }

  LogicalResult size(const TensorProto &tensor, StringRef file,
                     int64_t &bytes) {
    auto known = sizes.find(file);
    if (known != sizes.end()) {
      bytes = known->second;
      return success();
    }
    SmallString<128> path(model.folder);
    sys::path::append(path, file);
    sys::fs::file_status status;
    std::error_code code = sys::fs::status(path, status);
    if (code || status.type() != sys::fs::file_type::regular_file)
      return error(tensor) << "needs the file '" << path << "': "
                           << (code ? code.message() : "it is no file");
    if (leavesFolder(file))
      return error(tensor) << "lies in '" << file
                           << "', which is a link out of the model's folder; "
                              "put the file itself beside the model";
    bytes = sizes[file] = status.getSize();
    return success();
  }

  /// Whether a link leads to another place than the name says. The model's own
  /// folder may be reached by links.
  bool leavesFolder(StringRef file) {
    SmallString<128> named, real;
    if (sys::fs::real_path(model.folder.empty() ? "." : model.folder, named))
      return true;
    sys::path::append(named, file);
    sys::path::remove_dots(named);
    SmallString<128> path(model.folder);
    sys::path::append(path, file);
    return sys::fs::real_path(path, real) || real != named;
  }

  InFlightDiagnostic error(const TensorProto &tensor) {
    return emitError(loc) << "initializer '" << tensor.name() << "' ";
  }

  Model &model;
  Location loc;
  StringMap<int64_t> sizes;
};

} // namespace

/// Constant nodes whose data was cut become initializers.
static void liftConstants(onnx::GraphProto &graph) {
  auto *nodes = graph.mutable_node();
  int kept = 0;
  for (int i = 0; i < nodes->size(); ++i) {
    onnx::NodeProto &node = *nodes->Mutable(i);
    if (node.op_type() == "Constant" && node.attribute_size() == 1 &&
        node.output_size() == 1 && node.attribute(0).has_t()) {
      const TensorProto &tensor = node.attribute(0).t();
      if (External(tensor).cutLength.value_or(0) > smallBytes) {
        TensorProto &lifted = *graph.add_initializer();
        lifted = tensor;
        lifted.set_name(node.output(0));
        continue;
      }
    }
    if (kept != i)
      nodes->SwapElements(kept, i);
    ++kept;
  }
  nodes->DeleteSubrange(kept, nodes->size() - kept);
}

LogicalResult qtale::onnx_import::resolveData(MLIRContext *context,
                                              Model &model) {
  onnx::GraphProto &graph = *model.proto.mutable_graph();
  const onnx::SparseTensorProto *sparse = nullptr;
  eachGraph(graph, [&](onnx::GraphProto &each) {
    if (each.sparse_initializer_size())
      sparse = &each.sparse_initializer(0);
    liftConstants(each);
  });
  if (sparse)
    return emitError(model.loc(context))
           << "sparse initializers are not supported; store '"
           << sparse->values().name() << "' dense";
  if (failed(liftInitializers(context, model)))
    return failure();
  Resolver resolver(context, model);
  llvm::StringSet<> inputs;
  for (const auto &input : graph.input())
    inputs.insert(input.name());

  onnx::GraphProto kept;
  for (TensorProto &tensor : *graph.mutable_initializer()) {
    std::optional<Blob> blob;
    if (failed(resolver.resolve(tensor, blob)))
      return failure();
    bool absent = blob && blob->length > smallBytes;
    if (blob && !absent && tensor.data_location() == TensorProto::EXTERNAL &&
        failed(resolver.load(tensor, *blob)))
      return failure();
    tensor.clear_external_data();
    tensor.clear_data_location();
    if (blob) {
      if (!model.blobs.try_emplace(tensor.name(), *blob).second)
        return emitError(model.loc(context))
               << "two initializers are named '" << tensor.name() << "'";
    }
    if (!absent) {
      *kept.add_initializer() = std::move(tensor);
      continue;
    }
    // While ONNX's own passes look at the graph, it is an input.
    if (inputs.insert(tensor.name()).second) {
      onnx::ValueInfoProto &input = *graph.add_input();
      input.set_name(tensor.name());
      auto &type = *input.mutable_type()->mutable_tensor_type();
      type.set_elem_type(tensor.data_type());
      type.mutable_shape();
      for (int64_t dim : tensor.dims())
        type.mutable_shape()->add_dim()->set_dim_value(dim);
    }
    model.headers[tensor.name()] = std::move(tensor);
  }
  graph.mutable_initializer()->Swap(kept.mutable_initializer());
  eachGraph(graph, [&](onnx::GraphProto &each) {
    for (onnx::NodeProto &node : *each.mutable_node())
      for (onnx::AttributeProto &attribute : *node.mutable_attribute())
        if (attribute.has_t())
          attribute.mutable_t()->clear_external_data();
  });
  return success();
}
