//===- CommandLine.h - What the user asked for ----------------------------===//

#ifndef QTALE_LIB_DRIVER_COMMANDLINE_H
#define QTALE_LIB_DRIVER_COMMANDLINE_H

#include "qtale/Pipelines/Stages.h"
#include "qtale/Target/Artifact.h"

#include <optional>
#include <string>

namespace qtale {

struct CommandLine {
  std::string input, output;
  std::string tokenizer; // empty: the one beside the model, if any
  bool bundle = false;
  bool operators = false; // only print what is taken of ONNX
  /// A stage to print, or a kind of artifact.
  std::optional<Stage> printed;
  ArtifactOptions::Kind kind = ArtifactOptions::Library;

  // Null where the user said nothing.
  std::optional<std::string> weights, activations, kv, target;
  std::optional<int64_t> group;
  std::optional<bool> asymmetric;
  std::optional<std::vector<std::string>> levels;
};

/// Null with the exit code in `code` after `--help` or wrong usage.
std::optional<CommandLine> parseCommandLine(int argc, char **argv, int &code);

} // namespace qtale

#endif // QTALE_LIB_DRIVER_COMMANDLINE_H
