//===- OldOperators.h - What ONNX's version converter does not know -------===//

#ifndef QTALE_LIB_IMPORT_ONNX_OLDOPERATORS_H
#define QTALE_LIB_IMPORT_ONNX_OLDOPERATORS_H

#include "onnx/onnx_pb.h"
#include <map>
#include <string>

namespace qtale::onnx_import {

using Nodes = google::protobuf::RepeatedPtrField<onnx::NodeProto>;

/// Before opset 13 Hardmax took all axes from its own on for one line:
/// Reshape (Hardmax (Flatten (x)), Shape (x)).
void flattenHardmax(Nodes &nodes, int64_t opset);

/// Before opset 11 the bounds of Clip were floats, whatever it clips, and all
/// finite ones by default; the converter makes inputs of float of those that are
/// given. So they are taken off before it, and put back as inputs after it:
/// Clip (x, CastLike (least, x), CastLike (most, x)).
class OldClips {
public:
  OldClips(Nodes &nodes, int64_t opset);

  void restore(Nodes &nodes) const;

private:
  void take(Nodes &nodes);

  struct Clip {
    std::string name;
    float least, most;
  };
  /// By the names that the nodes have meanwhile.
  std::map<std::string, Clip> clips;
};

} // namespace qtale::onnx_import

#endif // QTALE_LIB_IMPORT_ONNX_OLDOPERATORS_H
